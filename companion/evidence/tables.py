"""Tables for people: the findings in README.md, results/CLAIMS.md, and one machine's claims beside another's.

It formats rows that others have computed and checked; it judges nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from companion.evidence import registry
from companion.evidence.claims import VERDICTS, Interval, Row
from companion.evidence.rows import ROWS
from companion.files import MEASURED_OF_EVERY_NOTEBOOK

_HEADS = ["claim", "quantity", "value [95 % interval]", "n", "baseline", "threshold", "verdict"]


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


def findings(rows: Sequence[Row]) -> str:
    """One line per claim as a Markdown table for README.md: its primary row, and how many of its rows reproduced."""
    lines = []
    for claim, row in primary_rows(rows).items():
        sentence = registry.CLAIMS[claim].sentence
        if row is None:
            lines.append([claim, sentence, "not run yet", "", "", ""])
            continue
        verdicts = [other["verdict"] for other in rows if other["claim"] == claim]
        share = f"{verdicts.count('reproduced')} of {len(verdicts)}"
        measured = f"{row['quantity']}: **{_with_unit(row)}**"
        lines.append([claim, sentence, measured, row["verdict"], share, _link(row["notebook"], "results/")])
    heads = [
        "",
        "claim, in this companion's words",
        "measured [95 % interval]",
        "verdict",
        "rows reproduced",
        "notebook",
    ]
    return markdown(heads, lines)


def primary_rows(rows: Sequence[Row]) -> dict[str, Row | None]:
    """The row by which each claim is quoted; None where its notebook has not been run."""
    quoted: dict[str, Row | None] = dict.fromkeys(registry.CLAIMS)
    for notebook, of_notebook in ROWS.items():
        for declared in of_notebook.values():
            if declared.primary:
                wanted = [row for row in rows if (row["claim"], row["notebook"]) == (declared.claim, notebook)]
                same = [row for row in wanted if re.fullmatch(pattern(declared.quantity), row["quantity"])]
                quoted[declared.claim] = same[0] if same else None
    return quoted


def pattern(template: str) -> str:
    """The regular expression that a text with braces, as declared in ``rows``, becomes when they are filled in."""
    return ".+".join(re.escape(words) for words in re.split(r"\{[^}]*\}", template))


def claims_page(
    rows: Sequence[Row], paper: Mapping[str, Sequence[Row]], records: Mapping[str, Mapping[str, Any]]
) -> str:
    """results/CLAIMS.md: every row, how it is judged, what it took to compute, and what it does not show.

    paper: notebook name -> its rows with the profile `paper`, for those that were run with it.
    records: notebook name -> its machine.json.
    """
    template = Path(__file__).with_name("claims_page.md").read_text(encoding="utf-8")
    return template.format(
        overview=overview_table(rows), claims=claims_table(rows, paper), machine=machine_table(records)
    )


def overview_table(rows: Sequence[Row]) -> str:
    """One line per claim as a Markdown table: its sentence, its source, its notebooks, and its rows by verdict."""
    lines = []
    for name, claim in registry.CLAIMS.items():
        of_claim = [row for row in rows if row["claim"] == name]
        counts = Counter(row["verdict"] for row in of_claim)
        links = ", ".join(map(_link, dict.fromkeys(row["notebook"] for row in of_claim)))
        cells = (str(counts[verdict] or "") for verdict in VERDICTS)
        lines.append([name, claim.sentence, claim.source, *cells, links])
    return markdown(["claim", "in a sentence", "source", *VERDICTS, "tested in"], lines)


def claims_table(rows: Sequence[Row], paper: Mapping[str, Sequence[Row]]) -> str:
    """Every row as a line of a Markdown table, with a link to its executed notebook. paper: as in ``claims_page``."""
    heads = ["claim", "statement", *_HEADS[1:], "notebook", "profile `paper`"]
    lines = []
    for row in rows:
        claim, *others = _cells(row)
        on_paper = _on_paper(row, paper.get(row["notebook"]))
        lines.append([claim, row["statement"], *others, _link(row["notebook"]), on_paper])
    return markdown(heads, lines)


def _on_paper(row: Row, paper: Sequence[Row] | None) -> str:
    """What the profile `paper` says of a row."""
    if paper is None:
        return "not run yet"
    same = [other for other in paper if _identity(other) == _identity(row)]
    return f"**{same[0]['verdict']}**: {span(same[0])}" if same else "–"


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
        _with_unit(row),
        str(row["n"]),
        row["baseline"],
        f"{sign} {number(row['threshold'])}{unit}",
        f"**{row['verdict']}**",
    ]


def _with_unit(row: Row) -> str:
    return f"{span(row)} {row['unit']}".rstrip()


def _link(notebook: str, folder: str = "") -> str:
    """A link to an executed notebook; folder: that of the results, as the page with the link sees it."""
    return f"[{notebook}]({folder}{notebook}/notebook.ipynb)"


def machine_table(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Time and memory per notebook as a Markdown table, and the hardware they were measured on.

    records: notebook name -> its machine.json.
    """
    lines = []
    for name, record in records.items():
        others = (
            f"{key.replace('_', ' ')}: {_short(record[key])}" for key in record if key not in MEASURED_OF_EVERY_NOTEBOOK
        )
        lines.append([name, f"{record['wall_seconds']:.0f} s", f"{record['peak_memory_mib']} MiB", "; ".join(others)])
    total = sum(record["wall_seconds"] for record in records.values()) / 60
    most = max(record["peak_memory_mib"] for record in records.values())
    lines.append(["all", f"{total:.0f} min", f"{most} MiB", ""])
    table = markdown(["notebook", "wall time", "peak memory", "also measured"], lines)
    machines = {_machine(record): None for record in records.values()}  # In order, each once.
    return table + "\n\nMeasured on " + "; and on ".join(machines) + "."


