"""The claims, and the rows that test them: declared here, before a run; a notebook fills in its numbers.

A row's threshold is a parameter of its notebook, whose value stands in ``profiles/``. How an interval becomes a verdict
is ``claims``'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from companion.evidence import claims, tables


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, or a question of this companion's own.

    Args:
        sentence: the claim in this companion's words.
        source: where it comes from: the numbers of the sentences of the paper's abstract, or "own question".
        figure: the notebook and the figure that show the answer best.
    """

    sentence: str
    source: str
    figure: tuple[str, str]


@dataclass(frozen=True)
class Declared:
    """A row as declared; ``statement`` and ``quantity`` may name parameters of the notebook in braces.

    Args:
        claim: "C1" to "C11".
        statement: the claim in words, as far as this row tests it.
        quantity, unit: what is measured; no unit is "".
        threshold: the parameter of the notebook that holds it; "-name" is its negative.
        better: whether "higher" or "lower" values are.
        primary: whether this is the row by which the claim is quoted, one for each claim.
        repeated: whether the notebook fills it in several times, with other words each time, or not at all.
    """

    claim: str
    statement: str
    quantity: str
    unit: str
    threshold: str
    better: Literal["higher", "lower"]
    primary: bool = False
    repeated: bool = False


CLAIMS: dict[str, Claim] = {}

# By notebook and by a short name, which the notebook uses.
ROWS: dict[str, dict[str, Declared]] = {}


class Verdicts:
    """The rows of one notebook, to be filled in: ``fill`` each, then ``write``.

    Args:
        notebook: its NN-name.
        parameters: those of its parameters that the declared rows name.
    """

    def __init__(self, notebook: str, **parameters: Any) -> None:
        if notebook not in ROWS:
            raise ValueError(f"notebook must be one of {', '.join(ROWS)}, got {notebook!r}")
        self.notebook, self.parameters = notebook, parameters
        self.filled: list[tuple[str, claims.Row]] = []

    def fill(self, name: str, interval: claims.Interval, baseline: str, **words: Any) -> claims.Row:
        """The row declared as ``name``, with its verdict; ``words`` fill further braces of its text.

        ``baseline`` says what the value is compared with, such as "conv: 86.7 %", built from a number.

        Raises:
            ValueError: no row of this name is declared, or it is filled in already, or a parameter is missing.
        """
        declared = ROWS[self.notebook].get(name)
        if declared is None:
            names = ", ".join(map(repr, ROWS[self.notebook]))
            raise ValueError(f"{self.notebook}: no row {name!r} is declared in companion/evidence/registry.py: {names}")
        if not declared.repeated and any(other == name for other, _ in self.filled):
            raise ValueError(f"{self.notebook}: row {name!r} is filled in twice")
        known = self.parameters | words
        try:
            threshold = known[declared.threshold.removeprefix("-")]
            statement, quantity = declared.statement.format(**known), declared.quantity.format(**known)
        except KeyError as error:
            raise ValueError(f"{self.notebook}: row {name!r} needs the parameter {error}") from None
        row = claims.row(
            claim=declared.claim,
            notebook=self.notebook,
            statement=statement,
            quantity=quantity,
            unit=declared.unit,
            interval=interval,
            threshold=-threshold if declared.threshold.startswith("-") else threshold,
            better=declared.better,
            baseline=baseline,
        )
        self.filled.append((name, row))
        return row

    def write(self) -> Verdicts:
        """Write the rows to metrics.json, in the order of their declaration; shown, they are a table.

        Raises:
            ValueError: a declared row is not filled in.
        """
        names = list(ROWS[self.notebook])
        given = {name for name, _ in self.filled}
        missing = [name for name in names if name not in given and not ROWS[self.notebook][name].repeated]
        if missing:
            raise ValueError(f"{self.notebook}: not filled in: {', '.join(map(repr, missing))}")
        self.filled.sort(key=lambda item: names.index(item[0]))
        claims.write(row for _, row in self.filled)
        return self

    def _repr_markdown_(self) -> str:
        return tables.verdict_table([row for _, row in self.filled])
