"""Fixed resampling, as the networks without continuous layers use it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["blurred_and_halved", "resized"]


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Anti-aliased bilinear resizing, (batch, channels, height, width) -> (batch, channels, *size), from float32 up."""
    if tuple(x.shape[2:]) == size:
        return x
    x = x.to(torch.promote_types(x.dtype, torch.float32))  # torch does not have it in half precision everywhere
    return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)


def blurred_and_halved(x: Tensor) -> Tensor:
    """Every second pixel of the image blurred by [1, 3, 3, 1] / 8 on each axis, centre-aligned where sizes are even."""
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    kernel = torch.outer(row, row).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=x.shape[1])
