"""Measures that several tasks share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def psnr(images: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of the error over all images together, up to 120; the peak is 1."""
    return decibels(F.mse_loss(images, truth).clamp_min(1e-12))


def decibels(squared_errors: Tensor) -> float:
    """The mean of the peak signal-to-noise ratios of some mean squared errors, none of them zero; the peak is 1."""
    return float(-10 * squared_errors.log10().mean())
