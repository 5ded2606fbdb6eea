"""The verdicts of all primary rows together, so that the chance of even one wrong verdict stays small.

Each random row asks two one-sided questions: is the value surely on the better side of the threshold, is it surely on
the worse side? The questions of either kind are a family of their own, in which Holm's procedure (S. Holm, A simple
sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979) keeps the chance of any
wrong answer at half of ``LEVEL``, however the rows depend on each other. The ends of a row's adjusted interval are at
the levels at which its two questions were asked, and the verdict is read from that interval.

Whether a value surely exceeds the negative of the threshold, which *no difference* needs, is asked at the level of the
first question, which it precedes: this is Holm's procedure with the weight of a row passed on only by its last question
(F. Bretz, W. Maurer, W. Brannath and M. Posch, A graphical approach to sequentially rejective multiple test procedures,
Statistics in Medicine 28, 2009). A row without randomness is in no family: its value is its interval.

A row whose seeds were added until it was decided spent a part of each level at each look (``sequential``): its p-values
and the ends of its interval are those of the look at which it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy import special

from companion.evidence import claims, sequential
from companion.evidence.claims import Row

LEVEL = 0.05  # the chance of any wrong verdict among all rows
VERDICTS = ("reproduced", "no difference", "not reproduced", "inconclusive")
JUDGED = ("verdict", "adjusted_low", "adjusted_high", "seeds_to_decide")  # what is added to a row
MOST_SEEDS = 10_000  # beyond which nobody would train


def judged(rows: Iterable[Row]) -> list[Row]:
    """The rows with a verdict, an adjusted interval and, where inconclusive, the number of seeds that would decide.

    All are None for a measurement. The seeds are those with which an interval of the same level, about the same mean
    and with the same deviation, would exclude the threshold; None where ``MOST_SEEDS`` would not do.
    """
    rows = list(rows)
    random = [index for index, row in enumerate(rows) if row["primary"] and is_random(row)]
    better = holm([p_value(rows[index], 1) for index in random], LEVEL / 2)
    worse = holm([p_value(rows[index], -1) for index in random], LEVEL / 2)
    levels = dict(zip(random, zip(better, worse, strict=True), strict=True))
    return [row | judgement(row, levels.get(index)) for index, row in enumerate(rows)]


def alone(row: Row, questions: int) -> tuple[str, float, float]:
    """The verdict that a primary row has whatever the others say, with its interval, where rows ask ``questions``.

    Holm's procedure tests none at less than this. So a row that is decided by it needs no further seeds.
    """
    found = judgement(row, (LEVEL / 2 / questions,) * 2 if is_random(row) else None)
    return found["verdict"], found["adjusted_low"], found["adjusted_high"]


def judgement(row: Row, levels: tuple[float, float] | None) -> Row:
    """What is added to a row; ``levels`` are those of its two questions, None without randomness."""
    if not row["primary"]:
        return dict.fromkeys(JUDGED)
    if levels is None:
        found = verdict(row, row["low"], row["high"])
        return {"verdict": found, "adjusted_low": row["low"], "adjusted_high": row["high"], "seeds_to_decide": None}
    low, high = adjusted(row, levels)
    found = verdict(row, low, high)
    return {
        "verdict": found,
        "adjusted_low": low,
        "adjusted_high": high,
        "seeds_to_decide": seeds_to_decide(row, min(levels) * sequential.share(row["looks"], row["n"]))
        if found == "inconclusive"
        else None,
    }


def adjusted(row: Row, levels: tuple[float, float]) -> tuple[float, float]:
    """The ends of the interval of a random row, at the levels of its two questions."""
    part = sequential.share(row["looks"], row["n"])
    below, above = (level * part for level in (levels if row["better"] == "higher" else levels[::-1]))
    error = standard_error(row)
    return row["value"] - quantile(below, row["n"]) * error, row["value"] + quantile(above, row["n"]) * error


def verdict(row: Row, low: float, high: float) -> str:
    """*Reproduced*: the interval is at the threshold or better. *No difference*: of a difference, it lies between the
    threshold and its negative. *Not reproduced*: all of it is worse. *Inconclusive*: it straddles the threshold."""
    sign = 1 if row["better"] == "higher" else -1
    reached = [sign * (end - row["threshold"]) >= 0 for end in (low, high)]
    if all(reached):
        return "reproduced"
    if row["margin"] is not None and -row["margin"] < low and high < row["margin"]:
        return "no difference"
    return "inconclusive" if any(reached) else "not reproduced"


def holm(p_values: Sequence[float], level: float) -> list[float]:
    """The level at which Holm's procedure tests each hypothesis, all together at ``level``.

    In rising order of p they are tested at level / m, level / (m - 1), …, until one is not rejected; those from there
    on have its level.
    """
    levels = [0.0] * len(p_values)
    remaining = len(p_values)
    rejecting = True
    for index in np.argsort(p_values, kind="stable"):
        levels[index] = level / remaining
        rejecting = rejecting and p_values[index] <= levels[index]
        remaining -= rejecting
    return levels


def p_value(row: Row, side: int) -> float:
    """Of the one-sided test that the value is on the better side of the threshold (1) or on the worse (-1).

    It is the level that both would have to be tested at, over all looks, for this one to reject.
    """
    sign = side if row["better"] == "higher" else -side
    here = float(special.stdtr(row["n"] - 1, sign * (row["threshold"] - row["value"]) / standard_error(row)))
    return min(1.0, here / sequential.share(row["looks"], row["n"]))


def is_random(row: Row) -> bool:
    return row["low"] < row["high"]


def standard_error(row: Row) -> float:
    """Of the mean, from the row's own interval, which is at 95 % by Student's t distribution."""
    return (row["high"] - row["low"]) / 2 / quantile(0.025, row["n"])


def quantile(level: float, n: int) -> float:
    """What Student's t with n - 1 degrees of freedom exceeds with probability ``level``."""
    return -float(special.stdtrit(n - 1, level))


