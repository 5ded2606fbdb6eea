"""Which implementation ``auto`` picks, and why: their costs side by side.

Counted is one forward pass; the speeds of the implementations turn it into an estimate of forward and backward.
Notebook 11-efficiency sets estimates beside times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cclib.arguments import Scale, Size, Start
from cclib.filters.base import Filter
from cclib.functional.implementations import OPERATORS
from cclib.functional.problem import Problem, Work, problem_of, windows_of
from cclib.functional.registry import speeds
from cclib.geometry import resize_axes

__all__ = ["MEMORY_LIMIT", "Candidate", "Explanation", "check_memory", "choose", "explain", "pick"]

MEMORY_LIMIT = 256 * 2**20  # bytes that the pick may need beside input and output, if any candidate needs fewer

# A call that would hold more numbers than this, and more than so many times those of input and output, is refused.
MOST_NUMBERS, MOST_TIMES = 2**26, 64


@dataclass(frozen=True)
class Candidate:
    """What one implementation costs for one call.

    Args:
        implementation: its name.
        multiply_adds: counted.
        moved: bytes that it copies from one layout to another.
        bytes: a bound of its temporary tensors.
        calls: calls of the library.
        pieces: blocks of memory in which ``moved`` is copied, where they are many and small.
        seconds: an estimate of forward and backward.
    """

    implementation: str
    multiply_adds: int
    moved: int
    bytes: int
    calls: int
    pieces: int
    seconds: float


@dataclass(frozen=True)
class Explanation:
    """The candidates of a call, the picked one first. Printed, it is a table."""

    candidates: tuple[Candidate, ...]

    @property
    def implementation(self) -> str:
        """The name of the picked implementation."""
        return self.candidates[0].implementation

    def __str__(self) -> str:
        lines = [
            f"{'implementation':<16}{'multiply-adds':>16}{'moved MiB':>12}{'temporary MiB':>16}{'calls':>8}"
            f"{'pieces':>12}{'estimate ms':>14}"
        ]
        lines += [
            f"{c.implementation:<16}{c.multiply_adds:>16,}{c.moved / 2**20:>12.2f}{c.bytes / 2**20:>16.2f}"
            f"{c.calls:>8}{c.pieces:>12,}{c.seconds * 1e3:>14.2f}"
            for c in self.candidates
        ]
        return "\n".join([*lines, f"auto picks {self.implementation}"])

    __repr__ = __str__


def explain(
    x_shape: Sequence[int],
    filter: Filter,
    *,
    scale: Scale | None = None,
    size: Size | None = None,
    start: Start | None = None,
    stretch: bool = False,
    unit: Scale = 1,
    element_size: int = 4,
) -> Explanation:
    """Which implementation ``auto`` picks for an input of shape ``x_shape``, and what the others would cost.

    Args:
        x_shape: (batch, channels, height, width).
        filter: the continuous filter; the groups follow from its channels and those of ``x_shape``.
        scale, size, start, stretch, unit: as in ``cc_conv2d``.
        element_size: bytes of one number; 4 is float32.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.
    """
    if len(x_shape) != 4:
        raise ValueError(f"x_shape must be (batch, channels, height, width), got {tuple(x_shape)}")
    batch, channels, height, width = x_shape
    features, out_channels, in_per_group = filter.coefficients().shape
    if channels % in_per_group:
        raise ValueError(
            f"x_shape must have a multiple of the filter's {in_per_group} channels per group, got {channels}"
        )
    axes = resize_axes(height, width, scale, size, start)
    windows = windows_of(axes, filter.support, not filter.vanishes, stretch, unit)
    problem = Problem(axes, windows, channels // in_per_group, stretch)
    matrices = features, out_channels, in_per_group
    return choose(Work(problem, (batch, channels, height, width), matrices, element_size))


def choose(work: Work) -> Explanation:
    """The candidates in the order of ``auto``: those within the memory limit by time, then the others by memory."""
    candidates = costs(work)
    fits = sorted((c for c in candidates if c.bytes <= MEMORY_LIMIT), key=lambda c: c.seconds)
    large = sorted((c for c in candidates if c.bytes > MEMORY_LIMIT), key=lambda c: c.bytes)
    return Explanation((*fits, *large))


def costs(work: Work) -> list[Candidate]:
    """What each implementation costs that can serve."""
    size = work.element_size
    return [
        Candidate(
            name,
            cost.multiply_adds,
            size * cost.moved,
            size * cost.temporary,
            cost.calls,
            cost.pieces,
            speeds()[name].seconds(cost, size),
        )
        for name, implementation in OPERATORS.items()
        if (cost := implementation.cost(work)) is not None
    ]


@lru_cache(maxsize=4096)
def pick(
    implementation: str, key: str, shape: tuple[int, int, int, int], matrices: tuple[int, int, int], element_size: int
) -> str:
    """The implementation by its name, which may be "auto", for the problem ``key``.

    Raises:
        ValueError: it cannot serve, or would need very much more memory than input and output.
    """
    work = Work(problem_of(key), shape, matrices, element_size)
    candidates = {candidate.implementation: candidate for candidate in choose(work).candidates}
    name = next(iter(candidates)) if implementation == "auto" else implementation
    if name not in candidates:
        raise ValueError(f"implementation {name!r} has no groups, got groups={work.problem.groups}")
    check_memory(candidates[name].bytes // element_size, work.images)
    return name


def check_memory(numbers: int, images: int) -> None:
    """Refuse a call that would hold so many numbers, for ``images`` numbers of input and output.

    Raises:
        ValueError: they are too many; the message says how many.
    """
    if numbers > max(MOST_NUMBERS, MOST_TIMES * images):
        raise ValueError(
            f"this call would hold {numbers:.1e} numbers for {images:.1e} of input and output; a scale nearer to 1, "
            "fewer phases (a ratio of small integers) or a smaller support needs fewer"
        )
