"""Which implementation ``auto`` picks, from counted operations, bytes and calls, and the explanation of the choice.

The count is of the forward pass. The constants below are rough figures of one laptop core; only their ratios matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from cclib.filters import Filter
from cclib.functional.sampling import Axes, grid_of, resize_axes

MULTIPLY_ADDS_PER_SECOND = {"reference": 4e9, "phases": 4e10, "basis": 1.5e10}
BYTES_PER_SECOND = 5e9
SECONDS_PER_CALL = 2e-5
MEMORY_LIMIT = (
    256 * 2**20
)  # bytes that a picked implementation may need beside input and output, if any candidate needs fewer


@dataclass(frozen=True)
class Candidate:
    """What one implementation costs for one call: multiply-adds, bytes of temporary tensors, and library calls."""

    implementation: str
    multiply_adds: int
    bytes: int
    calls: int

    @property
    def seconds(self) -> float:
        arithmetic = self.multiply_adds / MULTIPLY_ADDS_PER_SECOND[self.implementation]
        return arithmetic + self.bytes / BYTES_PER_SECOND + self.calls * SECONDS_PER_CALL


@dataclass(frozen=True)
class Explanation:
    """The candidates of a call, the picked one first. Printed, it is a table."""

    candidates: tuple[Candidate, ...]

    @property
    def implementation(self) -> str:
        """The name of the picked implementation."""
        return self.candidates[0].implementation

    def __str__(self) -> str:
        lines = [f"{'implementation':<16}{'multiply-adds':>16}{'temporary MiB':>16}{'calls':>8}{'estimate ms':>14}"]
        lines += [
            f"{c.implementation:<16}{c.multiply_adds:>16,}{c.bytes / 2**20:>16.2f}{c.calls:>8}{c.seconds * 1e3:>14.2f}"
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
) -> Explanation:
    """Which implementation ``auto`` picks for an input of shape ``x_shape``, and what the others would cost.

    Args:
        x_shape: (batch, channels, height, width).
        filter: the continuous filter; the groups follow from its channels and those of ``x_shape``.
        scale, size, start, stretch: as in ``cc_conv2d``.
        element_size: bytes of one number; 4 is float32.
    """
    if len(x_shape) != 4:
        raise ValueError(f"x_shape must be (batch, channels, height, width), got {tuple(x_shape)}")
    in_per_group = filter.coefficients().shape[2]
    if x_shape[1] % in_per_group:
        raise ValueError(
            f"x_shape must have a multiple of the filter's {in_per_group} channels per group, got {x_shape[1]}"
        )
    axes = resize_axes(x_shape[2], x_shape[3], scale, size, start)
    return choose(x_shape, filter, axes, x_shape[1] // in_per_group, stretch, element_size)


def choose(
    x_shape: Sequence[int], filter: Filter, axes: Axes, groups: int, stretch: bool, element_size: int
) -> Explanation:
    """The candidates in the order of ``auto``: those within the memory limit by time, then the others by memory.

    The reference comes last of those.
    """
    found = count(x_shape, filter, axes, groups, stretch, element_size)
    fits = sorted((c for c in found if c.bytes <= MEMORY_LIMIT), key=lambda c: c.seconds)
    large = sorted(
        (c for c in found if c.bytes > MEMORY_LIMIT), key=lambda c: (c.implementation == "reference", c.bytes)
    )
    return Explanation((*fits, *large))


def count(
    x_shape: Sequence[int], filter: Filter, axes: Axes, groups: int, stretch: bool, element_size: int
) -> list[Candidate]:
    """What each implementation costs."""
    batch, channels, _, _ = x_shape
    features, out_channels, in_per_group = filter.coefficients().shape
    grid = grid_of(axes, filter, stretch)
    pixels = prod(axis.n_out for axis in axes)
    patch = prod(taps.most for taps in grid)  # taps of one output
    offsets = prod(len(taps.offsets) for taps in grid)  # where the filter is sampled once per phase
    phases = prod(len(taps.phases) for taps in grid)
    inside = all(taps.reach[0] >= 0 and taps.reach[1] < taps.axis.n_in for taps in grid)  # no padding: a view of x
    extended = 0 if inside else batch * channels * prod(taps.reach[1] - taps.reach[0] + 1 for taps in grid)
    matrix = out_channels * in_per_group
    head = features * matrix  # multiply-adds of one weight matrix from its basis
    trunk = sum(parameter.numel() for name, parameter in filter.named_parameters() if name.startswith("trunk"))
    output = batch * out_channels * pixels
    convolution = output * patch * in_per_group
    contraction = batch * channels * pixels * patch * features
    patches = 2 * patch * (batch * channels + features) + 2 * batch * channels * features  # numbers per output pixel
    return [
        Candidate(
            "reference",
            convolution + pixels * patch * (head + trunk),
            element_size * pixels * patch * (2 * matrix + batch * (channels + out_channels)),
            calls=20,
        ),
        Candidate(
            "phases",
            convolution + offsets * (head + trunk),
            element_size * (extended + 2 * offsets * matrix + 2 * output * (phases > 1)),
            calls=12 + 3 * phases,
        ),
        Candidate(
            "basis",
            contraction + output * in_per_group * features + offsets * trunk,
            element_size * (extended + pixels * patches),
            calls=20,
        ),
    ]
