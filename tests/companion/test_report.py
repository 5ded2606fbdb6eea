"""Numbers as people read them."""

import pytest

from companion.evidence import tables


@pytest.mark.parametrize(
    ("value", "low", "high", "threshold", "said"),
    [
        (0.2, -0.04771, 0.4477, -1, "0.20 [-0.05, 0.45]"),
        (1.72, 0.009566, 3.43, 0.5, "1.7 [0.0, 3.4]"),
        (1.72, -0.009566, 3.45, 0.5, "1.7 [0.0, 3.5]"),
        (1.72, -0.009566, 3.43, 0, "1.72 [-0.01, 3.43]"),  # inconclusive, and seen to be
        (1.72, 0.4987, 2.94, 0.5, "1.720 [0.499, 2.940]"),
        (27.95, 18.54, 37.36, 5, "27.9 [18.5, 37.4]"),
        (151.2, 103.0, 199.4, 0, "151 [103, 199]"),
        (0.007732, 0.007732, 0.007732, 0.25, "0.007732"),
        (1.776e-15, 1.776e-15, 1.776e-15, 1e-10, "1.776e-15"),
    ],
)
def test_an_interval_is_given_to_two_digits_of_its_half(
    value: float, low: float, high: float, threshold: float, said: str
) -> None:
    assert tables.span({"value": value, "low": low, "high": high, "threshold": threshold}) == said
