"""What each look spends, by hand."""

import math
from typing import Any

import pytest

from companion.evidence import sequential


def test_what_each_look_spends_by_hand() -> None:
    """After half of the seeds ln(1 + (e - 1) / 2), after all of them everything."""
    half = math.log(1 + (math.e - 1) / 2)
    assert sequential.shares([10, 20]) == pytest.approx([half, 1 - half])
    assert sum(sequential.shares([5, 10, 20, 40])) == pytest.approx(1)
    assert sequential.shares([7]) == [pytest.approx(1)]
    assert sequential.share([10, 20], 20) == pytest.approx(1 - half)
    assert sequential.share(None, 3) == 1


def test_looks_rise_and_hold_the_number_asked_for() -> None:
    wrong: list[Any] = [[], [1, 2], [5, 5], [10, 5], [2.0, 3], [True, 2]]
    for looks in wrong:
        with pytest.raises(ValueError, match="looks must be rising numbers of seeds"):
            sequential.check(looks)
    with pytest.raises(ValueError, match=r"n must be one of the looks \[5, 10\], got 7"):
        sequential.share([5, 10], 7)
