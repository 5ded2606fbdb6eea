"""A network that is one learned filter, and scales images down by any factor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cclib.filters.learned import LearnedFilter
from cclib.filters.mlp import MLPFilter
from cclib.filters.spline import SplineFilter
from cclib.layers import CCConv2d

__all__ = ["Downscaler", "DownscalerConfig"]


@dataclass(frozen=True)
class DownscalerConfig:
    """One learned filter that scales images down.

    Args:
        filter: "siren" (``MLPFilter``), or "spline" without window, which holds a discrete kernel of ``kernel_size``.
        kernel_size: support, in output pixels if ``stretch``, else in input pixels.
        stretch: read the filter at offset / factor, so that it widens with the factor: W(s·δ) with s = 1 / factor.
    """

    filter: str
    kernel_size: int
    stretch: bool


class Downscaler(nn.Module):
    """Scales one-channel images down by any factor per axis; a constant image stays constant."""

    def __init__(self, config: DownscalerConfig) -> None:
        super().__init__()
        if config.filter == "spline":
            kernel: LearnedFilter = SplineFilter(1, 1, config.kernel_size)
        elif config.filter == "siren":
            kernel = MLPFilter(1, 1, config.kernel_size, features=16)
        else:
            raise ValueError(f"filter must be 'siren' or 'spline', got {config.filter!r}")
        start_nearly_flat(kernel)
        self.layer = CCConv2d(
            1, 1, config.kernel_size, bias=False, padding_mode="replicate", filter=kernel, stretch=config.stretch
        )

    def forward(self, x: Tensor, factor: tuple[float, float]) -> Tensor:
        """(batch, 1, height, width) -> the sizes divided by ``factor`` and rounded down; the corners of both align."""
        y: Tensor = self.layer(
            torch.cat([x, torch.ones_like(x[:1])]),
            scale=tuple(1 / side for side in factor),
            size=tuple(int(n / side) for n, side in zip(x.shape[2:], factor, strict=True)),
            start=tuple((side - 1) / 2 for side in factor),
        )
        return y[:-1] / y[-1:]


def start_nearly_flat(kernel: LearnedFilter) -> None:
    """Redraw a filter as a constant (under its taper) with a tenth of its random part.

    The taps of a random filter may nearly cancel, and taps that do cannot be normalised to sum one.
    """
    with torch.no_grad():
        kernel.weight.mul_(0.1)
        if isinstance(kernel, SplineFilter):
            kernel.weight.add_(1)
        elif isinstance(kernel, MLPFilter):
            last = kernel.trunk.get_submodule("2")  # its second linear layer
            assert isinstance(last, nn.Linear)
            last.weight[0] = 0
            last.bias[0] = torch.pi / 2  # its sine is one
            kernel.weight[0] = 1
