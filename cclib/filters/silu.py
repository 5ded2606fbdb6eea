"""A perceptron with SiLU activations, a trunk of ``MLPFilter``."""

from __future__ import annotations

import torch
from torch import nn

from cclib.filters.mlp import register_trunk

__all__ = ["Silu"]


@register_trunk("silu")
class Silu(nn.Sequential):
    """(..., 2) -> (..., features); ``frequency`` multiplies the initial weights of the first layer."""

    def __init__(self, hidden: int, features: int, frequency: float) -> None:
        first, second = nn.Linear(2, hidden), nn.Linear(hidden, features)
        with torch.no_grad():
            first.weight.mul_(frequency)
        super().__init__(first, nn.SiLU(), second, nn.SiLU())
