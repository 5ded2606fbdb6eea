"""Filters that are sums of B-splines, whose shifted copies reproduce polynomials."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cclib.arguments import Scale, as_flag, as_pair, as_scale, as_size, as_support, shown
from cclib.filters.learned import LearnedFilter
from cclib.filters.registry import register

__all__ = ["BSplineFilter"]


@register("bspline")
class BSplineFilter(LearnedFilter):
    """Learned control points on a regular grid, blended by B-splines whose knots are one unit apart.

    At unit 1, and at every other whole one, a layer without stretching answers a picture that is a polynomial of at
    most the degree in the same way at every sub-pixel position, away from the borders: the taps of an output always sum
    to the same matrix (a partition of unity), their centre stays where it is, and so on. For a wave what is missing
    from that falls with the power degree + 1 of its frequency (Strang and Fix, "A Fourier analysis of the finite
    element variational method", 1971). At other units all of this holds about.

    With spacing 1 the values of the filter at one set of offsets, a pixel apart, determine it everywhere; with a finer
    one they may not.

    Every B-spline lies wholly inside the support, so that of n control points on an axis the kernel size is
    (n − 1) * spacing + degree + 1.

    Args:
        in_channels, out_channels, kernel_size, groups: as in ``MLPFilter``; ``spacing`` must divide
            ``kernel_size − degree − 1``.
        degree: of the B-splines, from 1 (tents) to 5.
        spacing: distance of the control points in input pixels, a number or a pair.
        window: without effect, since the filter is zero on the edge of its support anyway.
        partition_of_unity: as in ``Filter``; at whole units, without stretching, it is one in any case.

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
        degree: int = 2,
        spacing: Scale = 1,
        window: bool = False,
        partition_of_unity: bool = False,
    ) -> None:
        self.degree = as_size(degree, "degree")
        if self.degree > 5:
            raise ValueError(f"degree must be from 1 to 5, got {shown(degree)}")
        sides = as_support(kernel_size, "kernel_size")
        self.gaps = tuple(as_scale(gap, "spacing") for gap in as_pair(spacing, "spacing"))
        counts = [(side - self.degree - 1) / gap + 1 for side, gap in zip(sides, self.gaps, strict=True)]
        if any(count < 1 or count.denominator != 1 for count in counts):
            raise ValueError(
                f"kernel_size must be degree + 1 and a whole number of spacings, got kernel_size={shown(kernel_size)}, "
                f"degree={shown(degree)}, spacing={shown(spacing)}"
            )
        as_flag(window, "window")
        self.counts = int(counts[0]), int(counts[1])
        features = math.prod(self.counts)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            features,
            groups=groups,
            window=False,
            partition_of_unity=partition_of_unity,
        )
        self.vanishes = True
        self.reset_coefficients()

    def functions(self, offsets: Tensor) -> Tensor:
        """The B-spline about each control point: offsets (..., 2) -> (..., control points)."""
        axes = []
        for axis, (gap, count) in enumerate(zip(self.gaps, self.counts, strict=True)):
            nodes = torch.arange(count, dtype=offsets.dtype, device=offsets.device) - (count - 1) / 2
            if count > 1:  # else the gap may be any number, even one too large for a tensor
                nodes = nodes * float(gap)
            axes.append(b_spline(offsets[..., axis, None] - nodes, self.degree))
        return (axes[0].unsqueeze(-1) * axes[1].unsqueeze(-2)).flatten(-2)

    def mass(self, offsets: Tensor) -> Tensor:
        """The mean of the B-splines: offsets (..., 2) -> (...,)."""
        return self.functions(offsets).mean(-1)


def b_spline(x: Tensor, degree: int) -> Tensor:
    """The B-spline with knots one apart, centred on 0, zero from ±(degree + 1) / 2 on; by de Boor's recursion."""
    if degree == 1:
        return (1 - x.abs()).clamp_min(0)
    reach = (degree + 1) / 2
    left, right = b_spline(x + 0.5, degree - 1), b_spline(x - 0.5, degree - 1)
    return ((reach + x) * left + (reach - x) * right) / degree
