"""The fixed interpolation kernels, which make the layer a classical resizer."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor

from cclib.arguments import Scale, as_choice, as_size, check_numbers
from cclib.filters.base import Filter
from cclib.filters.registry import register

__all__ = ["KERNELS", "ClassicalFilter", "box", "keys_cubic", "lanczos3", "linear"]


def keys_cubic(x: Tensor) -> Tensor:
    """The cubic interpolation kernel of Keys (1981) with a = −1/2; zero from ±2 on."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def linear(x: Tensor) -> Tensor:
    """The tent of linear interpolation; zero from ±1 on."""
    return (1 - x.abs()).clamp_min(0)


def lanczos3(x: Tensor) -> Tensor:
    """Lanczos' windowed sinc with three lobes on each side; zero from ±3 on."""
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))


def box(x: Tensor) -> Tensor:
    """One within ±1/2 and one half on the edge, so that its unit translates sum to one everywhere."""
    return torch.heaviside(0.5 - x.abs(), x.new_tensor(0.5))


# By name the width of the support, in input pixels, and the kernel of one axis.
KERNELS: dict[str, tuple[int, Callable[[Tensor], Tensor]]] = {
    "linear": (2, linear),
    "cubic": (4, keys_cubic),
    "lanczos3": (6, lanczos3),
    "box": (1, box),
}


class ClassicalFilter(Filter):
    """A fixed interpolation kernel; with ``groups=channels`` the layer is a classical resizer.

    Args:
        kind: "linear", "cubic" (Keys, a = −1/2), "lanczos3" or "box".
        channels: channels of input and output.
        partition_of_unity: as in ``Filter``; without stretching and at unit 1 only the taps of "lanczos3" do not sum to
            the same without it.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.
    """

    anchor: Tensor

    def __init__(self, kind: str, channels: int, *, partition_of_unity: bool = False) -> None:
        side, self.kernel = KERNELS[as_choice(kind, KERNELS, "kind")]
        super().__init__((Fraction(side), Fraction(side)), kind != "box", partition_of_unity)
        self.kind = kind
        self.channels = as_size(channels, "channels")
        check_numbers(self.channels, "channels")
        self.register_buffer("anchor", torch.empty(0), persistent=False)  # has the device: it follows .to()

    def mass(self, offsets: Tensor) -> Tensor:
        """The kernel itself: offsets (..., 2) -> (...,)."""
        return self.kernel(offsets[..., 0]) * self.kernel(offsets[..., 1])

    def basis(self, offsets: Tensor) -> Tensor:
        """The kernel as the one scalar function: offsets (..., 2) -> (..., 1)."""
        return self.mass(offsets).unsqueeze(-1)

    def coefficients(self) -> Tensor:
        """Ones, (1, channels, 1): the same kernel on every channel."""
        return torch.ones(1, self.channels, 1, device=self.anchor.device)


def for_layer(
    kind: str, in_channels: int, out_channels: int, kernel_size: Scale, *, groups: int, window: bool
) -> ClassicalFilter:
    """The kernel as a layer asks for it. It has a support of its own, whatever ``kernel_size`` and ``window``."""
    if not in_channels == out_channels == groups:
        raise ValueError(
            f"filter={kind!r} works on each channel alone: in_channels={in_channels}, out_channels={out_channels} "
            f"and groups={groups} must be equal"
        )
    return ClassicalFilter(kind, in_channels)


for kind in KERNELS:
    register(kind)(partial(for_layer, kind))