def replace_section(text: str, name: str, content: str) -> str:
    """`text` with what stands between its markers <!-- name:begin --> and <!-- name:end --> replaced."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the text needs the markers {begin} and {end}, once each and in this order")
    before, rest = text.split(begin)
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"


def comparison(committed: Sequence[Row], here: Sequence[Row]) -> str:
    """One line per claim row: the committed value, this machine's, and whether they give the same verdict."""
    heads = ["claim", "in", "committed", "this machine", "unit", "verdict here", "same", "quantity"]
    # tabulate would read numbers in the cells and set them anew.
    return tabulate(_compared(committed, here), heads, tablefmt="plain", disable_numparse=True)


def _compared(committed: Sequence[Row], here: Sequence[Row]) -> Iterator[list[str]]:
    """The lines of ``comparison``."""
    before = {_identity(row): row for row in committed}
    after = {_identity(row): row for row in here}
    for key in after | before:
        claim, notebook, quantity = key
        old, new = before.get(key), after.get(key)
        same = "new" if old is None else "gone" if new is None else _same(old["verdict"], new["verdict"])
        values = [span(row) if row else "–" for row in (old, new)]
        unit = (new or old or {})["unit"]
        yield [claim, notebook.split("-")[0], *values, unit, new["verdict"] if new else "–", same, quantity]


def _same(old: str, new: str) -> str:
    return "yes" if old == new else f"NO, was {old}"


def _identity(row: Row) -> tuple[str, str, str]:
    return row["claim"], row["notebook"], row["quantity"]


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _machine(record: Mapping[str, Any]) -> str:
    hardware, versions = record["hardware"], record["versions"]
    gpu = "no GPU" if hardware["gpu"] == "none" else hardware["gpu"]
    cpu = re.sub(r"\s+", " ", hardware["cpu"])
    return (
        f"{hardware['cores']} cores of {cpu} ({hardware['instructions']}), {hardware['memory_gib']} GiB, {gpu}, "
        f"{hardware['system']}, Python {versions['python']}, torch {versions['torch']}"
    )


def markdown(heads: list[str], lines: list[list[str]]) -> str:
    """A Markdown table whose cells are not padded, so that a change of one row is a change of one line."""
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *escaped])
