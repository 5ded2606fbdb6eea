"""Seeds until decided: a question may be asked again with more seeds, if every time spends a part of its error.

The parts follow the spending function of Pocock's type (K. K. G. Lan and D. L. DeMets, Discrete sequential boundaries
for clinical trials, Biometrika 70, 1983): after a share t of all seeds, ln(1 + (e − 1) t) of the error is spent. A look
tests at the level that it adds. The sum of these bounds the chance of an error at any look, however the looks depend on
each other and whatever rule stops them (Bonferroni); with Student's t at few seeds nothing sharper is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def check(looks: Sequence[int]) -> None:
    """Raise ValueError unless these are numbers of seeds, rising, of which the first allows an interval."""
    if not looks or not all(type(n) is int for n in looks) or looks[0] < 2 or list(looks) != sorted(set(looks)):
        raise ValueError(f"looks must be rising numbers of seeds, at least 2, got {looks!r}")


def shares(looks: Sequence[int]) -> list[float]:
    """The part of the error that each look spends; their sum is 1."""
    check(looks)
    spent = [math.log1p((math.e - 1) * n / looks[-1]) for n in looks]
    return [after - before for before, after in zip([0.0, *spent], spent, strict=False)]


def share(looks: Sequence[int] | None, n: int) -> float:
    """The part of the error that the look with n seeds spends; without looks there is one, which spends all.

    Raises:
        ValueError: no look has n seeds.
    """
    if looks is None:
        return 1.0
    if n not in looks:
        raise ValueError(f"n must be one of the looks {list(looks)}, got {n}")
    return shares(looks)[list(looks).index(n)]
