"""What a continuous filter is, and the taper that makes one vanish at the edge of its support."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

import torch
from torch import Tensor, nn

from cclib.geometry import as_size

Support = tuple[Fraction, Fraction]


class Filter(nn.Module, ABC):
    """A continuous filter: ``filter(offsets)`` gives the weights (..., out_channels, in_channels / groups).

    ``offsets`` (..., 2) are in input pixels, (vertical, horizontal). A subclass gives ``basis`` and
    ``coefficients``; it may give ``mass``.

    Args:
        support: height and width of the window in which the filter is defined, in input pixels; it is centred on
            offset 0.
        vanishes: whether the filter is zero on the edge of that window, so that taps on the edge need not be read.
    """

    def __init__(self, support: Support, vanishes: bool) -> None:
        super().__init__()
        if min(support) <= 0:
            raise ValueError(f"support must be greater than 0, got {tuple(map(float, support))}")
        self.support = support
        self.vanishes = vanishes

    @abstractmethod
    def basis(self, offsets: Tensor) -> Tensor:
        """The scalar functions at offsets (..., 2): (..., features), in float32 or, for float64 filters, float64."""

    @abstractmethod
    def coefficients(self) -> Tensor:
        """The matrix of each scalar function: (features, out_channels, in_channels / groups)."""

    def mass(self, offsets: Tensor) -> Tensor:
        """A scalar density (...,) with integral one, here the constant over the support.

        The taps of a stretched filter are divided by the sum of their density.
        """
        return torch.full_like(offsets[..., 0], 1 / float(self.support[0] * self.support[1]))

    def forward(self, offsets: Tensor) -> Tensor:
        basis = self.basis(offsets)
        return torch.einsum("...h,hoc->...oc", basis, self.coefficients().to(basis.dtype))


def check_channels(in_channels: int, out_channels: int, groups: int) -> None:
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
        as_size(value, name)
    if in_channels % groups or out_channels % groups:
        raise ValueError(f"groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}")


TAPER_INTEGRAL = 3 / 2  # of 1 − |t|³ over −1 … 1


def taper(offsets: Tensor, support: Support) -> Tensor:
    """1 − |t|³ on each axis, t from −1 to 1 over ``support``: zero on the edge; offsets (..., 2) -> (...,).

    It keeps centres of mass in place about as well as a Hann window, which would damp the outer taps of a kernel of 3
    to a quarter and so slow down their training.
    """
    reach = offsets.new_tensor([float(side) / 2 for side in support])
    distance = (offsets / reach).abs().clamp(max=1)
    vertical, horizontal = (1 - distance * distance * distance).unbind(-1)
    return vertical * horizontal
