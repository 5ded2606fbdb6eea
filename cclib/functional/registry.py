"""The names of the implementations, and what each says of itself: how to compute, and at what cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from cclib.functional.problem import Problem

__all__ = ["IMPLEMENTATIONS", "Cost", "Implementation", "Speed", "implementation"]

Compute = Callable[[Tensor, Tensor | None, Problem], Tensor]


@dataclass(frozen=True)
class Cost:
    """What one forward pass needs.

    Args:
        multiply_adds: counted.
        moved: numbers copied from one layout to another.
        temporary: a bound of the numbers in temporary tensors.
        calls: calls of the library.
        pieces: blocks of memory in which ``moved`` is copied, where they are many and small.
    """

    multiply_adds: int
    moved: int
    temporary: int
    calls: int
    pieces: int = 0


@dataclass(frozen=True)
class Speed:
    """What turns a cost into the time of forward and backward.

    Multiply-adds and bytes in a second, and the seconds of a call and of a piece, on one core of a server's processor
    (AMD EPYC) in float32: for each implementation a non-negative least-squares fit, of the relative error, to the
    times of 48 layers, among them those of the benchmark's table; the price of a piece is then raised until the picks
    on these layers are right.
    """

    multiply_adds: float
    bytes: float
    call: float
    piece: float = 0.0

    def seconds(self, cost: Cost, element_size: int) -> float:
        """The time at ``element_size`` bytes a number."""
        arithmetic = cost.multiply_adds / self.multiply_adds
        moving = element_size * cost.moved / self.bytes
        return arithmetic + moving + cost.calls * self.call + cost.pieces * self.piece


@dataclass(frozen=True)
class Implementation:
    """One way to compute.

    Args:
        compute: (x, bias, problem) -> (batch, out_channels, height, width), of the type of x. All give the same
            numbers.
        cost: what ``compute`` needs, or None where another implementation does the same.
        speed: how fast it is.
    """

    compute: Compute
    cost: Callable[[Problem], Cost | None]
    speed: Speed


IMPLEMENTATIONS: dict[str, Implementation] = {}


def implementation(name: str, cost: Callable[[Problem], Cost | None], speed: Speed) -> Callable[[Compute], Compute]:
    """Enter the decorated function in ``IMPLEMENTATIONS``; see ``Implementation``."""

    def enter(compute: Compute) -> Compute:
        IMPLEMENTATIONS[name] = Implementation(compute, cost, speed)
        return compute

    return enter
