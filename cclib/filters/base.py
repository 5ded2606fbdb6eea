"""What a continuous filter is, and the taper that makes one vanish at the edge of its support."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import ClassVar

import torch
from torch import Tensor, nn

from cclib.arguments import Scale, as_flag, as_size, as_support

__all__ = ["TAPER_INTEGRAL", "Filter", "Support", "check_channels", "taper"]

Support = tuple[Fraction, Fraction]


class Filter(nn.Module, ABC):
    """A continuous filter: ``filter(offsets)`` gives the weights (..., out_channels, in_channels / groups).

    ``offsets`` (..., 2) are in input pixels, (vertical, horizontal). A subclass gives ``basis`` and
    ``coefficients``; it may give ``mass``. It must not override ``forward``: most implementations read ``basis`` and
    ``coefficients`` instead and would not compute the same.

    In inference on the CPU what a filter gives on a grid is kept from call to call, and in training the inner tensors
    of a large evaluation are computed again for the gradient instead of stored. Neither asks anything of a subclass:
    a change of its parameters, its buffers or the attributes of its modules is noticed. Watched are attributes that
    are numbers, strings, tensors, functions or lists, tuples, sets and dictionaries of them; a filter with others (an
    array of numpy, an object) is evaluated at every call. Not watched is the class itself: attributes and methods of
    it that change after the filter was first evaluated.

    A filter whose evaluation changes its own buffers, as batch norm does in training, needs ``self_contained = False``:
    otherwise its gradient is refused.

    Args:
        support: height and width of the window in which the filter is defined, in input pixels, a number or a pair;
            it is centred on offset 0.
        vanishes: whether the filter is zero on the edge of that window, so that taps on the edge need not be read.
        partition_of_unity: make the taps of every output sum to the same matrix, at every sub-pixel phase and every
            unit: to the integral of the filter. Where a layer sums taps with weights W_k it then sums them with
            W_k − (sum of W − integral) * mass_k / (sum of mass); ``filter(offsets)`` itself knows no other taps and
            stays as it is. Can be set at any time.

    Raises:
        TypeError, ValueError: a side of the support is not a number, or not from 1e-18 to 1e18.

    Example:
        >>> class Gaussian(Filter):
        ...     def __init__(self, channels):
        ...         super().__init__(4, vanishes=False)
        ...         self.sharpness = nn.Parameter(torch.ones(()))
        ...         self.weight = nn.Parameter(torch.randn(1, channels, channels))
        ...
        ...     def basis(self, offsets):
        ...         return torch.exp(-self.sharpness * offsets.square().sum(-1, keepdim=True))
        ...
        ...     def coefficients(self):
        ...         return self.weight
        >>> Gaussian(3)(torch.zeros(5, 2)).shape
        torch.Size([5, 3, 3])
    """

    self_contained: ClassVar[bool] = True
    """Whether the values depend on the offsets and on what the filter holds alone. A subclass that reads anything
    else, such as a global variable or a module that it keeps in a closure, sets it to False: it is then evaluated at
    every call. So does one that changes its buffers when it is evaluated. Drawing random numbers is noticed without it
    where torch's default generator gives them, and not where a ``torch.Generator``, numpy or ``random`` does."""

    def __init__(self, support: Scale, vanishes: bool, partition_of_unity: bool = False) -> None:
        super().__init__()
        self.support: Support = as_support(support, "support")
        self.vanishes = vanishes
        self.partition_of_unity = as_flag(partition_of_unity, "partition_of_unity")

    @abstractmethod
    def basis(self, offsets: Tensor) -> Tensor:
        """The scalar functions at offsets (..., 2): (..., features), in float32 or, for float64 filters, float64."""

    @abstractmethod
    def coefficients(self) -> Tensor:
        """The matrix of each scalar function: (features, out_channels, in_channels / groups)."""

    def mass(self, offsets: Tensor) -> Tensor:
        """A scalar density (...,) with integral one, here the constant over the support.

        By the sum of this density over the taps of an output the taps are normalised where the filter's unit is not 1
        or it is stretched, and in proportion to it a partition of unity is corrected; so it should vanish at the edge
        of the support where the filter does.
        """
        return torch.full_like(offsets[..., 0], 1 / float(self.support[0] * self.support[1]))

    def forward(self, offsets: Tensor) -> Tensor:
        """(..., 2) -> (..., out_channels, in_channels / groups)."""
        basis = self.basis(offsets)
        return torch.einsum("...h,hoc->...oc", basis, self.coefficients().to(basis.dtype))


def check_channels(in_channels: int, out_channels: int, groups: int) -> None:
    """Refuse channels that cannot be.

    Raises:
        TypeError, ValueError: one is not an integer of at least 1, or ``groups`` does not divide both channel counts.
    """
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
