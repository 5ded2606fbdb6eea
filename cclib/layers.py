"""CCConv2d: the continuous convolution as a layer, and its conversion from and to the discrete layers of torch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cclib import filters
from cclib.filters.base import check_channels
from cclib.frozen import FrozenConv2d
from cclib.functional import IMPLEMENTATIONS, PADDING_MODES, check_input, convolve
from cclib.functional.sampling import Axes, resize_axes
from cclib.geometry import Axis, as_fraction, as_pair, as_size


class CCConv2d(nn.Module):
    """A convolution layer whose filter is a continuous function, so that its output can have any size (see
    ``cc_conv2d``).

    Args:
        in_channels, out_channels, bias, groups: as in ``Conv2d``.
        kernel_size: height and width of the filter's support in input pixels, a number or a pair.
        scale: output size over input size, a number or a pair, where the call does not say otherwise.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        filter: "siren", "silu", "fourier", "spline"; "linear", "cubic", "lanczos3", "box" (fixed, with their own
            support; for in_channels = out_channels = groups); or a ``Filter``.
        window: multiply the filter by a taper that is zero on the edge of the support. Without effect on a fixed or
            given filter.
        stretch: stretch the filter when down-scaling (anti-aliasing), as in ``cc_conv2d``.
        implementation: "auto", "reference", "phases", "basis" or "pixels".

    Raises:
        ValueError, TypeError: an argument breaks its rule; the message names it, its value and the rule.

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
        kernel_size: Any,
        *,
        scale: Any = 1,
        bias: bool = True,
        groups: int = 1,
        padding_mode: str = "zeros",
        filter: str | filters.Filter = "siren",
        window: bool = True,
        stretch: bool = False,
        implementation: str = "auto",
    ) -> None:
        super().__init__()
        check_channels(in_channels, out_channels, groups)
        for side in as_pair(scale, "scale"):
            if as_fraction(side, "scale") <= 0:
                raise ValueError(f"scale must be greater than 0, got {side!r}")
        if padding_mode not in PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")
        if implementation not in ("auto", *IMPLEMENTATIONS):
            names = ", ".join(("auto", *IMPLEMENTATIONS))
            raise ValueError(f"implementation must be one of {names}, got {implementation!r}")
        given = isinstance(filter, filters.Filter)
        if isinstance(filter, str):
            filter = filters.make(filter, in_channels, out_channels, kernel_size, groups=groups, window=window)
        elif not given:
            raise TypeError(f"filter must be a name or a cclib.filters.Filter, got {type(filter).__name__}")
        matrix = tuple(filter.coefficients().shape[1:])
        if matrix != (out_channels, in_channels // groups):
            raise ValueError(
                f"filter must give ({out_channels}, {in_channels // groups}) matrices for in_channels={in_channels}, "
                f"out_channels={out_channels}, groups={groups}; it gives {matrix}"
            )
        if given and filter.support != tuple(
            as_fraction(side, "kernel_size") for side in as_pair(kernel_size, "kernel_size")
        ):
            raise ValueError(f"kernel_size must be the filter's support {show(filter.support)}, got {kernel_size!r}")
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, filter.support
        self.scale, self.groups, self.padding_mode, self.stretch = scale, groups, padding_mode, stretch
        self.implementation = implementation
        self.filter = filter
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.discrete_axes: tuple[Callable[[int], Axis], ...] | None = None  # input size -> axis, of a converted layer
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_channels // groups * math.prod(map(float, filter.support)))
            nn.init.uniform_(self.bias, -bound, bound)

    @torch.compiler.disable  # as cc_conv2d
    def forward(self, x: Tensor, *, scale: Any = None, size: Any = None, start: Any = None) -> Tensor:
        """(batch, in_channels, height, width) -> (batch, out_channels, *size).

        ``scale``, ``size`` and ``start`` are those of ``cc_conv2d``. Without scale and size the layer's own scale
        holds. A converted layer has the geometry of its discrete layer as long as neither scale nor size is given.
        """
        check_input(x, self.filter, self.bias, self.groups, self.padding_mode)
        return convolve(
            x,
            self.filter,
            self.bias,
            self.resolve(int(x.shape[-2]), int(x.shape[-1]), scale, size, start),
            self.groups,
            self.padding_mode,
            self.stretch,
            self.implementation,
        )

    @classmethod
    def from_conv(cls, conv: nn.Conv2d | nn.ConvTranspose2d) -> CCConv2d:
        """A CC layer with the same output as a discrete layer, at the discrete layer's geometry and any input size.

        Its filter is a spline through the discrete weights, so it can also be called at any other scale or size.

        Raises:
            TypeError: ``conv`` is neither ``Conv2d`` nor ``ConvTranspose2d``.
            ValueError: a dilation other than 1.
        """
        if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
            raise TypeError(f"conv must be a Conv2d or ConvTranspose2d, got {type(conv).__name__}")
        if tuple(conv.dilation) != (1, 1):
            raise ValueError(f"conv must have dilation 1, got {tuple(conv.dilation)}")
        transposed = isinstance(conv, nn.ConvTranspose2d)
        spacing = tuple(Fraction(1, stride) if transposed else Fraction(1) for stride in conv.stride)
        support = tuple(side * gap for side, gap in zip(conv.kernel_size, spacing, strict=True))
        spline = filters.SplineFilter(
            conv.in_channels, conv.out_channels, support, groups=conv.groups, spacing=spacing, window=False
        )
        weight = conv.weight.detach()
        if transposed:
            # (in, out / groups, …) -> (out, in / groups, …); output o reads weight j at offset ((k − 1) / 2 − j) /
            # stride: flipped
            weight = weight.unflatten(0, (conv.groups, -1)).transpose(1, 2).flatten(0, 1).flip(-2, -1)
        layer = cls(
            conv.in_channels,
            conv.out_channels,
            support,
            scale=tuple(1 / Fraction(stride) if not transposed else Fraction(stride) for stride in conv.stride),
            bias=conv.bias is not None,
            groups=conv.groups,
            padding_mode=conv.padding_mode,
            filter=spline,
        ).to(conv.weight)
        with torch.no_grad():
            spline.weight.copy_(weight.flatten(2).permute(2, 0, 1))
            if conv.bias is not None and layer.bias is not None:
                layer.bias.copy_(conv.bias)
        layer.discrete_axes = discrete_axes(conv)
        return layer.train(conv.training)

    def freeze(self, input_size: Any, *, scale: Any = None, size: Any = None, start: Any = None) -> FrozenConv2d:
        """The layer as a plain convolution: the same output, at one input size and geometry, with the weights of now.

        Each pair of phases has its own weights: few where the scale is a ratio of small integers, as many as output
        pixels where it is irrational.

        Args:
            input_size: height and width of the input, an integer or a pair.
            scale, size, start: as in ``forward``.

        Raises:
            ValueError, TypeError: an argument breaks its rule; the message names it, its value and the rule.

        Example:
            >>> frozen = CCConv2d(16, 32, kernel_size=4, scale=3/4).freeze(28)
            >>> frozen(torch.zeros(8, 16, 28, 28)).shape
            torch.Size([8, 32, 21, 21])
        """
        height, width = (as_size(side, "input_size") for side in as_pair(input_size, "input_size"))
        return self.frozen_at(self.resolve(height, width, scale, size, start))

    def frozen_at(self, axes: Axes) -> FrozenConv2d:
        return FrozenConv2d(self.filter, self.bias, axes, self.groups, self.padding_mode, self.stretch, self.resolve)

    @property
    def resolve(self) -> Callable[[int, int, Any, Any, Any], Axes]:
        """The function from (height, width, scale, size, start), as given to ``forward``, to where the outputs fall."""
        return partial(axes_of, self.scale, self.discrete_axes)

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={show(self.kernel_size)}, scale={show(self.scale)}"
        )
        if self.discrete_axes is not None:
            text += ", geometry of a discrete layer"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode!r}"
        if self.stretch:
            text += ", stretch=True"
        return text + ("" if self.bias is not None else ", bias=False")


