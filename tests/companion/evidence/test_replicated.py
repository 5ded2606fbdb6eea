"""Rows of other seeds beside the committed ones: verdicts that are the same, intervals that do not overlap."""

from typing import Any

import pytest

from companion.evidence import claims, replicated


def a_row(quantity: str, low: float, high: float, verdict: str = "reproduced", **changes: Any) -> claims.Row:
    words = {"claim": "C7", "notebook": "02-misalignment", "unit": "px", "baseline": "none: 1 px", "quantity": quantity}
    numbers = {"value": (low + high) / 2, "low": low, "high": high, "threshold": None, "margin": None}
    return {**words, **numbers, "primary": True, "verdict": verdict, **changes}


OWN = [a_row("first", 1.0, 2.0), a_row("second", 1.0, 2.0), a_row("third", 1.0, 2.0, primary=False)]


def test_verdicts_are_counted_where_there_are_two() -> None:
    others = [a_row("first", 1.0, 2.0, "inconclusive"), a_row("second", 1.0, 2.0), a_row("new", 1.0, 2.0)]
    assert replicated.same_verdicts(OWN, others) == "1 of 2"
    assert replicated.same_verdicts(OWN, []) == "0 of 0"


@pytest.mark.parametrize(("low", "high", "count"), [(2.0, 3.0, 0), (2.1, 3.0, 1), (0.0, 0.9, 1), (0.0, 1.0, 0)])
def test_intervals_that_touch_are_not_apart(low: float, high: float, count: int) -> None:
    others = [a_row("third", low, high, primary=False), a_row("first", 1.0, 2.0)]
    assert len(replicated.apart(OWN, others)) == count
    table = replicated.apart_table(OWN, others)
    assert table.startswith(f"95 % intervals that do not overlap: {count} of 2 rows.")
    assert ("| C7 | third | px | 1.50 [1.00, 2.00] |" in table) == bool(count)
