"""What the filters that are learned share; ``mlp``, ``spline`` and ``bspline`` have the families."""

from __future__ import annotations

import math
from abc import abstractmethod
from decimal import Decimal

import torch
from torch import Tensor, nn

from cclib.arguments import Scale, as_flag, as_support, check_numbers, shown
from cclib.filters.base import TAPER_INTEGRAL, Filter, check_channels, taper

__all__ = ["LearnedFilter"]

MOST_FEATURES = 2**18  # a kernel of 512 × 512; the initialisation evaluates each at 1024 offsets


class LearnedFilter(Filter):
    """What learned filters share: matrix coefficients as a parameter, the taper, and the initialisation.

    The coefficients are drawn so that the weights have the variance 2 / fan_in of He et al. (2015), on average over
    the support: for white input the output variance is that of a Kaiming-initialised ``Conv2d`` of the same kernel
    size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Scale,
        features: int,
        *,
        groups: int,
        window: bool,
        partition_of_unity: bool = False,
    ) -> None:
        check_channels(in_channels, out_channels, groups)
        support = as_support(kernel_size, "kernel_size")
        if features > MOST_FEATURES:
            raise ValueError(
                f"kernel_size or features must ask for at most {MOST_FEATURES:,} scalar functions, got "
                f"kernel_size={shown(kernel_size)}, {Decimal(features):.2e} functions"
            )
        check_numbers(features * out_channels * (in_channels // groups), "kernel_size, in_channels and out_channels")
        super().__init__(support, as_flag(window, "window"), partition_of_unity)
        self.window = window
        self.weight = nn.Parameter(torch.empty(features, out_channels, in_channels // groups))

    @property
    def dtype(self) -> torch.dtype:
        """The type in which offsets are evaluated: at least float32, since half-precision offsets would move taps."""
        return torch.promote_types(self.weight.dtype, torch.float32)

    @abstractmethod
    def functions(self, offsets: Tensor) -> Tensor:
        """The scalar functions before the taper: offsets (..., 2) of type ``dtype`` -> (..., features)."""

    def basis(self, offsets: Tensor) -> Tensor:
        """The scalar functions, with the window times the taper: offsets (..., 2) -> (..., features)."""
        offsets = offsets.to(self.dtype)
        functions = self.functions(offsets)
        return functions * taper(offsets, self.support).unsqueeze(-1) if self.window else functions

    def coefficients(self) -> Tensor:
        """The parameter ``weight``: (features, out_channels, in_channels / groups)."""
        return self.weight

    def mass(self, offsets: Tensor) -> Tensor:
        """The taper, divided by its integral, or without a window the constant: offsets (..., 2) -> (...,)."""
        if not self.window:
            return super().mass(offsets)
        reach = float(self.support[0] / 2), float(self.support[1] / 2)
        return taper(offsets, self.support) / (math.prod(reach) * TAPER_INTEGRAL**2)

    def reset_coefficients(self) -> None:
        """Draw the coefficients anew, for the functions as they are now."""
        steps = (torch.arange(32, dtype=self.dtype, device=self.weight.device) + 0.5) / 32 - 0.5
        offsets = torch.stack(torch.meshgrid(*(steps * float(side) for side in self.support), indexing="ij"), -1)
        with torch.no_grad():
            energy = self.basis(offsets).square().sum(-1).mean()
            if not 0 < float(energy) < math.inf:
                raise ValueError(
                    f"kernel_size={shown(self.support)} and the settings of {type(self).__name__} must give functions "
                    f"whose mean square is a number greater than 0, got {float(energy)}"
                )
            fan_in = self.weight.shape[2] * float(self.support[0] * self.support[1])
            self.weight.normal_(0, math.sqrt(2 / (fan_in * float(energy))))
