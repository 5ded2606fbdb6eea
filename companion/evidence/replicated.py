"""What other seeds say of the committed rows: how many verdicts are the same, and which measurements are others.

It compares judged rows that others have computed, and knows nothing of where they lie.
"""

from __future__ import annotations

from collections.abc import Sequence

from companion.evidence.claims import Row
from companion.evidence.tables import adjusted, identity, markdown, span


def pairs(rows: Sequence[Row], replicated: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Each row with that of other seeds, where there is one."""
    others = {identity(row): row for row in replicated}
    return [(row, others[identity(row)]) for row in rows if identity(row) in others]


def changed(rows: Sequence[Row], replicated: Sequence[Row]) -> list[tuple[Row, Row]]:
    """The pairs of judged rows with another verdict."""
    return [(row, other) for row, other in pairs(rows, replicated) if row["verdict"] != other["verdict"]]


def same_verdicts(rows: Sequence[Row], replicated: Sequence[Row]) -> str:
    """How many verdicts came out the same, as "6 of 7"."""
    count = sum(row["primary"] for row, _ in pairs(rows, replicated))
    return f"{count - len(changed(rows, replicated))} of {count}"


def asked_with(changed_since: bool) -> str:
    """With what the replicated rows were asked, where what they depend on has changed since or not."""
    return "other seeds and earlier code or parameters" if changed_since else "other seeds"


def verdicts_table(rows: Sequence[Row], replicated: Sequence[Row], changed_since: bool) -> str:
    """How many verdicts came out the same, and a table of both."""
    if not replicated:
        return "Not run yet: `make repro SEEDS=other` computes everything with other seeds."
    heads = ["claim", "quantity", "these seeds", "verdict", "other seeds", "verdict"]
    lines = [
        [row["claim"], row["quantity"], adjusted(row), row["verdict"], adjusted(other), f"**{other['verdict']}**"]
        for row, other in pairs(rows, replicated)
        if row["primary"]
    ]
    told = f"{same_verdicts(rows, replicated)} verdicts are the same with {asked_with(changed_since)}."
    return f"{told}\n\n{markdown(heads, lines)}"


def apart(rows: Sequence[Row], replicated: Sequence[Row]) -> list[tuple[Row, Row]]:
    """The pairs whose 95 % intervals have no value in common: chance alone should make few."""
    return [
        (row, other)
        for row, other in pairs(rows, replicated)
        if row["high"] < other["low"] or other["high"] < row["low"]
    ]


def apart_table(rows: Sequence[Row], replicated: Sequence[Row]) -> str:
    """How many measurements are apart, and a table of them."""
    found = apart(rows, replicated)
    told = f"95 % intervals that do not overlap: {len(found)} of {len(pairs(rows, replicated))} rows."
    if not found:
        return told
    heads = [
        "claim",
        "quantity",
        "unit",
        "these seeds",
        "other seeds",
        "these seeds' baseline",
        "other seeds' baseline",
    ]
    lines = [
        [row["claim"], row["quantity"], row["unit"], span(row), span(other), row["baseline"], other["baseline"]]
        for row, other in found
    ]
    return f"{told}\n\n{markdown(heads, lines)}"
