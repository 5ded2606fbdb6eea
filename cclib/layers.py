"""CCConv2d: the continuous convolution as a layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Never

import torch
from torch import Tensor, nn

from cclib.arguments import Scale, Size, Start, as_choice, as_flag, as_pair, as_scale, as_size, as_support, shown
from cclib.filters.base import Filter, Support, check_channels
from cclib.filters.registry import make
from cclib.functional import CHOICES, FLOATS, PADDING_MODES, check_input, convolve, place
from cclib.functional.problem import Problem, exact_unit, windows_of
from cclib.geometry import DiscreteAxis, layer_axes, resize_axes

if TYPE_CHECKING:
    from cclib.frozen import FrozenConv2d

__all__ = ["CCConv2d"]

# Arguments of the discrete layers, and what to write in their place.
INSTEAD = {
    "stride": "a stride of t is scale=1/t",
    "padding": "the output has the size that scale or size ask for, whatever the kernel; padding_mode says what lies "
    "outside the image, and start, at the call, where output 0 falls",
    "output_padding": "a transposed layer of stride t is scale=t, and size, at the call, gives any output size",
    "dilation": "kernel_size is the extent in input pixels; dilation d of k taps is filter=SplineFilter(in_channels, "
    "out_channels, d * (k - 1) + 1, dilation=d), with that kernel_size",
}


class CCConv2d(nn.Module):
    """A convolution layer whose filter is a continuous function, so that its output can have any size (see
    ``cc_conv2d``).

    Args:
        in_channels, out_channels, bias, groups: as in ``Conv2d``.
        kernel_size: height and width of the filter's support in input pixels, at unit 1, a number or a pair.
        scale: output size over input size, a number or a pair, where the call does not say otherwise.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        filter: "siren", "silu", "fourier", "spline", "bspline", "boxes"; "linear", "cubic", "lanczos3", "box" (fixed,
            with their own support; for in_channels = out_channels = groups); or a ``Filter``.
        window: multiply the filter by a taper that is zero on the edge of the support. Without effect on "bspline" and
            "boxes", and on a fixed or given filter.
        partition_of_unity: make the taps of every output sum to the same matrix, at every sub-pixel phase and unit, so
            that a constant image stays constant when the filter moves; see ``Filter``. A given filter says so itself.
        stretch: stretch the filter when down-scaling (anti-aliasing), as in ``cc_conv2d``.
        unit: length of the filter's unit in input pixels, a number or a pair, where the call does not say otherwise;
            see ``cc_conv2d``. Where it is the side of the map that is read over its nominal side, the filter keeps its
            extent in the picture.
        implementation: "auto", or the name of an implementation as in ``cc_conv2d``.
        device, dtype: of the parameters, as in ``Conv2d``, also of a given filter's. They are drawn on the default
            device and then moved, so that a seed gives the same layer everywhere.

    Raises:
        ValueError, TypeError: an argument breaks its rule; the message names it, its value and the rule. For
            ``stride``, ``padding``, ``output_padding`` and ``dilation`` it says what to write in their place.

    Source: Shocher et al., From Discrete to Continuous Convolution Layers, arXiv 2006.11120.

    Example:
        >>> layer = CCConv2d(16, 32, kernel_size=4, scale=3/4)
        >>> layer(torch.zeros(8, 16, 28, 28)).shape
        torch.Size([8, 32, 21, 21])
        >>> layer(torch.zeros(8, 16, 28, 28), size=(20, 25)).shape
        torch.Size([8, 32, 20, 25])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Scale,
        *,
        scale: Scale = 1,
        bias: bool = True,
        groups: int = 1,
        padding_mode: str = "zeros",
        filter: str | Filter = "siren",
        window: bool = True,
        partition_of_unity: bool = False,
        stretch: bool = False,
        unit: Scale = 1,
        implementation: str = "auto",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **unsupported: Never,
    ) -> None:
        super().__init__()
        for name in unsupported:
            if name not in INSTEAD:
                raise TypeError(f"CCConv2d has no argument {name!r}")
            instead = f"{INSTEAD[name]}. CCConv2d.from_conv keeps a discrete layer as it is"
            raise TypeError(f"{name} is an argument of discrete layers: {instead}")
        check_channels(in_channels, out_channels, groups)
        self.scale, self.unit = scale, unit
        exact_unit(self.unit, stretch)
        as_flag(partition_of_unity, "partition_of_unity")
        as_choice(padding_mode, PADDING_MODES, "padding_mode")
        as_choice(implementation, CHOICES, "implementation")
        if dtype is not None and dtype not in FLOATS:
            raise TypeError(f"dtype must be a floating-point type, 16 to 64 bits wide, got {dtype!r}")
        given = isinstance(filter, Filter)
        if isinstance(filter, str):
            filter = make(filter, in_channels, out_channels, kernel_size, groups=groups, window=window)
            if partition_of_unity:
                filter.partition_of_unity = True
        elif not given:
            raise TypeError(f"filter must be a name or a cclib.filters.Filter, got {type(filter).__name__}")
        elif partition_of_unity and not filter.partition_of_unity:
            raise ValueError("partition_of_unity must be set on the filter where one is given, got True beside False")
        matrix = tuple(filter.coefficients().shape[1:])
        if matrix != (out_channels, in_channels // groups):
            raise ValueError(
                f"filter must give ({out_channels}, {in_channels // groups}) matrices for in_channels={in_channels}, "
                f"out_channels={out_channels}, groups={groups}; it gives {matrix}"
            )
        if given and filter.support != as_support(kernel_size, "kernel_size"):
            raise ValueError(
                f"kernel_size must be the filter's support {show(filter.support)}, got {shown(kernel_size)}"
            )
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, filter.support
        self.groups, self.padding_mode, self.stretch = groups, padding_mode, stretch
        self.implementation = implementation
        self.filter = filter
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_channels // groups * math.prod(map(float, filter.support)))
            nn.init.uniform_(self.bias, -bound, bound)
        if device is not None or dtype is not None:
            self.to(device=device, dtype=dtype)

    @property
    def scale(self) -> Scale:
        """Output size over input size where the call does not say otherwise; can be set.

        A layer made by ``from_conv`` leaves the discrete layer's geometry when it is set.
        """
        return self._scale

    @scale.setter
    def scale(self, scale: Scale) -> None:
        self._scale = settled(scale, "scale")
        self.discrete_axes: tuple[DiscreteAxis, DiscreteAxis] | None = None

    @property
    def unit(self) -> Scale:
        """Length of the filter's unit in input pixels where the call does not say otherwise; can be set."""
        return self._unit

    @unit.setter
    def unit(self, unit: Scale) -> None:
        self._unit = settled(unit, "unit")

    def forward(
        self,
        x: Tensor,
        *,
        scale: Scale | None = None,
        size: Size | None = None,
        start: Start | None = None,
        unit: Scale | None = None,
    ) -> Tensor:
        """(batch, in_channels, height, width) -> (batch, out_channels, *size), also unbatched.

        ``scale``, ``size``, ``start`` and ``unit`` are those of ``cc_conv2d``. Without scale and size the layer's own
        scale holds, without unit its own unit. A converted layer has the geometry of its discrete layer as long as
        neither scale nor size is given.

        Raises:
            ValueError, TypeError: as ``cc_conv2d``.
        """
        check_input(x, self.filter, self.bias, self.groups, self.padding_mode)
        where = place(
            x,
            self.filter,
            scale,
            size,
            start,
            self.groups,
            self.padding_mode,
            self.stretch,
            self._unit if unit is None else unit,
            self._scale,
            self.discrete_axes,
        )
        return convolve(x, self.filter, self.bias, where, self.implementation)

    @classmethod
    def from_conv(cls, conv: nn.Conv2d | nn.ConvTranspose2d) -> CCConv2d:
        """A CC layer with the same output as a discrete layer, at the discrete layer's geometry and any input size.

        Its filter is a spline through the discrete weights, so it can also be called at any other scale or size.
        Device, type, training mode and ``requires_grad`` are those of ``conv``, and it loads the state of such layers.
        ``cclib.convert`` does this to a whole network.

        Raises:
            TypeError: ``conv`` is neither ``Conv2d`` nor ``ConvTranspose2d``.
            ValueError: it cannot be converted; the message says why.
        """
        from cclib.conversion import from_conv

        return from_conv(conv, cls)

    def freeze(
        self,
        input_size: Size,
        *,
        scale: Scale | None = None,
        size: Size | None = None,
        start: Start | None = None,
        unit: Scale | None = None,
    ) -> FrozenConv2d:
        """The layer as a plain convolution: the same output, at one input size and geometry, with its present weights.

        Each pair of phases has its own weights: few where the scale is a ratio of small integers, as many as output
        pixels where it is irrational. ``cclib.freeze`` does this to a whole network.

        Args:
            input_size: height and width of the input, an integer or a pair.
            scale, size, start, unit: as in ``forward``.

        Raises:
            ValueError, TypeError: an argument breaks its rule; the message names it, its value and the rule.
            ValueError: the layer has hooks, or its class a ``forward`` of its own, which would be lost.

        Warns:
            UserWarning: the plain convolution has very many weights; the message says how many.

        Example:
            >>> frozen = CCConv2d(16, 32, kernel_size=4, scale=3/4).freeze(28)
            >>> frozen(torch.zeros(8, 16, 28, 28)).shape
            torch.Size([8, 32, 21, 21])
        """
        from cclib.frozen import FrozenConv2d, warn_of_growth

        height, width = (as_size(side, "input_size") for side in as_pair(input_size, "input_size"))
        frozen = FrozenConv2d(self, self.resolve(height, width, scale, size, start, unit))
        warn_of_growth(self, frozen)
        return frozen

    @property
    def resolve(self) -> Callable[[int, int, Scale | None, Size | None, Start | None, Scale | None], Problem]:
        """The function from (height, width, scale, size, start, unit), as given to ``forward``, to what is read where,
        of an image with zeros about it."""
        filter = self.filter
        return partial(
            problem_for,
            self.scale,
            self.unit,
            self.discrete_axes,
            filter.support,
            not filter.vanishes,
            self.groups,
            self.stretch,
        )

    def extra_repr(self) -> str:
        """The settings that differ from their defaults, for ``repr``."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={show(self.kernel_size)}, scale={show(self.scale)}"
        )
        if self.discrete_axes is not None:
            text += ", geometry of a discrete layer"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode!r}"
        if self.filter.partition_of_unity:
            text += ", partition_of_unity=True"
        if self.stretch:
            text += ", stretch=True"
        if as_pair(self.unit, "unit") != (1, 1):
            text += f", unit={show(self.unit)}"
        return text + ("" if self.bias is not None else ", bias=False")


def show(value: Scale) -> str:
    """A number or pair of numbers, fractions written as such."""
    first, second = as_pair(value, "value")
    return str(first) if first == second else f"({first}, {second})"


def settled(value: Scale, name: str) -> Scale:
    """A number or pair of numbers greater than 0, in a form that nobody else changes.

    Raises:
        TypeError, ValueError: it is none.
    """
    vertical, horizontal = as_pair(value, name)
    exact = as_scale(vertical, name), as_scale(horizontal, name)
    if hasattr(vertical, "shape") or hasattr(horizontal, "shape"):
        return exact
    return tuple(value) if isinstance(value, Sequence) else value  # a list might be changed by its owner


def problem_for(
    own_scale: Scale,
    own_unit: Scale,
    discrete: tuple[DiscreteAxis, DiscreteAxis] | None,
    support: Support,
    closed: bool,
    groups: int,
    stretch: bool,
    height: int,
    width: int,
    scale: Scale | None,
    size: Size | None,
    start: Start | None,
    unit: Scale | None,
) -> Problem:
    """What a layer reads with a scale of its own, or with the axes of a discrete layer."""
    if scale is not None or size is not None:
        axes = resize_axes(height, width, scale, size, start)
    else:
        axes = layer_axes(height, width, own_scale, None, start, discrete)
    windows = windows_of(axes, support, closed, stretch, own_unit if unit is None else unit)
    return Problem(axes, windows, groups, stretch)
