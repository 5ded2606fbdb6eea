"""One family of classifiers: its members share everything but how each feature map is computed and resized."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor, nn

from cclib.frames import Frame
from cclib.layers import CCConv2d
from cclib.models.resampling import blurred_and_halved, resized

__all__ = ["COORDINATES", "LAYERS", "Classifier", "ClassifierConfig"]

LAYERS = ("conv", "cc", "blurpool", "resize")
COORDINATES = ("pixels", "picture")


@dataclass(frozen=True)
class ClassifierConfig:
    """A classifier as plain values.

    Args:
        layer: how a block computes its feature map:
            "conv", a ``Conv2d``, strided where the size is halved;
            "cc", a ``CCConv2d`` to any size;
            "blurpool", a ``Conv2d`` that keeps the size, then where the size is halved a fixed blur before every
            second pixel is taken (R. Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019);
            "resize", an anti-aliased bilinear resize to any size, then a ``Conv2d`` that keeps it.
        sizes: side of the input, then of every feature map.
        channels: of the feature maps, one for every size after the first.
        in_channels, classes: of the data.
        kernel_size: of a block that keeps the size.
        resizing_kernel: of a block that changes it; an even one leaves a halving aligned. "blurpool" and "resize" have
            ``kernel_size`` there too.
        residual: a block that keeps size and channels adds its input.
        filter, window: of the "cc" layers; the others ignore them.
        coordinates: in which a "cc" layer reads its filter. In "pixels" of the map that it reads, a filter meets other
            structures where that map has another size than its nominal one. In "picture" coordinates its unit grows
            with the map, so that it spans the same part of the picture; on a smaller map it stays a pixel, since a
            support under two pixels falls between the taps. At the nominal sizes both are the same.
    """

    layer: str
    sizes: tuple[int, ...] = (28, 14, 14, 7, 7)
    channels: tuple[int, ...] = (16, 24, 48, 48)
    in_channels: int = 1
    classes: int = 10
    kernel_size: int = 3
    resizing_kernel: int = 4
    residual: bool = False
    filter: str = "siren"
    window: bool = True
    coordinates: str = "pixels"

    def __post_init__(self) -> None:
        if self.layer not in LAYERS:
            raise ValueError(f"layer must be one of {', '.join(LAYERS)}, got {self.layer!r}")
        if self.coordinates not in COORDINATES:
            raise ValueError(f"coordinates must be one of {', '.join(COORDINATES)}, got {self.coordinates!r}")
        if self.coordinates != "pixels" and self.layer != "cc":
            raise ValueError(f"coordinates must be 'pixels' for a {self.layer!r} classifier, got {self.coordinates!r}")
        if len(self.sizes) != len(self.channels) + 1:
            raise ValueError(f"sizes must hold one value more than channels, got {self.sizes} and {self.channels}")
        if self.layer in ("conv", "blurpool"):
            for size, new_size in pairwise(self.sizes):
                if new_size not in (size, size / 2):
                    raise ValueError(
                        f"a {self.layer} classifier keeps or halves a size; sizes asks for {size} -> {new_size}"
                    )


class Classifier(nn.Module):
    """Blocks of layer, batch norm and ReLU, then the mean over the last feature map and a linear map to the classes."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        channels = (config.in_channels, *config.channels)
        self.layers = nn.ModuleList(
            make_layer(config, *ends, changes=size != new_size)
            for ends, (size, new_size) in zip(pairwise(channels), pairwise(config.sizes), strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in config.channels)
        self.head = nn.Linear(config.channels[-1], config.classes)

    def forward(self, x: Tensor, sizes: Sequence[int] | None = None, frame: Frame | None = None) -> Tensor:
        """(batch, in_channels, height, width) -> (batch, classes).

        Args:
            sizes: side of every feature map, by default those of ``config``; "cc" and "resize" only. The others keep
                or halve what they get.
            frame: where the pixels of ``x`` lie on the image that the network expects, whose sides are
                ``config.sizes[0]``; "cc" only. Every feature map keeps its place on that image, wherever ``x`` lies.

        Raises:
            ValueError: the classifier is of another kind than ``sizes`` or ``frame`` needs.
        """
        if sizes is not None and (self.config.layer not in ("cc", "resize") or len(sizes) != len(self.layers)):
            raise ValueError(
                f"sizes must be left out, or for a 'cc' or 'resize' classifier name {len(self.layers)} sizes; "
                f"this is a {self.config.layer!r} classifier and sizes is {sizes!r}"
            )
        if frame is not None and self.config.layer != "cc":
            raise ValueError(f"frame must be left out: a {self.config.layer!r} classifier cannot follow it")
        if frame is not None and self.config.coordinates != "pixels":
            raise ValueError(f"frame must be left out: the filters are read in {self.config.coordinates} coordinates")
        geometries = self.geometries(x, sizes or self.config.sizes[1:], frame)
        for block, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            y = norm(layer(x, **next(geometries)) if isinstance(layer, (CCConv2d, ResizedConv)) else layer(x))
            if self.config.residual and y.shape == x.shape:
                y = y + x
            x = torch.relu(y)
            if self.config.layer == "blurpool" and self.config.sizes[block + 1] != self.config.sizes[block]:
                x = blurred_and_halved(x)
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores

    def geometries(self, x: Tensor, sizes: Sequence[int], frame: Frame | None) -> Iterator[Mapping[str, object]]:
        """The arguments of each layer: the size of its output and the filter's unit, or with a frame all of its
        geometry."""
        if frame is None and self.config.coordinates == "picture":
            height, width = x.shape[2:]
            read = (height, width), *((size, size) for size in sizes)
            for size, sides, nominal in zip(sizes, read, self.config.sizes, strict=False):
                yield {"size": size, "unit": tuple(max(Fraction(side, nominal), 1) for side in sides)}
            return
        if frame is None:
            yield from ({"size": size} for size in sizes)
            return
        if frame.size != tuple(x.shape[2:]):
            raise ValueError(f"frame must have the size of x, {tuple(x.shape[2:])}, got {frame.size}")
        side = self.config.sizes[0]
        expected = Frame.of((side, side))
        for size in sizes:
            target = expected.resized((size, size))
            yield frame.to(target)
            frame = expected = target


def make_layer(config: ClassifierConfig, in_channels: int, out_channels: int, changes: bool) -> nn.Module:
    """The layer from a feature map to the next, without bias: batch norm follows. ``changes``: to another size."""
    own_kernel = changes and config.layer in ("conv", "cc")
    kernel_size = config.resizing_kernel if own_kernel else config.kernel_size
    if config.layer == "cc":
        return CCConv2d(in_channels, out_channels, kernel_size, bias=False, filter=config.filter, window=config.window)
    layer = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=2 if own_kernel else 1,
        padding=(kernel_size - 1) // 2,
        bias=False,
    )
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (in_channels * kernel_size**2)))  # the variance of CCConv2d
    return ResizedConv(layer) if config.layer == "resize" else layer


class ResizedConv(nn.Module):
    """A convolution after a resize to any size."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, size: int) -> Tensor:
        """(batch, channels, height, width) -> (batch, the convolution's channels, size, size)."""
        y: Tensor = self.conv(resized(x, (size, size)))
        return y
