"""One continuous convolution to compute: everything but the numbers of image and bias, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from torch import Tensor

from cclib.filters.base import Filter
from cclib.functional.sampling import Axes, Grid, grid_of

__all__ = ["Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A continuous convolution of an image x.

    Args:
        filter: the continuous filter.
        axes: where the outputs fall, (vertical, horizontal).
        groups, padding_mode, stretch: as in ``cc_conv2d``.
        shape: of x, (batch, in_channels, height, width).
        element_size: bytes of one number of x.
        device: the type of the device of x.
    """

    filter: Filter
    axes: Axes
    groups: int
    padding_mode: str
    stretch: bool
    shape: tuple[int, int, int, int]
    element_size: int
    device: str

    @classmethod
    def of(cls, x: Tensor, filter: Filter, axes: Axes, groups: int, padding_mode: str, stretch: bool) -> Problem:
        """The problem for a given x (batch, in_channels, height, width)."""
        batch, channels, height, width = x.shape
        shape = batch, channels, height, width
        return cls(filter, axes, groups, padding_mode, stretch, shape, x.element_size(), x.device.type)

    @cached_property
    def grid(self) -> Grid:
        """The taps of both axes."""
        return grid_of(self.axes, self.filter, self.stretch)

    @property
    def by_hand(self) -> bool:
        """Whether the sums for the CPU serve, with gradients written by hand: they know no groups."""
        return self.groups == 1 and self.device == "cpu"

    # What follows is counted for the costs, in multiply-adds or in numbers of a tensor.

    @cached_property
    def matrices(self) -> tuple[int, int, int]:
        """(features, out_channels, in_channels / groups) of the filter's coefficients."""
        features, out_channels, in_per_group = self.filter.coefficients().shape
        return features, out_channels, in_per_group

    @cached_property
    def basis_multiply_adds(self) -> int:
        """Of the filter's basis at one offset: taken as one for each parameter besides the coefficients."""
        return max(0, sum(parameter.numel() for parameter in self.filter.parameters()) - prod(self.matrices))

    @cached_property
    def weight_multiply_adds(self) -> int:
        """Of one weight matrix from its basis."""
        return prod(self.matrices)

    @cached_property
    def pixels(self) -> int:
        """Of one output image."""
        return prod(axis.n_out for axis in self.axes)

    @cached_property
    def taps(self) -> int:
        """The most of any output pixel."""
        return prod(taps.most for taps in self.grid)

    @cached_property
    def offsets(self) -> int:
        """At which the filter is sampled if that is done once per phase."""
        return prod(len(taps.offsets) for taps in self.grid)

    @cached_property
    def weights(self) -> int:
        """Of the filter at all offsets."""
        _, out_channels, in_per_group = self.matrices
        return self.offsets * out_channels * in_per_group

    @cached_property
    def output(self) -> int:
        """Of the output."""
        return self.shape[0] * self.matrices[1] * self.pixels

    @cached_property
    def images(self) -> int:
        """Of input and output."""
        batch, channels, height, width = self.shape
        return batch * channels * height * width + self.output

    @cached_property
    def extended(self) -> int:
        """Of the input, cropped or padded to what the taps read."""
        batch, channels, _, _ = self.shape
        return batch * channels * prod(taps.reach[1] - taps.reach[0] + 1 for taps in self.grid)

    @cached_property
    def patches(self) -> int:
        """Of the inputs that all outputs read, one after the other."""
        batch, channels, _, _ = self.shape
        return batch * channels * self.pixels * self.taps

    @cached_property
    def convolution(self) -> int:
        """Multiply-adds of taps times weights."""
        return self.output * self.taps * self.matrices[2]
