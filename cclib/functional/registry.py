"""What an implementation says of itself: how to compute, and at what cost; and how fast each is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import torch
from torch import Tensor

from cclib.functional.problem import Problem, Work

__all__ = ["Cost", "Gradients", "Implementation", "Speed", "of_bias", "speeds"]

LARGEST = 10**300  # that is counted; more would be no float

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]


@dataclass(frozen=True)
class Cost:
    """What one forward pass needs.

    Args:
        multiply_adds: counted.
        moved: numbers copied from one layout to another.
        temporary: a bound of the numbers in temporary tensors.
        calls: calls of the library.
        pieces: lines of taps that compiled kernels begin, one after the other.
    """

    multiply_adds: int
    moved: int
    temporary: int
    calls: int
    pieces: int = 0


@dataclass(frozen=True)
class Implementation:
    """One way to compute. All give the same numbers.

    ``functions`` (vertical offsets, horizontal offsets, features) are the filter's scalar functions at the offsets of
    the problem, in float32 or float64, and ``coefficients`` (features, out, in / groups) are its matrices.

    Args:
        prepare: (functions, coefficients, problem, type of the image) -> what of the filter ``forward`` takes. In
            inference it is kept.
        forward: (x, prepared, bias, problem, out channels) -> (batch, out, height, width) in the memory format of x.
        backward: (gradient of the output, x, functions, coefficients, problem, which are wanted) -> the gradients of
            x, functions, coefficients and bias, None where not wanted.
        cost: what ``forward`` needs.
    """

    prepare: Callable[[Tensor, Tensor, Problem, torch.dtype], Iterable[Tensor]]
    forward: Callable[[Tensor, Iterable[Tensor], Tensor | None, Problem, int], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor, Tensor, Problem, Sequence[bool]], Gradients]
    cost: Callable[[Work], Cost]


def of_bias(gradient: Tensor, wanted: Sequence[bool]) -> Tensor | None:
    """The gradient of the bias, where it is wanted: (batch, out, height, width) -> (out,)."""
    return gradient.sum((0, 2, 3)) if wanted[3] else None


@dataclass(frozen=True)
class Speed:
    """What turns a cost into the time of forward and backward: the seconds of each of its parts.

    On one core, in float32; ``moved`` is of a byte. ``python -m companion.benchmark --refit`` fits them to times and
    writes ``speeds.json``.
    """

    multiply_adds: float
    moved: float
    calls: float
    pieces: float

    def seconds(self, cost: Cost, element_size: int) -> float:
        """The time at ``element_size`` bytes a number."""
        counted = cost.multiply_adds, element_size * cost.moved, cost.calls, cost.pieces
        multiply_adds, moved, calls, pieces = (min(count, LARGEST) for count in counted)
        return multiply_adds * self.multiply_adds + moved * self.moved + calls * self.calls + pieces * self.pieces


@lru_cache(maxsize=1)
def speeds() -> dict[str, Speed]:
    """By the name of the implementation, as ``speeds.json`` has them: never measured where they are used, since another
    pick gives other bits."""
    stored = json.loads(files("cclib.functional").joinpath("speeds.json").read_text())
    return {name: Speed(**numbers) for name, numbers in stored.items()}
