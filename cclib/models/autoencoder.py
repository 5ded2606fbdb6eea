"""Autoencoders that share encoder and latent vector; their decoders grow a picture by different layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cclib.layers import CCConv2d

__all__ = ["LAYERS", "Autoencoder", "AutoencoderConfig"]

LAYERS = ("conv", "resize", "cc")


@dataclass(frozen=True)
class AutoencoderConfig:
    """An autoencoder as plain values.

    Args:
        layer: how the decoder computes its feature maps and, last, its picture:
            "conv", a ``ConvTranspose2d`` where the size doubles and a ``Conv2d`` where it stays;
            "resize", a bilinear resize to any size, then a ``Conv2d``;
            "cc", a ``CCConv2d`` to any size.
        sizes: side of the decoder's first feature map, then of what each layer gives; the last is the picture's.
        channels: of the decoder's feature maps, one for each layer's input.
        image_size: side of the images that the encoder takes.
        encoder_channels: of the encoder's feature maps; each has half the size of the one before.
        latent: numbers between encoder and decoder.
        in_channels: of the images.
        kernel_size: of the decoder's layers, except those of "conv" that double the size.
        doubling_kernel: of those. One that two does not divide covers the pixels unevenly (A. Odena and others,
            "Deconvolution and Checkerboard Artifacts", Distill 2016).
    """

    layer: str
    sizes: tuple[int, ...] = (5, 8, 12, 20)
    channels: tuple[int, ...] = (42, 32, 16)
    image_size: int = 28
    encoder_channels: tuple[int, ...] = (16, 32)
    latent: int = 32
    in_channels: int = 1
    kernel_size: int = 3
    doubling_kernel: int = 4

    def __post_init__(self) -> None:
        if self.layer not in LAYERS:
            raise ValueError(f"layer must be one of {', '.join(LAYERS)}, got {self.layer!r}")
        if len(self.sizes) != len(self.channels) + 1:
            raise ValueError(f"sizes must hold one value more than channels, got {self.sizes} and {self.channels}")
        for size, new_size in pairwise(self.sizes):
            if self.layer == "conv" and new_size not in (size, 2 * size):
                raise ValueError(f"a conv decoder keeps or doubles a size; sizes asks for {size} -> {new_size}")


class Autoencoder(nn.Module):
    """Strided convolutions to a latent vector; from it a small feature map that grows, layer by layer, to a picture.

    The decoder has no batch norm, so nothing in it depends on the size that was last trained.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.in_channels, *config.encoder_channels)
        blocks = [
            nn.Sequential(nn.Conv2d(*ends, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(ends[1]), nn.ReLU())
            for ends in pairwise(widths)
        ]
        side = config.image_size // 2 ** len(blocks)
        self.encoder = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(widths[-1] * side**2, config.latent))
        self.first = nn.Linear(config.latent, config.channels[0] * config.sizes[0] ** 2)
        ends = pairwise((*config.channels, config.in_channels))
        self.layers = nn.ModuleList(
            make_layer(config, *pair, doubles=size != new_size)
            for pair, (size, new_size) in zip(ends, pairwise(config.sizes), strict=True)
        )
        start_nearly_grey(self.layers[-1])

    def forward(self, x: Tensor, size: Sequence[int] | None = None, spread: bool = False) -> Tensor:
        """Images (batch, in_channels, image_size, image_size) -> pictures (batch, in_channels, *size)."""
        return self.decode(self.encoder(x), size, spread)

    def decode(self, code: Tensor, size: Sequence[int] | None = None, spread: bool = False) -> Tensor:
        """(batch, latent) -> (batch, in_channels, *size).

        Args:
            size: height and width of the picture, by default the last of ``config.sizes``; "cc" and "resize" only.
            spread: every layer takes an equal part in what the size differs from the default; else the last takes all.

        Raises:
            ValueError: a "conv" decoder is asked for another size than its own.
        """
        size = self.own_size if size is None else (size[0], size[1])
        return self.decode_all(code, [size], spread)[size]

    def decode_all(
        self, code: Tensor, sizes: Iterable[tuple[int, int]], spread: bool = False
    ) -> dict[tuple[int, int], Tensor]:
        """Size -> what ``decode`` gives; what several sizes have in common is computed once."""
        side = self.config.sizes[0]
        first = self.first(code).unflatten(1, (-1, side, side))
        made: dict[tuple[tuple[int, int], ...], Tensor] = {(): first}  # by the sizes on the way there
        pictures = {}
        for size in sizes:
            if self.config.layer == "conv" and size != self.own_size:
                raise ValueError(f"size must be {self.own_size}, the only one of this 'conv' decoder, got {size}")
            schedule = tuple(self.schedule(size, spread))
            for depth, layer in enumerate(self.layers, start=1):
                if schedule[:depth] not in made:
                    y = torch.relu(made[schedule[: depth - 1]])
                    made[schedule[:depth]] = self.grow(layer, y, schedule[depth - 1])
            pictures[size] = made[schedule]
        return pictures

    def grow(self, layer: nn.Module, y: Tensor, size: tuple[int, int]) -> Tensor:
        """(batch, channels, height, width) -> (batch, the layer's channels, *size)."""
        if self.config.layer == "resize":
            y = F.interpolate(y, size, mode="bilinear")
        grown: Tensor = layer(y, size=size) if self.config.layer == "cc" else layer(y)
        return grown

    @property
    def own_size(self) -> tuple[int, int]:
        """Of the pictures, where no other is asked for."""
        return self.config.sizes[-1], self.config.sizes[-1]

    def schedule(self, size: tuple[int, int], spread: bool = False) -> Iterator[tuple[int, int]]:
        """The size that each layer gives on the way to a picture of ``size``."""
        layers = len(self.layers)
        for index, own in enumerate(self.config.sizes[1:], start=1):
            part = index / layers if spread else index // layers
            height, width = (max(1, round(own * (side / self.config.sizes[-1]) ** part)) for side in size)
            yield height, width


def make_layer(config: AutoencoderConfig, in_channels: int, out_channels: int, doubles: bool) -> nn.Module:
    """The decoder's layer from a feature map to the next. ``doubles``: the size changes."""
    kernel_size = config.kernel_size
    if config.layer == "cc":
        return CCConv2d(in_channels, out_channels, kernel_size)
    stride = 1
    if config.layer == "conv" and doubles:
        kernel_size, stride = config.doubling_kernel, 2
        odd = kernel_size % 2
        layer: nn.Conv2d | nn.ConvTranspose2d = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size, stride, padding=(kernel_size - 1) // 2, output_padding=odd
        )
    else:
        layer = nn.Conv2d(in_channels, out_channels, kernel_size, padding=(kernel_size - 1) // 2)
    taps = (kernel_size / stride) ** 2  # that an output pixel reads
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (in_channels * taps)))  # the variance of CCConv2d
    return layer


def start_nearly_grey(layer: nn.Module) -> None:
    """Take the weights of the layer that makes the picture down to a tenth; else training begins with noise."""
    weight = (layer.filter if isinstance(layer, CCConv2d) else layer).weight
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        weight.mul_(0.1)
