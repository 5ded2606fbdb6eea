"""Images normalised by the statistics of a split's pixels."""

from __future__ import annotations

import math

import torch

from companion.data import Split


def channel_statistics(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and population standard deviation of each channel, pixels in [0, 1]: two float32 (channels,)."""
    # From the exact counts of the 256 values, so that neither threads nor the order of summation change the result.
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([torch.bincount(plane.flatten(), minlength=256) for plane in split.images.unbind(1)])
    share = counts / counts.sum(1, keepdim=True).double()  # (channels, 256)
    mean = (share * values).sum(1)
    variance = (share * (values - mean[:, None]).square()).sum(1)
    # not torch's square root, whose last bit depends on the processor's maker
    std = torch.tensor([math.sqrt(of_channel) for of_channel in variance.tolist()], dtype=torch.float32)
    return mean.float(), std


def normalised(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """(images / 255 - mean) / std: float32 (n, channels, height, width) from uint8 of that shape.

    mean, std: (channels,), in units of [0, 1], as `channel_statistics` gives them; std must be positive.
    """
    shape = tuple(images.shape)
    if images.dtype != torch.uint8 or len(shape) != 4:
        raise TypeError(f"images is {images.dtype} {shape}, but must be uint8 (n, channels, height, width)")
    for name, value in (("mean", mean), ("std", std)):
        if value.shape != (shape[1],):
            raise ValueError(f"{name} has shape {tuple(value.shape)}, but must be ({shape[1]},), one per channel")
    if not (std > 0).all():
        raise ValueError(f"std is {std.tolist()}, but must be positive: a constant channel has no scale")
    return (images.to(torch.float32) / 255 - mean[:, None, None]) / std[:, None, None]
