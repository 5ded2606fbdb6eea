"""Sines of sines, a trunk of ``MLPFilter``."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cclib.filters.mlp import register_trunk

__all__ = ["Sine", "Siren"]


class Sine(nn.Module):
    """sin(frequency * x)."""

    def __init__(self, frequency: float) -> None:
        super().__init__()
        self.frequency = frequency

    def forward(self, x: Tensor) -> Tensor:
        """Of each element; the shape stays."""
        return torch.sin(x if self.frequency == 1 else self.frequency * x)


@register_trunk("siren")
class Siren(nn.Sequential):
    """(..., 2) -> (..., features): two layers of sines, initialised as in Sitzmann et al. (2020)."""

    def __init__(self, hidden: int, features: int, frequency: float) -> None:
        first, second = nn.Linear(2, hidden), nn.Linear(hidden, features)
        with torch.no_grad():
            first.weight.uniform_(-1 / 2, 1 / 2)
            bound = math.sqrt(6 / hidden)
            second.weight.uniform_(-bound, bound)
        super().__init__(first, Sine(frequency), second, Sine(1.0))
