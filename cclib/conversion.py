"""Continuous layers made from the discrete layers of torch, one or all of a network's, with the same output."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import UninitializedParameter

from cclib.filters.spline import SplineFilter
from cclib.geometry import Axis
from cclib.layers import CCConv2d, DiscreteAxes

__all__ = ["Conversion", "convert"]


@dataclass(frozen=True)
class Conversion:
    """What ``convert`` did; printed, it lists the layers.

    Attributes:
        network: the converted copy.
        converted: names of the layers that are continuous now.
        kept: name -> why, of the convolutions that are still discrete.
    """

    network: nn.Module
    converted: tuple[str, ...]
    kept: dict[str, str]

    def __str__(self) -> str:
        total = len(self.converted) + len(self.kept)
        lines = [f"{len(self.converted)} of {total} convolutions are continuous"]
        lines += [f"  {name or 'the network itself'}" for name in self.converted]
        lines += [f"  {name or 'the network itself'} is not: {reason}" for name, reason in self.kept.items()]
        return "\n".join(lines)


def convert(network: nn.Module) -> Conversion:
    """A copy of a network in which every ``Conv2d`` and ``ConvTranspose2d`` is a ``CCConv2d`` with the same output.

    Each is converted by ``CCConv2d.from_conv``: the copy computes what the network computes, with as many parameters,
    and its layers can be given any other ``scale``. A layer that is used twice stays one layer. The copy loads the
    state dict of the network. What cannot be converted is left as it is and listed with the reason.

    A network whose code reads ``weight`` or ``stride`` of its layers does not find them in the copy.

    Args:
        network: any module, or one of these layers. It is left alone.

    Returns:
        The copy, and what was done to it.

    Raises:
        TypeError: ``network`` is not a module.

    Example:
        >>> conversion = convert(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.Conv1d(8, 8, 3)))
        >>> print(conversion)
        1 of 2 convolutions are continuous
          0
          1 is not: Conv1d is not a layer of images
        >>> conversion.network[0].scale = 0.7
        >>> conversion.network[0](torch.zeros(1, 3, 10, 10)).shape
        torch.Size([1, 8, 7, 7])
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module, got {type(network).__name__}")
    copied = copy.deepcopy(network)
    owners = parameter_owners(copied)
    layers: dict[nn.Module, CCConv2d] = {}
    converted: list[str] = []
    kept: dict[str, str] = {}
    for name, module in copied.named_modules():
        if isinstance(module, _ConvNd):
            reason = obstacle(module) or shared_parameters(module, owners)
            if reason is not None:
                kept[name] = reason
            else:
                layers[module] = from_conv(module, CCConv2d)
                converted.append(name)
    for parent in list(copied.modules()):
        for name, child in list(parent._modules.items()):  # a layer that is used twice is a child twice
            if child in layers:
                setattr(parent, name, layers[child])
    return Conversion(layers.get(copied, copied), tuple(converted), kept)


def from_conv(conv: nn.Module, kind: type[CCConv2d]) -> CCConv2d:
    """``CCConv2d.from_conv``, of the class ``kind``."""
    if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
        raise TypeError(f"conv must be a Conv2d or ConvTranspose2d, got {type(conv).__name__}")
    reason = obstacle(conv)
    if reason is not None:
        raise ValueError(f"conv cannot be converted: {reason}")
    transposed = isinstance(conv, nn.ConvTranspose2d)
    spacing = tuple(Fraction(1, stride) if transposed else Fraction(1) for stride in conv.stride)
    support = tuple(extent * gap for extent, gap in zip(extents(conv), spacing, strict=True))
    layer = kind(
        conv.in_channels,
        conv.out_channels,
        support,
        scale=tuple(Fraction(stride) if transposed else Fraction(1, stride) for stride in conv.stride),
        bias=conv.bias is not None,
        groups=conv.groups,
        padding_mode=conv.padding_mode,
        filter=SplineFilter(
            conv.in_channels,
            conv.out_channels,
            support,
            groups=conv.groups,
            spacing=spacing,
            dilation=conv.dilation,
            window=False,
        ),
    ).to(conv.weight)
    layer.discrete_axes = discrete_axes(conv)
    rename = partial(rename_weight, groups=conv.groups, transposed=transposed)
    nn.Module._register_load_state_dict_pre_hook(layer, rename)
    layer.load_state_dict({"weight": conv.weight} if conv.bias is None else {"weight": conv.weight, "bias": conv.bias})
    layer.filter.requires_grad_(conv.weight.requires_grad)
    if layer.bias is not None and conv.bias is not None:
        layer.bias.requires_grad_(conv.bias.requires_grad)
    return layer.train(conv.training)