def show(value: Any) -> str:
    """A number or pair of numbers, fractions written as such."""
    first, second = as_pair(value, "value")
    return str(first) if first == second else f"({first}, {second})"


def discrete_axes(conv: nn.Conv2d | nn.ConvTranspose2d) -> tuple[Callable[[int], Axis], ...]:
    """For each axis, the function from input size to the axis of a discrete layer."""
    if conv.padding == "same":
        paddings = tuple(((k - 1) // 2, k // 2) for k in conv.kernel_size)
    elif isinstance(conv.padding, str):  # "valid"
        paddings = ((0, 0), (0, 0))
    else:
        paddings = tuple((p, p) for p in conv.padding)
    if isinstance(conv, nn.ConvTranspose2d):
        return tuple(
            partial(Axis.conv_transpose, kernel_size=k, stride=t, padding=p, output_padding=extra)
            for k, t, (p, _), extra in zip(conv.kernel_size, conv.stride, paddings, conv.output_padding, strict=True)
        )
    return tuple(
        partial(Axis.conv, kernel_size=k, stride=t, padding=p)
        for k, t, p in zip(conv.kernel_size, conv.stride, paddings, strict=True)
    )


def axes_of(
    own_scale: Any,
    discrete: tuple[Callable[[int], Axis], ...] | None,
    height: int,
    width: int,
    scale: Any,
    size: Any,
    start: Any,
) -> Axes:
    """The axes of a layer with a scale of its own, or with those of a discrete layer."""
    if scale is None and size is None:
        if discrete is not None:
            return place(discrete, height, width, start)
        scale = own_scale
    return resize_axes(height, width, scale, size, start)


def place(axes: tuple[Callable[[int], Axis], ...], height: int, width: int, start: Any) -> Axes:
    """The axes of a converted layer for an input size; a given ``start`` replaces the discrete layer's."""
    placed = [axis(n) for axis, n in zip(axes, (height, width), strict=True)]
    starts = as_pair(start, "start")
    vertical, horizontal = (
        axis if at is None else Axis(axis.n_in, axis.n_out, as_fraction(at, "start"), axis.step)
        for axis, at in zip(placed, starts, strict=True)
    )
    return vertical, horizontal


def freeze(network: nn.Module, *inputs: Any) -> nn.Module:
    """A copy of a network, for evaluation, in which every ``CCConv2d`` is frozen (``CCConv2d.freeze``).

    Each layer is frozen at the input size and geometry with which ``inputs`` reach it, so the copy takes inputs of
    these sizes only, of any batch size. It holds plain layers and can go to torch.export and ONNX.

    Args:
        network: any module that contains ``CCConv2d`` layers, or is one.
        inputs: what to call it with.

    Raises:
        ValueError: a layer is not reached, or is reached with two geometries.
    """
    copied = copy.deepcopy(network).eval()
    names = {module: name for name, module in copied.named_modules() if isinstance(module, CCConv2d)}
    reached: dict[CCConv2d, Axes] = {}

    def note(layer: CCConv2d, arguments: tuple[Tensor, ...], call: dict[str, Any]) -> None:
        x = arguments[0] if arguments else call["x"]
        geometry = (call.get(name) for name in ("scale", "size", "start"))
        axes = layer.resolve(int(x.shape[-2]), int(x.shape[-1]), *geometry)
        if reached.setdefault(layer, axes) != axes:
            raise ValueError(f"layer {names[layer]!r} is reached with two geometries: {reached[layer]} and {axes}")

    hooks = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in names]
    with torch.no_grad():
        copied(*inputs)
    for hook in hooks:
        hook.remove()
    for layer, name in names.items():
        if layer not in reached:
            raise ValueError(f"layer {name!r} is not reached by these inputs, so it has no geometry to be frozen at")
    frozen = {layer: layer.frozen_at(reached[layer]).eval() for layer in names}
    if isinstance(copied, CCConv2d):
        return frozen[copied]
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, CCConv2d):
                setattr(parent, name, frozen[child])
    return copied
