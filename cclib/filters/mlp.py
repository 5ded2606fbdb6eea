"""Filters that are a small network of the offset, and the networks to choose from."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from cclib.arguments import Scale, as_choice, as_fraction, as_size, as_support, check_numbers
from cclib.filters.learned import LearnedFilter
from cclib.filters.registry import register

__all__ = ["TRUNKS", "MLPFilter", "register_trunk"]

# By name, what makes of the widths of the hidden layer and of the output and of a frequency a network from offsets
# (..., 2), scaled to −1 … 1, to (..., features).
TRUNKS: dict[str, Callable[[int, int, float], nn.Module]] = {}

Trunk = TypeVar("Trunk", bound=Callable[[int, int, float], nn.Module])


def register_trunk(name: str) -> Callable[[Trunk], Trunk]:
    """Make a network of the offset a trunk of ``MLPFilter`` and, under the same name, a filter of the layer.

    The decorated class or function is called with (hidden, features, frequency); ``TRUNKS`` says what they mean.
    """

    def enter(trunk: Trunk) -> Trunk:
        if not callable(trunk):
            raise TypeError(f"trunk {name!r} must be a class or a function, got {trunk!r}")
        register(name)(partial(MLPFilter, trunk=name))
        TRUNKS[name] = trunk
        return trunk

    return enter


class MLPFilter(LearnedFilter):
    """A filter whose scalar functions are a small network of the offset.

    Args:
        in_channels, out_channels: channels of the layer's input and output.
        kernel_size: height and width of the support in input pixels, a number or a pair.
        groups: as in ``Conv2d``; must divide both channel counts.
        trunk: "siren", "silu" or "fourier", or another in ``TRUNKS``.
        window: multiply by a taper that is zero on the edge of the support, so that no tap comes and goes with a
            jump.
        partition_of_unity: as in ``Filter``.
        features: number of scalar functions; by default the number of taps, which gives as many coefficients as
            ``Conv2d`` has weights.
        hidden: width of the hidden layer.
        frequency: how fast the first layer varies over the support.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.

    Example:
        >>> MLPFilter(16, 32, kernel_size=4)(torch.zeros(5, 2)).shape
        torch.Size([5, 32, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Scale,
        *,
        groups: int = 1,
        trunk: str = "siren",
        window: bool = True,
        partition_of_unity: bool = False,
        features: int | None = None,
        hidden: int = 32,
        frequency: float = 6.0,
    ) -> None:
        as_choice(trunk, TRUNKS, "trunk")
        features = math.ceil(math.prod(as_support(kernel_size, "kernel_size"))) if features is None else features
        as_size(features, "features")
        as_size(hidden, "hidden")
        frequency = float(as_fraction(frequency, "frequency"))
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            features,
            groups=groups,
            window=window,
            partition_of_unity=partition_of_unity,
        )
        check_numbers(hidden * features, "hidden and features")
        self.trunk = TRUNKS[trunk](hidden, features, frequency)
        self.reset_coefficients()

    def functions(self, offsets: Tensor) -> Tensor:
        """The outputs of the trunk at offsets scaled to −1 … 1: (..., 2) -> (..., features)."""
        reach = offsets.new_tensor([float(side) / 2 for side in self.support])
        if self.weight.dtype == offsets.dtype:
            return cast(Tensor, self.trunk(offsets / reach))
        tensors = (*self.trunk.named_parameters(), *self.trunk.named_buffers())
        precise = {name: value.to(offsets.dtype) for name, value in tensors if value.is_floating_point()}
        return cast(Tensor, torch.func.functional_call(self.trunk, precise, (offsets / reach,)))
