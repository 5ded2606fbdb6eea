"""One family of super-resolvers: its members share everything but how they go from the given size to the asked one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cclib.filters.mlp import MLPFilter
from cclib.layers import CCConv2d
from cclib.models.resampling import resized
from cclib.models.upsampling import LocalImplicitFunction, MetaUpscale

__all__ = ["UPSAMPLERS", "SuperResolver", "SuperResolverConfig", "bicubic"]

UPSAMPLERS = ("cc", "conv + resize", "pixel shuffle", "LIIF", "Meta-SR")
SMALL = 0.1  # initial weights of what is added to something: a new network is nearly bicubic interpolation


@dataclass(frozen=True)
class SuperResolverConfig:
    """A super-resolver as plain values.

    Args:
        upsampler: how the last feature map, at the size of the given image, becomes an image of the size asked for:
            "cc", one ``CCConv2d`` to that size;
            "conv + resize", a bilinear resize of the features to that size, then a ``Conv2d``;
            "pixel shuffle", a ``Conv2d`` to ``factor``² channels, which are the pixels of an image ``factor`` times as
            large (W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
            Convolutional Neural Network", CVPR 2016), then a bicubic resize where another size is asked for;
            "LIIF" and "Meta-SR", ``LocalImplicitFunction`` and ``MetaUpscale``.
        channels: of all feature maps.
        blocks: residual blocks of two convolutions.
        kernel_size: of the upsampler.
        features: scalar functions of the "cc" filter; the others ignore it.
        factor: of "pixel shuffle"; the others ignore it.
        hidden: width of the hidden layers of "LIIF" and "Meta-SR"; the others ignore it.
    """

    upsampler: str
    channels: int = 24
    blocks: int = 2
    kernel_size: int = 3
    features: int = 9
    factor: int = 4
    hidden: int = 16

    def __post_init__(self) -> None:
        if self.upsampler not in UPSAMPLERS:
            raise ValueError(f"upsampler must be one of {', '.join(UPSAMPLERS)}, got {self.upsampler!r}")


class SuperResolver(nn.Module):
    """Makes a one-channel image of any size from a smaller one: bicubic, plus what a network adds."""

    def __init__(self, config: SuperResolverConfig) -> None:
        super().__init__()
        self.config = config
        channels, kernel_size = config.channels, config.kernel_size
        self.first = convolution(1, channels, 3)
        self.blocks = nn.ModuleList(
            nn.Sequential(convolution(channels, channels, 3), nn.ReLU(), convolution(channels, channels, 3, gain=SMALL))
            for _ in range(config.blocks)
        )
        self.last: nn.Conv2d | CCConv2d | LocalImplicitFunction | MetaUpscale
        if config.upsampler == "cc":
            kernel = MLPFilter(channels, 1, kernel_size, features=config.features)
            self.last = CCConv2d(channels, 1, kernel_size, bias=False, filter=kernel)
            with torch.no_grad():
                kernel.weight.mul_(SMALL)
        elif config.upsampler == "LIIF":
            self.last = LocalImplicitFunction(channels, config.hidden)
            with torch.no_grad():
                self.last.answer.weight.mul_(SMALL)
                self.last.answer.bias.zero_()
        elif config.upsampler == "Meta-SR":
            self.last = MetaUpscale(channels, kernel_size, config.hidden)
            with torch.no_grad():
                self.last.weights.weight.mul_(SMALL)
                self.last.weights.bias.copy_(convolution(channels, 1, kernel_size, gain=SMALL).weight.flatten())
        else:
            outputs = config.factor**2 if config.upsampler == "pixel shuffle" else 1
            self.last = convolution(channels, outputs, kernel_size, bias=False, gain=SMALL)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(batch, 1, height, width), in [0, 1] -> (batch, 1, *size): the same area."""
        y = torch.relu(self.first(x - 0.5))
        for block in self.blocks:
            y = y + block(y)
        if isinstance(self.last, (CCConv2d, LocalImplicitFunction, MetaUpscale)):
            y = self.last(y, size=size)
        elif self.config.upsampler == "conv + resize":
            y = self.last(resized(y, size))
        else:
            y = bicubic(F.pixel_shuffle(self.last(y), self.config.factor).to(x.dtype), size)
        return bicubic(x, size) + y


def convolution(
    in_channels: int, out_channels: int, kernel_size: int, bias: bool = True, gain: float = 1.0
) -> nn.Conv2d:
    """One that keeps the size; its initial weights have ``gain`` times the deviation of ``CCConv2d``'s."""
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
    nn.init.normal_(layer.weight, std=gain * math.sqrt(2 / (in_channels * kernel_size**2)))
    return layer


def bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Anti-aliased bicubic resizing, (batch, channels, height, width) -> (batch, channels, *size): the same area."""
    if tuple(x.shape[2:]) == size:
        return x
    return F.interpolate(x, size=size, mode="bicubic", antialias=True, align_corners=False)
