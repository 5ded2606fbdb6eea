"""The networks of the experiments, and what they cost.

One family of classifiers: its convolutional and continuous members share everything but the layer that computes each
feature map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cclib import filters
from cclib.layers import CCConv2d

LAYERS = ("conv", "cc")


@dataclass(frozen=True)
class ClassifierConfig:
    """A classifier as plain values.

    Args:
        layer: "conv" (``Conv2d``, strided where the size falls) or "cc" (``CCConv2d``).
        sizes: side of the input, then of every feature map. A "conv" network can only keep or halve a size.
        channels: of the feature maps, one for every size after the first.
        in_channels, classes: of the data.
        filter, window: of the "cc" layers; "conv" ignores them.
    """

    layer: str
    sizes: tuple[int, ...] = (28, 14, 14, 7, 7)
    channels: tuple[int, ...] = (16, 24, 48, 48)
    in_channels: int = 1
    classes: int = 10
    filter: str = "siren"
    window: bool = True

    def __post_init__(self) -> None:
        if self.layer not in LAYERS:
            raise ValueError(f"layer must be one of {', '.join(LAYERS)}, got {self.layer!r}")
        if len(self.sizes) != len(self.channels) + 1:
            raise ValueError(f"sizes must hold one value more than channels, got {self.sizes} and {self.channels}")


class Classifier(nn.Module):
    """Blocks of layer, batch norm and ReLU, then the mean over the last feature map and a linear map to the classes.

    A block that keeps the size has kernel 3, one that changes it kernel 4, which an even stride leaves aligned.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        channels = (config.in_channels, *config.channels)
        self.layers = nn.ModuleList(
            make_layer(config, *ends, *sizes)
            for ends, sizes in zip(pairwise(channels), pairwise(config.sizes), strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in config.channels)
        self.head = nn.Linear(config.channels[-1], config.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width) -> (batch, classes)."""
        for layer, norm, size in zip(self.layers, self.norms, self.config.sizes[1:], strict=True):
            x = layer(x, size=size) if isinstance(layer, CCConv2d) else layer(x)
            x = torch.relu(norm(x))
        return self.head(x.mean((2, 3)))


def make_layer(config: ClassifierConfig, in_channels: int, out_channels: int, size: int, new_size: int) -> nn.Module:
    """The layer from a feature map to the next, without bias: batch norm follows."""
    kernel_size = 3 if new_size == size else 4
    if config.layer == "cc":
        return CCConv2d(in_channels, out_channels, kernel_size, bias=False, filter=config.filter, window=config.window)
    if new_size not in (size, size / 2):
        raise ValueError(f"a conv classifier keeps or halves a size; sizes asks for {size} -> {new_size}")
    stride = size // new_size
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=1, bias=False)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (in_channels * kernel_size**2)))  # the variance of CCConv2d
    return layer


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
            kernel: filters.LearnedFilter = filters.SplineFilter(1, 1, config.kernel_size)
        elif config.filter == "siren":
            kernel = filters.MLPFilter(1, 1, config.kernel_size, features=16)
        else:
            raise ValueError(f"filter must be 'siren' or 'spline', got {config.filter!r}")
        start_nearly_flat(kernel)
        self.layer = CCConv2d(
            1, 1, config.kernel_size, bias=False, padding_mode="replicate", filter=kernel, stretch=config.stretch
        )

    def forward(self, x: Tensor, factor: tuple[float, float]) -> Tensor:
        """(batch, 1, height, width) -> the sizes divided by ``factor`` and rounded down; the corners of both align."""
        place = {
            "scale": tuple(1 / side for side in factor),
            "size": tuple(int(n / side) for n, side in zip(x.shape[2:], factor, strict=True)),
            "start": tuple((side - 1) / 2 for side in factor),
        }
        y = self.layer(torch.cat([x, torch.ones_like(x[:1])]), **place)
        return y[:-1] / y[-1:]


def start_nearly_flat(kernel: filters.LearnedFilter) -> None:
    """Redraw a filter as a constant (under its taper) with a tenth of its random part.

    The taps of a random filter may nearly cancel, and taps that do cannot be normalised to sum one.
    """
    with torch.no_grad():
        kernel.weight.mul_(0.1)
        if isinstance(kernel, filters.SplineFilter):
            kernel.weight.add_(1)
        elif isinstance(kernel, filters.MLPFilter):
            last = kernel.trunk[-2]
            assert isinstance(last, nn.Linear)
            last.weight[0] = 0
            last.bias[0] = torch.pi / 2  # its sine is one
            kernel.weight[0] = 1


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model: nn.Module, *inputs: Any) -> float:
    """Multiply-adds of a forward pass, per item of the batch, counted by torch as it runs.

    ``inputs`` are batched. Counted are convolutions and matrix products; a continuous filter is evaluated once for the
    whole batch, so its share falls with the batch size. A filter that the network keeps from an earlier inference is
    not evaluated, and so not counted: count a network that has not run.
    """
    training = model.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(*inputs)
    model.train(training)
    return counter.get_total_flops() / 2 / inputs[0].shape[0]
