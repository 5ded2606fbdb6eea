"""The learned filters: a small network of the offset (``MLPFilter``) and splines through control points."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cclib.filters.base import TAPER_INTEGRAL, Filter, check_channels, taper
from cclib.filters.classical import keys_cubic
from cclib.geometry import as_fraction, as_pair, as_size


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
        kernel_size: Any,
        features: int,
        *,
        groups: int,
        window: bool,
    ) -> None:
        check_channels(in_channels, out_channels, groups)
        height, width = as_pair(kernel_size, "kernel_size")
        support = as_fraction(height, "kernel_size"), as_fraction(width, "kernel_size")
        super().__init__(support, vanishes=window)
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
        offsets = offsets.to(self.dtype)
        functions = self.functions(offsets)
        return functions * taper(offsets, self.support).unsqueeze(-1) if self.window else functions

    def coefficients(self) -> Tensor:
        return self.weight

    def mass(self, offsets: Tensor) -> Tensor:
        if not self.window:
            return super().mass(offsets)
        reach = float(self.support[0] / 2), float(self.support[1] / 2)
        return taper(offsets, self.support) / (math.prod(reach) * TAPER_INTEGRAL**2)

    def reset_coefficients(self) -> None:
        steps = (torch.arange(32, dtype=self.dtype, device=self.weight.device) + 0.5) / 32 - 0.5
        offsets = torch.stack(torch.meshgrid(*(steps * float(side) for side in self.support), indexing="ij"), -1)
        with torch.no_grad():
            energy = self.basis(offsets).square().sum(-1).mean()
            fan_in = self.weight.shape[2] * float(self.support[0] * self.support[1])
            self.weight.normal_(0, float((2 / (fan_in * energy)).sqrt()))


class Sine(nn.Module):
    def __init__(self, frequency: float) -> None:
        super().__init__()
        self.frequency = frequency

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.frequency * x)


class FourierFeatures(nn.Module):
    """Random Fourier features of a point (..., 2): sines and cosines of fixed random frequencies (Tancik et al.,
    2020)."""

    frequencies: Tensor

    def __init__(self, features: int, deviation: float) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, features // 2) * deviation)

    def forward(self, x: Tensor) -> Tensor:
        angles = x @ self.frequencies.to(x.dtype)
        return torch.cat([angles.sin(), angles.cos()], -1)


def siren(hidden: int, features: int, frequency: float) -> nn.Sequential:
    """Sines of sines, initialised as in Sitzmann et al. (2020)."""
    first, second = nn.Linear(2, hidden), nn.Linear(hidden, features)
    with torch.no_grad():
        first.weight.uniform_(-1 / 2, 1 / 2)
        bound = math.sqrt(6 / hidden)
        second.weight.uniform_(-bound, bound)
    return nn.Sequential(first, Sine(frequency), second, Sine(1.0))


def silu(hidden: int, features: int, frequency: float) -> nn.Sequential:
    first, second = nn.Linear(2, hidden), nn.Linear(hidden, features)
    with torch.no_grad():
        first.weight.mul_(frequency)
    return nn.Sequential(first, nn.SiLU(), second, nn.SiLU())


def fourier(hidden: int, features: int, frequency: float) -> nn.Sequential:
    return nn.Sequential(
        FourierFeatures(hidden, deviation=frequency),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, features),
    )


# Each makes, of the widths of the hidden layer and of the output and of a frequency, a network from offsets (..., 2),
# scaled to -1 ... 1, to (..., features).
TRUNKS: dict[str, Callable[[int, int, float], nn.Sequential]] = {
    "siren": siren,
    "silu": silu,
    "fourier": fourier,
}


class MLPFilter(LearnedFilter):
    """A filter whose scalar functions are a small network of the offset.

    Args:
        in_channels, out_channels: channels of the layer's input and output.
        kernel_size: height and width of the support in input pixels, a number or a pair.
        groups: as in ``Conv2d``; must divide both channel counts.
        trunk: "siren", "silu" or "fourier".
        window: multiply by a taper that is zero on the edge of the support, so that no tap comes and goes with a
            jump.
        features: number of scalar functions; by default the number of taps, which gives as many coefficients as
            ``Conv2d`` has weights.
        hidden: width of the hidden layer.
        frequency: how fast the first layer varies over the support.

    Example:
        >>> MLPFilter(16, 32, kernel_size=4)(torch.zeros(5, 2)).shape
        torch.Size([5, 32, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        *,
        groups: int = 1,
        trunk: str = "siren",
        window: bool = True,
        features: int | None = None,
        hidden: int = 32,
        frequency: float = 6.0,
    ) -> None:
        if trunk not in TRUNKS:
            raise ValueError(f"trunk must be one of {', '.join(TRUNKS)}, got {trunk!r}")
        if features is None:
            height, width = as_pair(kernel_size, "kernel_size")
            features = max(1, math.ceil(as_fraction(height, "kernel_size") * as_fraction(width, "kernel_size")))
        as_size(features, "features")
        as_size(hidden, "hidden")
        if trunk == "fourier" and hidden % 2:
            raise ValueError(f"hidden must be even for trunk 'fourier', got {hidden}")
        as_fraction(frequency, "frequency")
        super().__init__(in_channels, out_channels, kernel_size, features, groups=groups, window=window)
        self.trunk = TRUNKS[trunk](hidden, features, frequency)
        self.reset_coefficients()

    def functions(self, offsets: Tensor) -> Tensor:
        reach = offsets.new_tensor([float(side) / 2 for side in self.support])
        if self.weight.dtype == offsets.dtype:
            return self.trunk(offsets / reach)
        parameters = {name: value.to(offsets.dtype) for name, value in self.trunk.named_parameters()}
        return torch.func.functional_call(self.trunk, parameters, (offsets / reach,))


class SplineFilter(LearnedFilter):
    """Learned control points on a regular grid, joined by cubic splines that pass through them (Keys, 1981).

    A discrete kernel is held exactly: its weights are the control points (``CCConv2d.from_conv``).

    Args:
        in_channels, out_channels, kernel_size, groups: as in ``MLPFilter``; ``spacing`` must divide ``kernel_size``.
        spacing: distance of the control points in input pixels, a number or a pair.
        window: as in ``MLPFilter``; off by default, since the taper would alter the control points.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        *,
        groups: int = 1,
        spacing: Any = 1,
        window: bool = False,
    ) -> None:
        sides = as_pair(kernel_size, "kernel_size")
        gaps = tuple(as_fraction(gap, "spacing") for gap in as_pair(spacing, "spacing"))
        if min(gaps) <= 0:
            raise ValueError(f"spacing must be greater than 0, got {spacing!r}")
        counts = [as_fraction(side, "kernel_size") / gap for side, gap in zip(sides, gaps, strict=True)]
        if any(count.denominator != 1 for count in counts):
            raise ValueError(f"spacing={spacing!r} must divide kernel_size={kernel_size!r}")
        self.gaps = gaps
        self.counts = int(counts[0]), int(counts[1])
        features = math.prod(self.counts)
        super().__init__(in_channels, out_channels, kernel_size, features, groups=groups, window=window)
        self.reset_coefficients()

    def functions(self, offsets: Tensor) -> Tensor:
        axes = []
        for axis, (gap, count) in enumerate(zip(self.gaps, self.counts, strict=True)):
            nodes = torch.arange(count, dtype=offsets.dtype, device=offsets.device) - (count - 1) / 2
            axes.append(keys_cubic(offsets[..., axis, None] / float(gap) - nodes))
        return (axes[0].unsqueeze(-1) * axes[1].unsqueeze(-2)).flatten(-2)  # (..., control points)
