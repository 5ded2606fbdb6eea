"""A perceptron of random Fourier features, a trunk of ``MLPFilter``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cclib.filters.mlp import register_trunk

__all__ = ["Fourier", "FourierFeatures"]


class FourierFeatures(nn.Module):
    """(..., 2) -> (..., features): sines and cosines of fixed random frequencies (Tancik et al., 2020)."""

    frequencies: Tensor

    def __init__(self, features: int, deviation: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, features // 2) * deviation)

    def forward(self, x: Tensor) -> Tensor:
        """Sines, then cosines: (..., 2) -> (..., features)."""
        angles = x @ self.frequencies.to(x.dtype)
        return torch.cat([angles.sin(), angles.cos()], -1)


@register_trunk("fourier")
class Fourier(nn.Sequential):
    """(..., 2) -> (..., features); ``frequency`` is the standard deviation of the random frequencies.

    Raises:
        ValueError: ``hidden`` is odd: half of the features are sines and half cosines.
    """

    def __init__(self, hidden: int, features: int, frequency: float) -> None:
        if hidden % 2:
            raise ValueError(f"hidden must be even for trunk 'fourier', got {hidden}")
        super().__init__(
            FourierFeatures(hidden, deviation=frequency),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, features),
        )
