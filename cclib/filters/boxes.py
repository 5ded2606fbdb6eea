"""Filters that are means over boxes, whose edges are learned and may fall anywhere between the pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cclib.arguments import Scale, as_flag, as_size, as_support, shown
from cclib.filters.learned import LearnedFilter
from cclib.filters.registry import register

__all__ = ["BoxFilter"]


@register("boxes")
class BoxFilter(LearnedFilter):
    """Means over boxes of learned extent and place (Burkov and Lempitsky, "Deep Neural Networks with Box
    Convolutions", NeurIPS 2018), mixed by a matrix each.

    A tap counts as far as the box covers its pixel, a square about it. So wherever an output falls, it has the exact
    means over the boxes about it, of a picture that is constant in each pixel; the filter is a trapezoid of the offset,
    with a gradient for each edge. A box is at least a pixel wide and long, and covers only pixels in the support. Here
    its cost grows with its support, like that of any other filter.

    Args:
        in_channels, out_channels, kernel_size, groups: as in ``MLPFilter``; the sides of ``kernel_size`` must be 2 at
            least.
        features: number of boxes; by default the number of taps.
        window: without effect, since the filter is zero on the edge of its support anyway.
        partition_of_unity: as in ``Filter``.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.

    Example:
        >>> BoxFilter(16, 32, kernel_size=5, features=4)(torch.zeros(7, 2)).shape
        torch.Size([7, 32, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Scale,
        *,
        groups: int = 1,
        features: int | None = None,
        window: bool = False,
        partition_of_unity: bool = False,
    ) -> None:
        sides = as_support(kernel_size, "kernel_size")
        if min(sides) < 2:
            raise ValueError(f"kernel_size must be at least 2, for boxes of a pixel, got {shown(kernel_size)}")
        features = math.ceil(math.prod(sides)) if features is None else features
        as_flag(window, "window")
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            as_size(features, "features"),
            groups=groups,
            window=False,
            partition_of_unity=partition_of_unity,
        )
        self.vanishes = True
        self.extent = nn.Parameter(torch.randn(features, 2))
        self.place = nn.Parameter(torch.randn(features, 2))
        self.reset_coefficients()

    def edges(self) -> tuple[Tensor, Tensor]:
        """Of each box, in input pixels: the top left corner and the bottom right one, both (boxes, 2)."""
        reach = torch.tensor(
            [(float(side) - 1) / 2 for side in self.support], dtype=self.dtype, device=self.weight.device
        )
        half = 0.5 + (reach - 0.5) * torch.sigmoid(self.extent.to(self.dtype))
        centre = (reach - half) * torch.tanh(self.place.to(self.dtype))
        return centre - half, centre + half

    def functions(self, offsets: Tensor) -> Tensor:
        """The share of each box that a pixel at the offset is: (..., 2) -> (..., boxes)."""
        low, high = self.edges()
        covered = overlap(offsets.unsqueeze(-2), low, high) / (high - low)
        vertical, horizontal = covered.unbind(-1)
        return vertical * horizontal

    def mass(self, offsets: Tensor) -> Tensor:
        """The same of the largest box that there can be: offsets (..., 2) -> (...,)."""
        reach = offsets.new_tensor([(float(side) - 1) / 2 for side in self.support])
        vertical, horizontal = (overlap(offsets, -reach, reach) / (2 * reach)).unbind(-1)
        return vertical * horizontal


def overlap(offsets: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """How much of the pixel about each offset, from half a pixel before it to half a pixel behind, lies between."""
    return (torch.minimum(offsets + 0.5, high) - torch.maximum(offsets - 0.5, low)).clamp_min(0)
