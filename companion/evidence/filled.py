"""The rows of a notebook: it fills in the numbers of those that ``rows`` declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from companion.evidence import claims, families, sequential, tables
from companion.evidence.rows import PRIMARY, ROWS

Measured = Callable[[int], tuple[claims.Interval, str]]  # from a number of seeds to its interval and the baseline


class Filled:
    """The rows of one notebook, to be filled in: ``fill`` each, then ``write``.

    Args:
        notebook: its NN-name.
        parameters: those of its parameters that the declared rows name.

    A primary row over seeds is filled in by ``until_decided``.
    """

    def __init__(self, notebook: str, **parameters: Any) -> None:
        if notebook not in ROWS:
            raise ValueError(f"notebook must be one of {', '.join(ROWS)}, got {notebook!r}")
        self.notebook, self.parameters = notebook, parameters
        self.filled: list[tuple[str, claims.Row]] = []

    def fill(self, name: str, interval: claims.Interval, baseline: str, **words: Any) -> claims.Row:
        """The row declared as ``name``; ``words`` fill further braces of its text.

        ``baseline`` says what the value is compared with, such as "conv: 86.7 %", built from a number.

        Raises:
            ValueError: no row of this name is declared, or it is filled in already, or a parameter is missing.
        """
        row = self._row(name, interval, baseline, None, words)
        self.filled.append((name, row))
        return row

    def until_decided(self, name: str, measured: Measured, looks: Sequence[int], **words: Any) -> pd.DataFrame:
        """The primary row declared as ``name`` with the first of ``looks`` that decides it, or the last.

        It is decided when it has a verdict whatever all other primary rows say.

        Args:
            measured: from a number of seeds to the interval over as many, and the baseline, as for ``fill``; called
                with each of ``looks``, in order, until the row is decided.
            looks: rising numbers of seeds.

        Returns:
            A table to print: the value and the interval that decides at every look, and the verdict by then.

        Raises:
            ValueError: as ``fill``; or ``looks`` do not rise; or an interval is over another number of seeds.
        """
        sequential.check(looks)
        table = {}
        for n in looks:
            interval, baseline = measured(n)
            if interval.n != n:
                raise ValueError(
                    f"{self.notebook}: row {name!r} is asked for {n} seeds, and measured with {interval.n}"
                )
            row = self._row(name, interval, baseline, looks, words)
            verdict, low, high = families.alone(row, PRIMARY)
            table[n] = {"value": row["value"], "low": low, "high": high, "verdict": verdict}
            if verdict != "inconclusive":
                break
        self.filled.append((name, row))
        heads = f"adjusted interval, {row['unit']}".removesuffix(", ")
        return pd.DataFrame.from_dict(table, orient="index").rename_axis(index="seeds", columns=heads)

    def _row(
        self, name: str, interval: claims.Interval, baseline: str, looks: Sequence[int] | None, words: Mapping[str, Any]
    ) -> claims.Row:
        declared = ROWS[self.notebook].get(name)
        if declared is None:
            names = ", ".join(map(repr, ROWS[self.notebook]))
            raise ValueError(f"{self.notebook}: no row {name!r} is declared in companion/evidence/rows.py: {names}")
        if not declared.repeated and any(other == name for other, _ in self.filled):
            raise ValueError(f"{self.notebook}: row {name!r} is filled in twice")
        known = {**self.parameters, **words}
        try:
            threshold = limit(declared.threshold, known) if declared.primary else None
            statement, quantity = declared.statement.format(**known), declared.quantity.format(**known)
        except KeyError as error:
            raise ValueError(f"{self.notebook}: row {name!r} needs the parameter {error}") from None
        return claims.row(
            claim=declared.claim,
            notebook=self.notebook,
            statement=statement,
            quantity=quantity,
            unit=declared.unit,
            interval=interval,
            better=declared.better,
            baseline=baseline,
            threshold=threshold,
            margin=abs(threshold) if declared.difference and threshold is not None else None,
            reason=declared.reason.format(**known) if declared.primary else None,
            looks=looks,
        )

    def write(self) -> Filled:
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

    def __repr__(self) -> str:
        return f"{len(self.filled)} rows of {self.notebook}"  # without an address, which differs from run to run

    def _repr_markdown_(self) -> str:
        return tables.rows_table([row for _, row in self.filled])


def limit(name: str, parameters: Mapping[str, float]) -> float:
    """The parameter of this name; "-name" is its negative."""
    value = parameters[name.removeprefix("-")]
    return -value if name.startswith("-") else value
