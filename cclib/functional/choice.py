"""Which implementation ``auto`` picks, from counted operations, bytes, pieces and calls, and why.

Counted is one forward pass. The speeds turn the counts into the time of forward and backward on one core of a server's
processor (AMD EPYC) in float32: for each implementation a non-negative least-squares fit, of the relative error, to the
times of 48 layers, among them those of ``cclib.benchmark.TABLE``; the price of a piece is then raised until the picks
on these layers are right. For the reference it is the rate that it reaches with few channels, where the others have
little to do. Notebook 11-efficiency sets estimates beside times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from cclib.filters import Filter
from cclib.functional.phases import is_convolution, transposed_axes
from cclib.functional.sampling import Axes, grid_of, resize_axes

MEMORY_LIMIT = 256 * 2**20  # bytes that the pick may need beside input and output, if any candidate needs fewer


@dataclass(frozen=True)
class Speed:
    """Multiply-adds and bytes in a second, and the seconds of a call and of a piece."""

    multiply_adds: float
    bytes: float
    call: float
    piece: float = 0.0


SPEEDS = {
    "phases": Speed(9.1e9, 8.0e9, 1.1e-5, 1.1e-7),
    "basis": Speed(2.1e10, 2.4e9, 3.0e-5),
    "pixels": Speed(1.4e10, 2.6e9, 7e-6),
    "reference": Speed(1.5e8, 3.3e9, 2e-5),
}


@dataclass(frozen=True)
class Candidate:
    """What one implementation costs for one call.

    ``multiply_adds`` are counted, ``moved`` are the bytes that it copies from one layout to another and ``pieces``
    those of them that do not lie side by side, ``bytes`` bound its temporary tensors, ``calls`` are those of the
    library.
    """

    implementation: str
    multiply_adds: int
    moved: int
    bytes: int
    calls: int
    pieces: int = 0

    @property
    def seconds(self) -> float:
        speed = SPEEDS[self.implementation]
        arithmetic = self.multiply_adds / speed.multiply_adds
        return arithmetic + self.moved / speed.bytes + self.calls * speed.call + self.pieces * speed.piece


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
    scale: Any = None,
    size: Any = None,
    start: Any = None,
    stretch: bool = False,
    element_size: int = 4,
    device: str = "cpu",
) -> Explanation:
    """Which implementation ``auto`` picks for an input of shape ``x_shape``, and what the others would cost.

    Args:
        x_shape: (batch, channels, height, width).
        filter: the continuous filter; the groups follow from its channels and those of ``x_shape``.
        scale, size, start, stretch: as in ``cc_conv2d``.
        element_size: bytes of one number; 4 is float32.
        device: the type of the device. Without groups the CPU has its own ways, whose temporary tensors are smaller.
    """
    if len(x_shape) != 4:
        raise ValueError(f"x_shape must be (batch, channels, height, width), got {tuple(x_shape)}")
    in_per_group = filter.coefficients().shape[2]
    if x_shape[1] % in_per_group:
        raise ValueError(
            f"x_shape must have a multiple of the filter's {in_per_group} channels per group, got {x_shape[1]}"
        )
    axes = resize_axes(x_shape[2], x_shape[3], scale, size, start)
    return choose(x_shape, filter, axes, x_shape[1] // in_per_group, stretch, element_size, device)


def choose(
    x_shape: Sequence[int], filter: Filter, axes: Axes, groups: int, stretch: bool, element_size: int, device: str
) -> Explanation:
    """The candidates in the order of ``auto``: those within the memory limit by time, then the others by memory.

    The reference comes last of those.
    """
    found = count(x_shape, filter, axes, groups, stretch, element_size, device)
    fits = sorted((c for c in found if c.bytes <= MEMORY_LIMIT), key=lambda c: c.seconds)
    large = sorted(
        (c for c in found if c.bytes > MEMORY_LIMIT), key=lambda c: (c.implementation == "reference", c.bytes)
    )
    return Explanation((*fits, *large))


def count(
    x_shape: Sequence[int], filter: Filter, axes: Axes, groups: int, stretch: bool, element_size: int, device: str
) -> list[Candidate]:
    """What each implementation costs."""
    batch, channels, _, _ = x_shape
    features, out_channels, in_per_group = filter.coefficients().shape
    grid = grid_of(axes, filter, stretch)
    pixels = prod(axis.n_out for axis in axes)
    taps = prod(taps.most for taps in grid)  # of one output
    offsets = prod(len(taps.offsets) for taps in grid)  # where the filter is sampled once per phase
    extended = batch * channels * prod(taps.reach[1] - taps.reach[0] + 1 for taps in grid)
    images = batch * (channels * prod(axis.n_in for axis in axes) + out_channels * pixels)
    head = features * out_channels * in_per_group  # multiply-adds of one weight matrix from its basis
    trunk = sum(parameter.numel() for name, parameter in filter.named_parameters() if name.startswith("trunk"))
    weights = offsets * out_channels * in_per_group
    output = batch * out_channels * pixels
    convolution = output * taps * in_per_group
    patches = batch * channels * pixels * taps
    contracted = batch * channels * pixels * features
    listed = pixels * taps * (features + 4)  # of every tap the filter's functions and two indices, of 8 bytes each

    def candidate(name: str, multiply_adds: int, moved: int, numbers: int, calls: int, pieces: int = 0) -> Candidate:
        return Candidate(name, multiply_adds, element_size * moved, element_size * numbers, calls, pieces)

    rows, columns = (len(taps.phases) for taps in grid)
    sampled = convolution + offsets * (head + trunk)
    if is_convolution(grid) or transposed_axes(grid, "zeros") is not None:
        phases = candidate("phases", sampled, 0, images + 2 * weights + output, calls=20)
    elif groups > 1 or device != "cpu":
        calls = 20 + 4 * rows * columns
        phases = candidate("phases", sampled, extended + 2 * output, extended + 2 * weights + 2 * output, calls)
    else:
        calls = 20 + 8 * rows + 3 * rows * columns
        numbers = extended + 2 * images + 2 * weights
        lines_of_patches = batch * pixels * grid[0].most
        phases = candidate("phases", sampled, patches + images, numbers, calls, lines_of_patches)
    contraction = batch * channels * pixels * taps * features + output * in_per_group * features + offsets * trunk
    if groups > 1 or device != "cpu":
        numbers = extended + 2 * (patches + pixels * taps * features + contracted)
        basis = candidate("basis", contraction, patches + contracted, numbers, calls=20)
    else:
        numbers = 2 * images + 2 * offsets * features + (patches + contracted + listed) // axes[0].n_out
        basis = candidate(
            "basis", contraction, patches + 2 * contracted + images, numbers, calls=30 + 12 * axes[0].n_out
        )
    per_pixel = pixels * taps * out_channels * in_per_group
    weighted = candidate(
        "pixels",
        convolution + per_pixel * features + offsets * trunk,
        2 * patches + per_pixel + 2 * images,
        5 * images // 2 + 2 * offsets * features + (patches + per_pixel + listed) // axes[0].n_out,
        calls=40 + 16 * axes[0].n_out,
    )
    reference = candidate(
        "reference",
        convolution + pixels * taps * (head + trunk),
        patches,
        extended + pixels * taps * (2 * out_channels * in_per_group + batch * (channels + out_channels)),
        calls=20,
    )
    return [reference, phases, basis] + ([weighted] if groups == 1 and device == "cpu" else [])
