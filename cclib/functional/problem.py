"""One continuous convolution to compute, but for the numbers of image, filter and bias; and what follows for costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from math import prod

from cclib.arguments import Scale, as_flag, as_pair, as_scale, shown
from cclib.geometry import Axes, Axis, Counts, Grid, Window, counts_of, taps_of

__all__ = ["Problem", "Work", "exact_unit", "problem_of", "windows_of"]

MOST_OUTPUTS = 2**32  # of one channel of one image


@dataclass(frozen=True)
class Problem:
    """The geometry of a continuous convolution of an image with zeros about it.

    Args:
        axes: where the outputs fall, (vertical, horizontal).
        windows: which inputs they read, (vertical, horizontal).
        groups: as in ``cc_conv2d``.
        stretch: whether the mass of the taps of each output is made one, as where the filter is stretched.

    Raises:
        ValueError: the outputs of one channel would be more than 2^32.
    """

    axes: Axes
    windows: tuple[Window, Window]
    groups: int
    stretch: bool

    def __post_init__(self) -> None:
        """Refuse (``ValueError``) more outputs than a tensor is made of."""
        if prod(self.size) > MOST_OUTPUTS:
            raise ValueError(
                f"scale or size asks for {prod(self.size):.1e} outputs of each channel, more than {MOST_OUTPUTS:.1e}"
            )

    @cached_property
    def key(self) -> str:
        """All of it in one line, which ``problem_of`` reads: what a compiled or exported graph holds."""
        numbers = [
            f"{axis.n_in} {axis.n_out} {axis.start} {axis.step} {window.support} {window.closed:d} {window.shrink}"
            for axis, window in zip(self.axes, self.windows, strict=True)
        ]
        return f"{' '.join(numbers)} {self.groups} {self.stretch:d}"

    @cached_property
    def grid(self) -> Grid:
        """The taps of both axes, phase by phase."""
        return self.grid_of(by_phase=True)

    def grid_of(self, by_phase: bool) -> Grid:
        """The taps of both axes; with ``by_phase=False`` each output is a phase of its own."""
        vertical, horizontal = (
            taps_of(axis, window, by_phase) for axis, window in zip(self.axes, self.windows, strict=True)
        )
        return vertical, horizontal

    @cached_property
    def counts(self) -> tuple[Counts, Counts]:
        """How much ``grid`` lists, without listing it."""
        vertical, horizontal = (counts_of(axis, window) for axis, window in zip(self.axes, self.windows, strict=True))
        return vertical, horizontal

    @cached_property
    def at_unit_one(self) -> Problem:
        """The same outputs, read by the filter as it is."""
        vertical, horizontal = (replace(window, shrink=Fraction(1)) for window in self.windows)
        return replace(self, windows=(vertical, horizontal))

    @property
    def size(self) -> tuple[int, int]:
        """Of the output."""
        return self.axes[0].n_out, self.axes[1].n_out


@lru_cache(maxsize=4096)
def problem_of(key: str) -> Problem:
    """The problem with this ``key``."""
    numbers = key.split()
    axes, windows = [], []
    for n_in, n_out, start, step, support, closed, shrink in (numbers[:7], numbers[7:14]):
        axes.append(Axis(int(n_in), int(n_out), Fraction(start), Fraction(step)))
        windows.append(Window(Fraction(support), closed == "1", Fraction(shrink)))
    return Problem((axes[0], axes[1]), (windows[0], windows[1]), int(numbers[14]), numbers[15] == "1")


@dataclass(frozen=True)
class Work:
    """A problem with the sizes of its tensors: what costs are counted of, in multiply-adds or in numbers of a tensor.

    Args:
        problem: the geometry.
        shape: of the image, (batch, in_channels, height, width).
        matrices: (features, out_channels, in_channels / groups) of the filter's coefficients.
        element_size: bytes of one number of the image.
        compiled: whether compiled kernels serve where it is.
    """

    problem: Problem
    shape: tuple[int, int, int, int]
    matrices: tuple[int, int, int]
    element_size: int
    compiled: bool

    @cached_property
    def matrix(self) -> int:
        """Numbers of one weight matrix."""
        return prod(self.matrices[1:])

    @cached_property
    def weight_multiply_adds(self) -> int:
        """Of one weight matrix from its basis."""
        return prod(self.matrices)

    @cached_property
    def pixels(self) -> int:
        """Of one output image."""
        return prod(self.problem.size)

    @cached_property
    def phases(self) -> int:
        """Pairs of phases."""
        return prod(counts.phases for counts in self.problem.counts)

    @cached_property
    def taps(self) -> int:
        """The most of any output pixel."""
        return prod(counts.most for counts in self.problem.counts)

    @cached_property
    def offsets(self) -> int:
        """At which the filter is sampled if that is done once per phase."""
        return prod(counts.offsets for counts in self.problem.counts)

    @cached_property
    def functions(self) -> int:
        """Of the filter's functions while they are sampled."""
        return 2 * self.offsets * self.matrices[0]

    @cached_property
    def listed(self) -> int:
        """Of the geometry, as Python keeps it for every tap of every phase of both axes, in numbers of a tensor."""
        return 32 * sum(counts.offsets + counts.phases for counts in self.problem.counts)

    @cached_property
    def output(self) -> int:
        """Of the output."""
        return self.shape[0] * self.matrices[1] * self.pixels

    @cached_property
    def images(self) -> int:
        """Of input and output."""
        return prod(self.shape) + self.output

    @cached_property
    def extended(self) -> int:
        """Of the input, cropped or padded to what the taps read."""
        return self.shape[0] * self.shape[1] * prod(counts.read for counts in self.problem.counts)

    @cached_property
    def patches(self) -> int:
        """Of the inputs that all outputs read, one after the other."""
        return self.shape[0] * self.shape[1] * self.pixels * self.taps

    @cached_property
    def convolution(self) -> int:
        """Multiply-adds of taps times weights."""
        return self.output * self.taps * self.matrices[2]


def windows_of(
    axes: Axes, support: tuple[Fraction, Fraction], closed: bool, stretch: bool, unit: Scale = 1
) -> tuple[Window, Window]:
    """What the outputs read with a filter of this support, ``closed`` where it does not vanish at the edge.

    Raises:
        TypeError, ValueError: as ``exact_unit``.
    """
    units = exact_unit(unit, stretch)
    vertical, horizontal = (
        Window(side, closed, min(axis.scale, Fraction(1)) if stretch else 1 / length)
        for axis, side, length in zip(axes, support, units, strict=True)
    )
    return vertical, horizontal


def exact_unit(unit: Scale, stretch: bool) -> tuple[Fraction, Fraction]:
    """The filter's unit in input pixels, (vertical, horizontal).

    Raises:
        TypeError, ValueError: it is no number or pair of numbers greater than 0, or it is given beside ``stretch``;
            ``stretch`` is neither True nor False.
    """
    as_flag(stretch, "stretch")
    given = as_pair(unit, "unit")
    vertical, horizontal = as_scale(given[0], "unit"), as_scale(given[1], "unit")
    if stretch and (vertical != 1 or horizontal != 1):
        raise ValueError(f"unit must be 1 with stretch=True, which sets it to max(1, 1 / scale), got {shown(unit)}")
    return vertical, horizontal
