"""The claims of the paper in a sentence each, and how the rows that test them came out."""

from collections import Counter
from collections.abc import Sequence

from cclib.claims import Row
from cclib.report import markdown

# After the abstract, in its order.
SENTENCES = {
    "C1": "A CC layer is a natural extension of the conv layer",
    "C2": "Its filter is a learned continuous function over sub-pixel coordinates",
    "C3": "It resizes to any size; scales may be non-integer and differ between the axes",
    "C4": "Resizing is principled and consistent across scales",
    "C5": "Once trained, any size can be chosen at inference: dynamic layer shapes",
    "C6": "Gradual architectures, which change size by small factors, are worth having",
    "C7": "Conv layers suffer from inherent misalignments, which CC layers ameliorate",
    "C8": "Desired properties follow, such as shift equivariance",
    "C9": "One network run at several internal scales is an ensemble for free",
    "C10": "Applications: super-resolution by any factor, decoders for any size",
    "C11": "It can be computed efficiently",
}
VERDICTS = ("reproduced", "inconclusive", "not reproduced")


def overview_table(rows: Sequence[Row]) -> str:
    """One line per claim as a Markdown table: its sentence, its notebooks, and its rows by verdict."""
    lines = []
    for claim, sentence in SENTENCES.items():
        of_claim = [row for row in rows if row["claim"] == claim]
        counts = Counter(row["verdict"] for row in of_claim)
        notebooks = dict.fromkeys(row["notebook"] for row in of_claim)
        links = ", ".join(f"[{name}](results/{name}/notebook.ipynb)" for name in notebooks)
        lines.append([claim, sentence, *(str(counts[verdict] or "") for verdict in VERDICTS), links])
    return markdown(["claim", "in a sentence", *VERDICTS, "tested in"], lines)
