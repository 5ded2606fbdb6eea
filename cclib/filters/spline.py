"""Filters that are splines through learned control points."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cclib.arguments import Scale, as_pair, as_scale, as_size, as_support, shown
from cclib.filters.classical import keys_cubic
from cclib.filters.learned import LearnedFilter
from cclib.filters.registry import register

__all__ = ["SplineFilter"]


@register("spline")
class SplineFilter(LearnedFilter):
    """Learned control points on a regular grid, joined by cubic splines that pass through them (Keys, 1981).

    A discrete kernel is held exactly: its weights are the control points (``CCConv2d.from_conv``).

    Args:
        in_channels, out_channels, kernel_size, groups: as in ``MLPFilter``; ``spacing`` must divide ``kernel_size``.
        spacing: distance of the control points in input pixels, a number or a pair.
        dilation: only every so many of them is a control point, as in ``Conv2d``; at the others the filter is zero.
        window: as in ``MLPFilter``; off by default, since the taper would alter the control points.
        partition_of_unity: as in ``Filter``; a discrete kernel is then not held exactly.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Scale,
        *,
        groups: int = 1,
        spacing: Scale = 1,
        dilation: int | Sequence[int] = 1,
        window: bool = False,
        partition_of_unity: bool = False,
    ) -> None:
        sides = as_support(kernel_size, "kernel_size")
        gaps = tuple(as_scale(gap, "spacing") for gap in as_pair(spacing, "spacing"))
        steps = tuple(as_size(step, "dilation") for step in as_pair(dilation, "dilation"))
        extents = [side / gap for side, gap in zip(sides, gaps, strict=True)]
        if any(extent.denominator != 1 for extent in extents):
            raise ValueError(f"spacing={shown(spacing)} must divide kernel_size={shown(kernel_size)}")
        counts = [(extent - 1) / step + 1 for extent, step in zip(extents, steps, strict=True)]
        if any(count.denominator != 1 for count in counts):
            raise ValueError(
                f"dilation={shown(dilation)} must divide kernel_size / spacing − 1, got "
                f"kernel_size={shown(kernel_size)}"
            )
        self.dilation = steps
        self.gaps = gaps
        self.counts = int(counts[0]), int(counts[1])
        features = math.prod(self.counts)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            features,
            groups=groups,
            window=window,
            partition_of_unity=partition_of_unity,
        )
        self.reset_coefficients()

    def functions(self, offsets: Tensor) -> Tensor:
        """The cubic kernel about each control point: offsets (..., 2) -> (..., control points)."""
        axes = []
        for axis, (gap, count) in enumerate(zip(self.gaps, self.counts, strict=True)):
            nodes = torch.arange(count, dtype=offsets.dtype, device=offsets.device) - (count - 1) / 2
            axes.append(keys_cubic(offsets[..., axis, None] / float(gap) - nodes * self.dilation[axis]))
        return (axes[0].unsqueeze(-1) * axes[1].unsqueeze(-2)).flatten(-2)