def seeds_to_decide(row: Row, level: float) -> int | None:
    """With which a bound at this level about the same mean would exclude the threshold."""
    deviation = standard_error(row) * math.sqrt(row["n"])
    distance = abs(row["value"] - row["threshold"])
    low, high = row["n"], MOST_SEEDS
    while high - low > 1:  # more seeds bring a narrower interval
        middle = (low + high) // 2
        enough = quantile(level, middle) * deviation / math.sqrt(middle) < distance
        low, high = (low, middle) if enough else (middle, high)
    return high if quantile(level, high) * deviation / math.sqrt(high) < distance else None


def read(path: Path) -> list[Row]:
    """The rows of a claims.json, whose judgements must be those of its numbers.

    Raises:
        ValueError: the file is none, or a judgement is another.
        FileNotFoundError: there is none.
    """
    rows = claims.parsed(path)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: holds no row")
    plain = [{key: value for key, value in row.items() if key not in JUDGED} for row in rows]
    for index, row in enumerate(plain):
        claims.check_row(row, f"{path}, row {index + 1}")
    for index, (row, again) in enumerate(zip(rows, judged(plain), strict=True)):
        if not same(row, again):
            raise ValueError(f"{path}, row {index + 1}: the numbers of all rows say {again['verdict']!r}, the row not")
    return rows


def same(row: Row, other: Row) -> bool:
    """Whether two rows agree, their adjusted intervals up to rounding."""
    ends = ("adjusted_low", "adjusted_high")
    close = all(
        row[end] == other[end] or (row[end] and other[end] and math.isclose(row[end], other[end], rel_tol=1e-9))
        for end in ends
    )
    return close and {key: row[key] for key in row if key not in ends} == {
        key: other[key] for key in other if key not in ends
    }
