"""Where the samples of an output axis fall on an input axis, and which input samples each of them reads.

The one owner of coordinates. Unit: input pixels; the pixel centres of an axis of ``n_in`` samples are 0 … n_in − 1;
pairs are (vertical, horizontal). All arithmetic is exact (``fractions.Fraction``): in floats, a window edge that
falls on a pixel centre would be inside for one output and outside for the next. Knows no tensors and no filters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from cclib.arguments import Array, Number, Scale, Size, Start, as_fraction, as_pair, as_scale, as_size, shown

__all__ = ["Axes", "Axis", "Counts", "DiscreteAxis", "Grid", "Phase", "Run", "Runs", "Taps", "Window", "counts_of"]
__all__ += ["input_runs", "layer_axes", "output_runs", "resize_axes", "taps_of"]


LARGEST_SIZE = 2**31 - 1  # outputs of one axis


@dataclass(frozen=True)
class Axis:
    """One axis of a layer: output ``o`` of ``n_out`` falls at ``start + o * step`` on an axis of ``n_in`` input
    pixels."""

    n_in: int
    n_out: int
    start: Fraction
    step: Fraction

    @classmethod
    def resize(
        cls,
        n_in: int,
        scale: Number | None = None,
        size: int | Array | None = None,
        start: Number | None = None,
    ) -> Axis:
        """The axis that a resize asks for.

        Only ``scale`` (output size over input size): ``n_out = ceil(n_in * scale)``. Only ``size``: ``scale = size /
        n_in``. Both are taken as given; neither means scale 1. ``start`` is the position of output 0 in input pixels;
        by default the centres of the two grids coincide.

        Raises:
            TypeError, ValueError: an argument is no number, not finite, or not greater than 0.
        """
        n_in = as_size(n_in, "height and width of x")
        given = None if scale is None else as_scale(scale, "scale")
        if size is None:
            ratio = Fraction(1) if given is None else given
            n_out = math.ceil(n_in * ratio)
        else:
            n_out = as_size(size, "size")
            ratio = Fraction(n_out, n_in) if given is None else given
        if n_out > LARGEST_SIZE:
            raise ValueError(
                f"scale or size asks for more than {LARGEST_SIZE} outputs of an axis of {shown(n_in)} pixels"
            )
        step = 1 / ratio
        centred = (n_in - 1 - (n_out - 1) * step) / 2
        return cls(n_in, n_out, centred if start is None else as_fraction(start, "start"), step)

    @classmethod
    def conv(cls, n_in: int, kernel_size: int, stride: int, padding: tuple[int, int]) -> Axis:
        """The axis of ``Conv2d``; ``padding`` is (before, after).

        ``kernel_size`` counts the pixels from the first tap to the last, those that a dilation skips too.

        Raises:
            ValueError: no output is left.
        """
        n_out = (n_in + sum(padding) - kernel_size) // stride + 1
        if n_out < 1:
            raise ValueError(
                f"x must have at least {kernel_size - sum(padding)} pixels along an axis with kernel_size "
                f"{kernel_size} and padding {padding}, got an input size of {n_in}"
            )
        return cls(n_in, n_out, Fraction(kernel_size - 1, 2) - padding[0], Fraction(stride))

    @classmethod
    def conv_transpose(cls, n_in: int, kernel_size: int, stride: int, padding: int, output_padding: int) -> Axis:
        """The axis of ``ConvTranspose2d``; ``kernel_size`` as in ``conv``.

        Raises:
            ValueError: no output is left.
        """
        n_out = (n_in - 1) * stride - 2 * padding + kernel_size + output_padding
        if n_out < 1:
            raise ValueError(
                f"x leaves no output along an axis with kernel_size {kernel_size}, padding {padding} and an input size "
                f"of {n_in}"
            )
        return cls(n_in, n_out, (padding - Fraction(kernel_size - 1, 2)) / stride, Fraction(1, stride))

    def part(self, outputs: range) -> Axis:
        """The axis with these outputs alone."""
        return Axis(self.n_in, len(outputs), self.position(outputs.start), self.step)

    def seen_from(self, low: int, high: int) -> Axis:
        """The same outputs on an axis of the input pixels ``low`` … ``high`` alone."""
        return Axis(high - low + 1, self.n_out, self.start - low, self.step)

    def position(self, output: int) -> Fraction:
        """Where output sample ``output`` falls, in input pixels."""
        return self.start + output * self.step

    @property
    def scale(self) -> Fraction:
        """Output size over input size, before the output size is rounded."""
        return 1 / self.step

    @property
    def period(self) -> int:
        """After this many outputs the sub-pixel offset repeats, ``step.numerator`` input pixels further on."""
        return self.step.denominator


Axes: TypeAlias = tuple[Axis, Axis]


class DiscreteAxis(NamedTuple):
    """One axis of a discrete layer, ``Conv2d`` or, ``transposed``, ``ConvTranspose2d``, before its input size is known.

    ``kernel_size`` counts the pixels from the first tap to the last, those that a dilation skips too; ``before`` and
    ``after`` are the padding. One that is ``circular`` goes once around the image at most.
    """

    transposed: bool
    kernel_size: int
    stride: int
    before: int
    after: int
    output_padding: int
    circular: bool = False

    def of(self, n_in: int) -> Axis:
        """The axis for an input of ``n_in`` pixels.

        Raises:
            ValueError: no output is left, or a circular padding is longer than the axis.
        """
        if self.circular and max(self.before, self.after) > n_in:
            raise ValueError(
                f"padding_mode 'circular' of a discrete layer allows a pad of at most {n_in} on {n_in} pixels, got "
                f"{max(self.before, self.after)}"
            )
        if self.transposed:
            return Axis.conv_transpose(n_in, self.kernel_size, self.stride, self.before, self.output_padding)
        return Axis.conv(n_in, self.kernel_size, self.stride, (self.before, self.after))


def resize_axes(height: int, width: int, scale: Scale | None, size: Size | None, start: Start | None) -> Axes:
    """Where the outputs of a resize fall (``Axis.resize``), for an input of this height and width.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.
    """
    scales, sizes, starts = as_pair(scale, "scale"), as_pair(size, "size"), as_pair(start, "start")
    vertical = Axis.resize(height, scales[0], sizes[0], starts[0])
    horizontal = Axis.resize(width, scales[1], sizes[1], starts[1])
    return vertical, horizontal


def layer_axes(
    height: int,
    width: int,
    scale: Scale | None,
    size: Size | None,
    start: Start | None,
    discrete: tuple[DiscreteAxis, DiscreteAxis] | None,
) -> Axes:
    """``resize_axes``; or the axes of a discrete layer, where one is given, from ``start`` on if that is given too."""
    if discrete is None:
        return resize_axes(height, width, scale, size, start)
    starts = as_pair(start, "start")
    vertical, horizontal = (
        axis if at is None else Axis(axis.n_in, axis.n_out, as_fraction(at, "start"), axis.step)
        for axis, at in zip((discrete[0].of(height), discrete[1].of(width)), starts, strict=True)
    )
    return vertical, horizontal


@dataclass(frozen=True)
class Window:
    """The input that one output reads: ``support / shrink`` input pixels about its position.

    The filter is read at ``shrink`` times the distance in input pixels: shrink is 1 over the length of the filter's
    unit, and shrink < 1 stretches the filter. A tap exactly on an edge belongs to it when ``closed`` and does not
    otherwise, on both edges alike: flipping the input flips the output. A filter that vanishes at the edge leaves the
    window open, which saves taps that would be multiplied by zero.
    """

    support: Fraction
    closed: bool
    shrink: Fraction = Fraction(1)

    def bounds(self, axis: Axis) -> tuple[int, int, int, int]:
        """(first, step, reach, unit): output o of ``axis`` falls at (first + o * step) / unit, and reads the input
        pixels up to reach / unit away."""
        reach = self.support / self.shrink / 2
        unit = math.lcm(axis.start.denominator, axis.step.denominator, reach.denominator)
        return int(axis.start * unit), int(axis.step * unit), int(reach * unit), unit

    def taps(self, position: int, reach: int, unit: int) -> range:
        """The input pixels, maybe outside the image, that an output at ``position / unit`` reads."""
        if self.closed:
            return range(-((reach - position) // unit), (position + reach) // unit + 1)
        return range((position - reach) // unit + 1, -((-position - reach) // unit))


@dataclass(frozen=True)
class Phase:
    """The outputs ``index, index + M, …`` of an axis, which share their sub-pixel offsets; M is the number of
    phases."""

    index: int
    count: int  # how many outputs
    first: int  # input index of the first tap of the first of them
    offsets: tuple[float, ...]  # where the filter is read: shrink * (tap − output position), ascending


@dataclass(frozen=True)
class Run:
    """What the first sample of a phase reads: samples ``first, first + 1, …`` of another axis, one for each of
    ``slots``, the places of their offsets in ``Taps.offsets``."""

    first: int
    slots: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Runs:
    """What each of ``size`` samples reads from another axis.

    Sample i belongs to run i mod M of the M ``runs``; from one sample of a run to its next the reads move by
    ``advance``.
    """

    size: int
    advance: int
    runs: tuple[Run, ...]

    @cached_property
    def count(self) -> int:
        """The most samples of a run."""
        return -(-self.size // len(self.runs))

    @cached_property
    def reach(self) -> tuple[int, int]:
        """The lowest and highest index read if every run had ``count`` samples; (0, −1) where nothing is read."""
        used = [run for run in self.runs if run.slots]
        if not used:
            return 0, -1
        last = max(run.first + len(run.slots) for run in used) + (self.count - 1) * self.advance - 1
        return min(run.first for run in used), last


@dataclass(frozen=True, eq=False)
class Taps:
    """What every output of ``axis`` reads, phase by phase. From one output of a phase to the next the taps move by
    ``advance``."""

    axis: Axis
    phases: tuple[Phase, ...]
    advance: int

    @cached_property
    def offsets(self) -> tuple[float, ...]:
        """The offsets of all phases, one phase after the other."""
        return tuple(offset for phase in self.phases for offset in phase.offsets)

    @cached_property
    def slots(self) -> tuple[range, ...]:
        """For each phase, where its offsets stand in ``offsets``."""
        ends = [0]
        for phase in self.phases:
            ends.append(ends[-1] + len(phase.offsets))
        return tuple(range(a, b) for a, b in pairwise(ends))

    @cached_property
    def most(self) -> int:
        """The largest number of taps of any output."""
        return max(len(phase.offsets) for phase in self.phases)

    @cached_property
    def reach(self) -> tuple[int, int]:
        """The lowest and highest input index that any output reads, maybe outside the image; (0, −1) without taps."""
        used = [phase for phase in self.phases if phase.offsets]
        if not used:
            return 0, -1
        last = (phase.first + (phase.count - 1) * self.advance + len(phase.offsets) - 1 for phase in used)
        return min(phase.first for phase in used), max(last)


Grid: TypeAlias = tuple[Taps, Taps]


@lru_cache(maxsize=1024)
def output_runs(taps: Taps, low: int) -> Runs:
    """Which inputs each output reads, counted from input ``low``."""
    pairs = zip(taps.phases, taps.slots, strict=True)
    runs = tuple(Run(phase.first - low, tuple(slots)) for phase, slots in pairs)
    return Runs(taps.axis.n_out, taps.advance, runs)


@lru_cache(maxsize=1024)
def input_runs(taps: Taps, low: int, size: int) -> Runs:
    """The adjoint of ``output_runs``: which outputs read each of the ``size`` inputs from ``low`` on.

    Seen from an input, the outputs that read it are a run too. They repeat with the other period: after ``advance``
    inputs the outputs are M further on, for M phases.
    """
    periodic = len(taps.phases) < taps.axis.n_out
    period = taps.advance if periodic else max(size, taps.reach[1] - taps.reach[0] + 1)  # or no input repeats
    reads: list[list[tuple[int, int]]] = [[] for _ in range(min(period, size))]  # (output, slot) for each input
    for phase, slots in zip(taps.phases, taps.slots, strict=True):
        for tap, slot in enumerate(slots):
            turns, index = divmod(phase.first - low + tap, period)
            if index < len(reads):
                count = -(-(size - index) // period)  # inputs of this run; turn m of the run is read by output ...
                first = phase.index - turns * len(taps.phases)  # ... first + m * M, if there is one
                if turns < count and turns > -phase.count:
                    reads[index].append((first, slot))
    runs = []
    for outputs in map(sorted, reads):
        runs.append(Run(outputs[0][0] if outputs else 0, tuple(slot for _, slot in outputs)))
    return Runs(size, len(taps.phases), tuple(runs))


@lru_cache(maxsize=1024)
def taps_of(axis: Axis, window: Window, by_phase: bool = True) -> Taps:
    """The taps of every output of ``axis``; with ``by_phase=False`` each output is a phase of its own."""
    phases = min(axis.period, axis.n_out) if by_phase else axis.n_out
    start, step, reach, unit = window.bounds(axis)
    over, under = window.shrink.numerator, window.shrink.denominator * unit
    read = []
    for index in range(phases):
        position = start + index * step
        taps = window.taps(position, reach, unit)
        offsets = tuple(over * (tap * unit - position) / under for tap in taps)  # of integers: correctly rounded
        read.append(Phase(index, len(range(index, axis.n_out, phases)), taps.start, offsets))
    # Where every phase has one output nothing advances, and the numerator may be too large for a tensor.
    return Taps(axis, tuple(read), advance=axis.step.numerator if phases < axis.n_out else 1)


@dataclass(frozen=True)
class Counts:
    """How much an axis has of what ``Taps`` lists."""

    phases: int
    offsets: int  # of all phases
    most: int  # taps of any output
    reach: tuple[int, int]  # from the lowest input index that an output reads to the highest, maybe outside the image

    @property
    def read(self) -> int:
        """Input pixels in reach."""
        return self.reach[1] - self.reach[0] + 1


FEW_PHASES = 64  # of so many the most taps are found one by one


@lru_cache(maxsize=1024)
def counts_of(axis: Axis, window: Window) -> Counts:
    """The counts of ``taps_of(axis, window)`` without the list, in as many steps as the numbers have digits.

    Of very many phases ``most`` may be one too high; ``reach`` counts the window of an end that reads no tap.
    """
    phases = min(axis.period, axis.n_out)
    start, step, reach, unit = window.bounds(axis)
    if window.closed:
        ends = floor_sum(phases, unit, step, start + reach) + floor_sum(phases, unit, -step, reach - start) + phases
        most = 2 * reach // unit + 1
    else:
        ends = -floor_sum(phases, unit, -step, -start - reach) - floor_sum(phases, unit, step, start - reach) - phases
        most = -(-2 * reach // unit)
    if phases <= FEW_PHASES:
        each = (window.taps(start + index * step, reach, unit) for index in range(phases))
        most = max(max(taps.stop - taps.start, 0) for taps in each)  # len() ends at the machine's integers
    low = window.taps(start, reach, unit).start
    high = window.taps(start + (axis.n_out - 1) * step, reach, unit).stop - 1
    return Counts(phases, ends, most, (low, max(high, low - 1)))


def floor_sum(count: int, divisor: int, step: int, first: int) -> int:
    """The sum of (first + i * step) // divisor over i from 0 to count − 1, by Euclid's algorithm."""
    total = 0
    while True:
        total += (count - 1) * count // 2 * (step // divisor) + count * (first // divisor)
        step, first = step % divisor, first % divisor
        highest = step * count + first
        if highest < divisor:
            return total
        # the lattice points under the line, counted along the other axis
        count, first = divmod(highest, divisor)
        step, divisor = divisor, step
