"""Tables for people: the claims and measurements in README.md, and one machine's claims beside another's.

It formats rows that others have computed and checked; it judges nothing.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from companion.evidence.claims import Interval, Row
from companion.files import MEASURED_BY_RUNNER

_HEADS = ["claim", "quantity", "value [95 % interval]", "n", "baseline", "threshold", "verdict"]


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


def number(value: float) -> str:
    """Four significant digits, without an exponent where a reader can do without."""
    return f"{value:.4g}"


def plus_minus(interval: Interval, digits: int = 2, sign: str = "+") -> str:
    """mean [low, high], with the sign of each unless ``sign`` is empty."""
    return f"{interval.mean:{sign}.{digits}f} [{interval.low:{sign}.{digits}f}, {interval.high:{sign}.{digits}f}]"


def span(row: Row) -> str:
    """value [low, high] of a row; the value alone where it is one point.

    To two digits of half the interval, or as many as keep its ends on their side of the threshold.
    """
    if row["low"] == row["high"]:
        return number(row["value"])
    digits = max(0, 1 - math.floor(math.log10((row["high"] - row["low"]) / 2)))
    while any((round(row[end], digits) < row["threshold"]) != (row[end] < row["threshold"]) for end in ("low", "high")):
        digits += 1
    value, low, high = (f"{round(row[key], digits) + 0.0:.{digits}f}" for key in ("value", "low", "high"))  # not -0.0
    return f"{value} [{low}, {high}]"


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


def claims_table(rows: Sequence[Row], paper: Mapping[str, Sequence[Row]]) -> str:
    """The claims as a Markdown table, each with a link to its executed notebook.

    paper: notebook name -> its rows with the profile `paper`, for those that were run with it.
    """
    heads = ["claim", "statement", *_HEADS[1:], "notebook", "profile `paper`"]
    lines = []
    for row in rows:
        claim, *others = _cells(row)
        link = f"[{row['notebook']}](results/{row['notebook']}/notebook.ipynb)"
        lines.append([claim, row["statement"], *others, link, _on_paper(row, paper.get(row["notebook"]))])
    return markdown(heads, lines)


def _on_paper(row: Row, paper: Sequence[Row] | None) -> str:
    """What the profile `paper` says of a row."""
    if paper is None:
        return "not run yet"
    found = [other for other in paper if _identity(other) == _identity(row)]
    return f"**{found[0]['verdict']}**: {span(found[0])}" if found else "–"


def verdict_table(rows: Sequence[Row]) -> str:
    """The rows of one notebook as a Markdown table, for its last page."""
    return markdown(_HEADS, [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    """What `_HEADS` names."""
    sign = "≥" if row["better"] == "higher" else "≤"
    unit = f" {row['unit']}" if row["unit"] else ""
    return [
        row["claim"],
        row["quantity"],
        f"{span(row)}{unit}",
        str(row["n"]),
        row["baseline"],
        f"{sign} {number(row['threshold'])}{unit}",
        f"**{row['verdict']}**",
    ]


def machine_table(measured: dict[str, dict[str, Any]]) -> str:
    """Time and memory per notebook as a Markdown table, and the hardware they were measured on.

    measured: notebook name -> its machine.json.
    """
    lines = []
    for name, record in measured.items():
        others = (f"{key.replace('_', ' ')}: {_short(record[key])}" for key in record if key not in MEASURED_BY_RUNNER)
        lines.append([name, f"{record['wall_seconds']:.0f} s", f"{record['peak_memory_mib']} MiB", "; ".join(others)])
    total = sum(record["wall_seconds"] for record in measured.values()) / 60
    most = max(record["peak_memory_mib"] for record in measured.values())
    lines.append(["all", f"{total:.0f} min", f"{most} MiB", ""])
    table = markdown(["notebook", "wall time", "peak memory", "also measured"], lines)
    machines = {_machine(record): None for record in measured.values()}  # In order, each once.
    return table + "\n\nMeasured on " + "; and on ".join(machines) + "."


def replace_section(text: str, name: str, content: str) -> str:
    """`text` with what stands between its markers <!-- name:begin --> and <!-- name:end --> replaced."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"README.md: needs the markers {begin} and {end}, once each and in this order")
    before, rest = text.split(begin)
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"


def comparison(committed: Sequence[Row], here: Sequence[Row]) -> str:
    """One line per claim row: the committed value, this machine's, and whether they give the same verdict."""
    before = {_identity(row): row for row in committed}
    after = {_identity(row): row for row in here}
    lines = [["claim", "in", "committed", "this machine", "unit", "verdict here", "same", "quantity"]]
    for key in after | before:
        old, new = before.get(key), after.get(key)
        same = "new" if old is None else "gone" if new is None else _same(old["verdict"], new["verdict"])
        lines.append(
            [
                key[0],
                key[1].split("-")[0],
                span(old) if old else "–",
                span(new) if new else "–",
                (new or old or {})["unit"],
                new["verdict"] if new else "–",
                same,
                key[2],
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def _same(old: str, new: str) -> str:
    return "yes" if old == new else f"NO, was {old}"


def _identity(row: Row) -> tuple[str, str, str]:
    return row["claim"], row["notebook"], row["quantity"]


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _machine(record: dict[str, Any]) -> str:
    hardware, versions = record["hardware"], record["versions"]
    gpu = "no GPU" if hardware["gpu"] == "none" else hardware["gpu"]
    cpu = re.sub(r"\s+", " ", hardware["cpu"])
    return (
        f"{hardware['cores']} cores of {cpu}, {hardware['memory_gib']} GiB, {gpu}, {hardware['system']}, "
        f"Python {versions['python']}, torch {versions['torch']}"
    )


def markdown(heads: list[str], lines: list[list[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *escaped])
