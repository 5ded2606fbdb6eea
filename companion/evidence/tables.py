"""Tables for people: the findings in README.md, results/CLAIMS.md, and one machine's rows beside another's.

It formats rows that others have computed and checked; it judges nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from companion.evidence import registry
from companion.evidence.claims import Interval, Row
from companion.evidence.families import is_random
from companion.files import MEASURED_OF_EVERY_NOTEBOOK

Identity = tuple[str, str, str]  # of a row: claim, notebook, quantity

_HEADS = ["claim", "quantity", "value [95 % interval]", "n", "baseline"]


def number(value: float) -> str:
    """Four significant digits, without an exponent where a reader can do without."""
    return f"{value:.4g}"


def plus_minus(interval: Interval, digits: int = 2, sign: str = "+") -> str:
    """mean [low, high], with the sign of each unless ``sign`` is empty."""
    return f"{interval.mean:{sign}.{digits}f} [{interval.low:{sign}.{digits}f}, {interval.high:{sign}.{digits}f}]"


def span(row: Row, low: str = "low", high: str = "high") -> str:
    """value [low, high] of a row; the value alone where it is one point.

    To two digits of half the interval, or as many as keep its ends on their side of a threshold.
    low, high: the keys of the ends.
    """
    if row[low] == row[high]:
        return number(row["value"])
    digits = max(0, 1 - math.floor(math.log10((row[high] - row[low]) / 2)))
    limits = [row["threshold"]] if row["threshold"] is not None else []
    if row["margin"] is not None:
        limits.append(-row["threshold"])
    while any((round(row[end], digits) < limit) != (row[end] < limit) for end in (low, high) for limit in limits):
        digits += 1
    texts = [f"{round(row[key], digits) + 0.0:.{digits}f}" for key in ("value", low, high)]  # not -0.0
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def adjusted(row: Row) -> str:
    """value [low, high] of a judged row, the ends of its adjusted interval, with its unit."""
    return f"{span(row, 'adjusted_low', 'adjusted_high')} {row['unit']}".rstrip()


def required(row: Row) -> str:
    """The threshold of a primary row, such as "at least 0.5 points"."""
    words = "at least" if row["better"] == "higher" else "at most"
    return f"{words} {number(row['threshold'])} {row['unit']}".rstrip()


def seeds_used(row: Row) -> str:
    """The n of a row, and of how many at most, where more could have been asked."""
    return f"{row['n']} of {row['looks'][-1]}" if row["looks"] else str(row["n"])


def outcome(row: Row) -> str:
    """The verdict of a judged row; of an inconclusive one with the number of seeds that would decide it."""
    if row["verdict"] != "inconclusive":
        return row["verdict"]
    seeds = row["seeds_to_decide"]
    return f"inconclusive ({f'{seeds} seeds' if seeds else 'more seeds than anybody would train'} would decide)"


def findings(rows: Sequence[Row]) -> str:
    """One line per primary row as a Markdown table for README.md. rows: judged ones."""
    lines = []
    for name, claim in registry.CLAIMS.items():
        primary = [row for row in rows if row["claim"] == name and row["primary"]]
        told = claim.sentence + (" (our own question)" if claim.own else "")
        if not primary:
            lines.append([name, told, "not run yet", "", "", ""])
        for index, row in enumerate(primary):
            first = [name, told] if index == 0 else ["", ""]
            measured = f"{row['quantity']}: **{adjusted(row)}**"
            lines.append([*first, measured, required(row), row["verdict"], _link(row["notebook"], "results/")])
    heads = ["", "claim, in this companion's words", "measured [interval]", "asked for", "verdict", "notebook"]
    return markdown(heads, lines)


def claims_page(
    rows: Sequence[Row],
    larger: Mapping[str, Mapping[str, Sequence[Row]]],
    records: Mapping[str, Mapping[str, Any]],
) -> str:
    """results/CLAIMS.md: every row, how primary ones are judged, what it took to compute, what it does not show.

    rows: judged ones.
    larger: profile -> notebook name -> its rows with that profile, for those that were run with it.
    records: notebook name -> its machine.json.
    """
    template = Path(__file__).with_name("claims_page.md").read_text(encoding="utf-8")
    return template.format(
        primary=primary_table(rows),
        measurements=measurements_table(rows, larger),
        machine=machine_table(records),
    )


def primary_table(rows: Sequence[Row]) -> str:
    """The judged rows as a Markdown table: what was asked, why, the adjusted interval, the verdict."""
    heads = [
        "claim",
        "source",
        "statement",
        "quantity",
        "asked for",
        "since",
        "n",
        "value [adjusted interval]",
        "verdict",
    ]
    lines = []
    for row in rows:
        if row["primary"]:
            claim = registry.CLAIMS[row["claim"]]
            asked = [required(row), row["reason"], seeds_used(row), adjusted(row), f"**{outcome(row)}**"]
            lines.append([row["claim"], claim.source, row["statement"], row["quantity"], *asked])
    return markdown(heads, lines)


def measurements_table(rows: Sequence[Row], larger: Mapping[str, Mapping[str, Sequence[Row]]]) -> str:
    """Every row as a line of a Markdown table, with a link to its executed notebook. larger: as in ``claims_page``."""
    heads = ["claim", "statement", *_HEADS[1:], "notebook", *(f"profile `{profile}`" for profile in larger)]
    lines = []
    for row in rows:
        claim, *others = _cells(row)
        elsewhere = [measured_in(row, of_profile) for of_profile in larger.values()]
        lines.append([claim, row["statement"], *others, _link(row["notebook"]), *elsewhere])
    return markdown(heads, lines)


def measured_in(row: Row, profile: Mapping[str, Sequence[Row]]) -> str:
    """What another profile measured of a row. profile: its rows, by notebook."""
    others = profile.get(row["notebook"])
    if others is None:
        return "not run"
    same = [other for other in others if identity(other) == identity(row)]
    return _with_unit(same[0]) if same else "–"


def rows_table(rows: Sequence[Row]) -> str:
    """The rows of one notebook as a Markdown table, for its last page, and what is asked of the primary ones."""
    asked = [f"* {row['quantity']}: {required(row)}, since {row['reason']}." for row in rows if row["primary"]]
    words = (
        "Asked for, together with what the other notebooks ask for; the verdicts on all of it are in "
        "`results/CLAIMS.md`:"
    )
    return markdown(_HEADS, [_cells(row) for row in rows]) + ("\n\n" + "\n".join([words, "", *asked]) if asked else "")


def _cells(row: Row) -> list[str]:
    """What `_HEADS` names."""
    return [row["claim"], row["quantity"], _with_unit(row), str(row["n"]), row["baseline"]]


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
    """For each notebook whether its rows are identical or which are not, then each primary row and its verdict.

    committed, here: judged rows.
    """
    before = {identity(row): row for row in committed}
    after = {identity(row): row for row in here}
    names = sorted({notebook for _, notebook, _ in before | after})
    lines = []
    for name in names:
        keys = [key for key in after | before if key[1] == name]
        lines.append(f"{name}: {_differences([(before.get(key), after.get(key)) for key in keys])}")
    heads = ["claim", "in", "committed", "this machine", "unit", "verdict here", "same", "quantity"]
    # tabulate would read numbers in the cells and set them anew.
    table = tabulate(_compared(before, after), heads, tablefmt="plain", disable_numparse=True)
    return "\n".join(lines) + "\n\n" + table


def _differences(pairs: Sequence[tuple[Row | None, Row | None]]) -> str:
    """Of the rows of one notebook, as committed and here."""
    measured = [(old, new) for old, new in pairs if old is not None and new is not None]
    others = [(old, new) for old, new in measured if any(old[key] != new[key] for key in ("value", "low", "high", "n"))]
    missing = len(pairs) - len(measured)
    if not others and not missing:
        return f"identical ({len(pairs)} rows)"
    texts = [f"{len(others)} of {len(measured)} rows differ"] if others else []
    if missing:
        texts.append(f"{missing} are new or gone")
    shifts = [abs(new["value"] - old["value"]) / (old["high"] - old["low"]) for old, new in others if is_random(old)]
    if shifts:
        texts.append(f"by at most {max(shifts):.2g} of a 95 % interval's length")
    exact = [
        f"{old['quantity']}: {number(old['value'])} is {number(new['value'])}"
        for old, new in others
        if not is_random(old)
    ]
    return "; ".join(texts + exact)


def _compared(before: dict[Identity, Row], after: dict[Identity, Row]) -> Iterator[list[str]]:
    """The lines of ``comparison`` for primary rows."""
    for key in after | before:
        old, new = before.get(key), after.get(key)
        known = new or old or {}
        if known["primary"]:
            same = "new" if old is None else "gone" if new is None else _same(old["verdict"], new["verdict"])
            values = [span(row, "adjusted_low", "adjusted_high") if row else "–" for row in (old, new)]
            claim, notebook, quantity = key
            verdict = new["verdict"] if new else "–"
            yield [claim, notebook.split("-")[0], *values, known["unit"], verdict, same, quantity]


def _same(old: str, new: str) -> str:
    return "yes" if old == new else f"NO, was {old}"


def identity(row: Row) -> Identity:
    return row["claim"], row["notebook"], row["quantity"]


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _machine(record: Mapping[str, Any]) -> str:
    hardware, versions = record["hardware"], record["versions"]
    gpu = "no GPU" if hardware["gpu"] == "none" else hardware["gpu"]
    cpu = re.sub(r"\s+", " ", hardware["cpu"])
    return (
        f"{hardware['cores']} cores of {cpu} ({hardware['family']}), {hardware['settings']} instructions "
        f"({hardware['instructions']}), {hardware['memory_gib']} GiB, {gpu}, "
        f"{hardware['system']}, Python {versions['python']}, torch {versions['torch']}"
    )


def markdown(heads: list[str], lines: list[list[str]]) -> str:
    """A Markdown table whose cells are not padded, so that a change of one row is a change of one line."""
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *escaped])
