"""Which implementation ``auto`` picks, and why: their costs side by side.

Counted is one forward pass; the speeds of the implementations turn it into an estimate of forward and backward.
Notebook 11-efficiency sets estimates beside times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import prod

from cclib.arguments import Scale, Size, Start, as_size, shown
from cclib.filters.base import Filter
from cclib.functional import kernels
from cclib.functional.implementations import OPERATORS
from cclib.functional.problem import Problem, Work, problem_of, windows_of
from cclib.functional.registry import speeds
from cclib.geometry import resize_axes

__all__ = ["MEMORY_LIMIT", "Candidate", "Explanation", "check_memory", "choose", "explain", "pick"]

MEMORY_LIMIT = 256 * 2**20  # bytes that the pick may need beside input and output, if any candidate needs fewer

# A call that would hold more numbers than this, and more than so many times those of input and output, is refused; the
# definition may hold more.
MOST_NUMBERS, MOST_TIMES = 2**26, 64
MOST_OF_REFERENCE = 2**29

# Taps that are listed one by one, of both axes; and of the pairs that "phases" lists. Seconds, and some 100 MB.
MOST_LISTED, MOST_PAIRS = 2**22, 2**25

FEWER = (
    "a scale nearer to 1, a smaller size, fewer phases (a ratio of small integers) or a smaller support (kernel_size "
    "times unit) needs fewer"
)

MOST_READABLE = 10**12  # larger numbers are printed in powers of ten


@dataclass(frozen=True)
class Candidate:
    """What one implementation costs for one call.

    Args:
        implementation: its name.
        multiply_adds: counted.
        moved: bytes that it copies from one layout to another.
        bytes: a bound of its temporary tensors.
        calls: calls of the library.
        pieces: lines of taps that compiled kernels begin, one after the other.
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
            f"{c.implementation:<16}{readable(c.multiply_adds, ','):>16}{readable(Decimal(c.moved) / 2**20, '.2f'):>12}"
            f"{readable(Decimal(c.bytes) / 2**20, '.2f'):>16}"
            f"{readable(c.calls, ''):>8}{readable(c.pieces, ','):>12}{readable(c.seconds * 1e3, '.2f'):>14}"
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
        filter: the continuous filter, on the device of the input; the groups follow from its channels and those of
            ``x_shape``.
        scale, size, start, stretch, unit: as in ``cc_conv2d``.
        element_size: bytes of one number; 4 is float32.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.
    """
    listed = isinstance(x_shape, Sequence) and not isinstance(x_shape, str | bytes)
    if not listed and len(getattr(x_shape, "shape", ())) != 1:
        raise TypeError(f"x_shape must be a sequence of integers, got {type(x_shape).__name__}")
    if len(x_shape) != 4:
        raise ValueError(f"x_shape must be (batch, channels, height, width), got {shown(x_shape)}")
    if not isinstance(filter, Filter):
        raise TypeError(f"filter must be a cclib.filters.Filter, got {type(filter).__name__}")
    as_size(element_size, "element_size")
    batch, channels, height, width = (as_size(side, "each part of x_shape") for side in x_shape)
    features, out_channels, in_per_group = filter.coefficients().shape
    if channels % in_per_group:
        raise ValueError(
            f"x_shape must have a multiple of the filter's {in_per_group} channels per group, got {shown(channels)}"
        )
    axes = resize_axes(height, width, scale, size, start)
    windows = windows_of(axes, filter.support, not filter.vanishes, stretch, unit)
    problem = Problem(axes, windows, channels // in_per_group, stretch)
    matrices = features, out_channels, in_per_group
    compiled = kernels.serve(filter.coefficients().device)
    return choose(Work(problem, (batch, channels, height, width), matrices, element_size, compiled))


def choose(work: Work) -> Explanation:
    """The candidates in the order of ``auto``: those within the memory limit by time, then the others by memory."""
    candidates = costs(work)
    fits = sorted((c for c in candidates if c.bytes <= MEMORY_LIMIT), key=lambda c: c.seconds)
    large = sorted((c for c in candidates if c.bytes > MEMORY_LIMIT), key=lambda c: c.bytes)
    return Explanation((*fits, *large))


def costs(work: Work) -> list[Candidate]:
    """What each implementation costs."""
    size = work.element_size
    candidates = []
    for name, implementation in OPERATORS.items():
        cost = implementation.cost(work)
        seconds = speeds()[name].seconds(cost, size)
        counted = cost.multiply_adds, size * cost.moved, size * cost.temporary, cost.calls, cost.pieces
        candidates.append(Candidate(name, *counted, seconds))
    return candidates


@lru_cache(maxsize=4096)
def pick(
    implementation: str,
    key: str,
    shape: tuple[int, int, int, int],
    matrices: tuple[int, int, int],
    element_size: int,
    compiled: bool,
) -> str:
    """The implementation by its name, which may be "auto", for the problem ``key``.

    Raises:
        ValueError: it would need very much more memory than input and output.
    """
    work = Work(problem_of(key), shape, matrices, element_size, compiled)
    if implementation == "reference":
        check_listed(work, by_output=True)
        check_memory(of_reference(work), work.images, MOST_OF_REFERENCE)
        return implementation
    candidates = {candidate.implementation: candidate for candidate in choose(work).candidates}
    name = next(iter(candidates)) if implementation == "auto" else implementation
    check_memory(candidates[name].bytes // element_size, work.images)
    check_listed(work, by_output=name != "phases")
    return name


def of_reference(work: Work) -> int:
    """Numbers that the definition holds: the taps of all outputs, one by one, and the weights of each."""
    axes = zip(work.problem.axes, work.problem.counts, strict=True)
    return prod(axis.n_out * counts.most for axis, counts in axes) * (
        work.shape[0] * work.shape[1] + work.matrix + work.matrices[0]
    )


def check_memory(numbers: int, images: int, most: int = MOST_NUMBERS) -> None:
    """Refuse a call that would hold so many numbers, for ``images`` numbers of input and output.

    Raises:
        ValueError: they are too many; the message says how many.
    """
    if numbers > max(most, MOST_TIMES * images):
        raise ValueError(
            f"this call would hold {Decimal(numbers):.1e} numbers for {Decimal(images):.1e} of input and output; "
            f"{FEWER}"
        )


def check_listed(work: Work, by_output: bool) -> None:
    """Refuse a call that would list very many taps, those of each phase or ``by_output``.

    Raises:
        ValueError: they are too many; the message says how many.
    """
    axes = zip(work.problem.axes, work.problem.counts, strict=True)
    listed = sum(axis.n_out * counts.most if by_output else counts.phases + counts.offsets for axis, counts in axes)
    if listed > MOST_LISTED or (not by_output and work.phases > 1 and work.offsets > MOST_PAIRS):
        raise ValueError(f"this call would list {Decimal(max(listed, work.offsets)):.1e} taps one by one; {FEWER}")


def readable(number: int | float | Decimal, form: str) -> str:
    """A number in this form, or in powers of ten where it is very large."""
    return format(number, form) if number < MOST_READABLE else f"{Decimal(number):.2e}"