def rename_weight(state: dict[str, Tensor], prefix: str, *_: object, groups: int, transposed: bool) -> None:
    """Where ``state`` holds the weight of a discrete layer, put the control points of the spline in its place."""
    weight = state.pop(f"{prefix}weight", None)
    if weight is None:
        return
    if transposed:
        # (in, out / groups, …) -> (out, in / groups, …); output o reads weight j at offset ((k − 1) / 2 − j) /
        # stride: flipped
        weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(-2, -1)
    state[f"{prefix}filter.weight"] = weight.flatten(2).permute(2, 0, 1)


def obstacle(conv: _ConvNd) -> str | None:
    """Why a convolution cannot be converted, if it cannot."""
    kind = type(conv).__name__
    if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
        return f"{kind} is not a layer of images"
    if isinstance(conv.weight, UninitializedParameter):
        return f"{kind} has no weights before its first call"
    if "parametrizations" in conv._modules:
        return "its weight is computed (torch.nn.utils.parametrize)"
    base = nn.Conv2d if isinstance(conv, nn.Conv2d) else nn.ConvTranspose2d
    if any(getattr(type(conv), name, None) is not getattr(base, name, None) for name in ("forward", "_conv_forward")):
        return f"{kind} has a forward of its own"
    if conv._forward_hooks or conv._forward_pre_hooks or conv._backward_hooks or conv._backward_pre_hooks:
        return "it has hooks, which would be lost"
    if not conv.weight.is_floating_point():
        return f"its weights are of type {conv.weight.dtype}"
    return None


def parameter_owners(network: nn.Module) -> dict[nn.Parameter, list[str]]:
    """The names of the modules that hold each parameter."""
    owners: dict[nn.Parameter, list[str]] = {}
    for name, module in network.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                owners.setdefault(parameter, []).append(name)
    return owners


def shared_parameters(conv: _ConvNd, owners: dict[nn.Parameter, list[str]]) -> str | None:
    """Why the parameters of a layer are not its own, if they are not."""
    for parameter in conv._parameters.values():
        if parameter is not None and len(owners[parameter]) > 1:
            return f"a parameter is shared by {' and '.join(map(repr, owners[parameter]))}"
    return None


def extents(conv: nn.Conv2d | nn.ConvTranspose2d) -> Iterator[int]:
    """For each axis, the pixels from the first tap of a discrete layer to its last."""
    return (dilation * (k - 1) + 1 for k, dilation in zip(conv.kernel_size, conv.dilation, strict=True))


def discrete_axes(conv: nn.Conv2d | nn.ConvTranspose2d) -> DiscreteAxes:
    """For each axis, the function from input size to the axis of a discrete layer."""
    if conv.padding == "same":
        paddings = [((extent - 1) // 2, extent // 2) for extent in extents(conv)]
    else:
        paddings = [(0, 0)] * 2 if isinstance(conv.padding, str) else [(p, p) for p in conv.padding]  # "valid"
    if isinstance(conv, nn.ConvTranspose2d):
        vertical, horizontal = (
            partial(Axis.conv_transpose, kernel_size=extent, stride=t, padding=p, output_padding=extra)
            for extent, t, (p, _), extra in zip(extents(conv), conv.stride, paddings, conv.output_padding, strict=True)
        )
        return vertical, horizontal
    vertical, horizontal = (
        partial(Axis.conv, kernel_size=extent, stride=t, padding=padding)
        for extent, t, padding in zip(extents(conv), conv.stride, paddings, strict=True)
    )
    return vertical, horizontal
