"""Continuous layers made from the discrete layers of torch, one or all of a network's, with the same output."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import UninitializedParameter
from torch.overrides import is_tensor_like

from cclib.arguments import as_pair
from cclib.filters.spline import SplineFilter
from cclib.functional import PADDING_MODES
from cclib.geometry import DiscreteAxis
from cclib.layers import CCConv2d
from cclib.replacement import CALLING, HOOKS_OF_CALLS, own_code, replaced

__all__ = ["Conversion", "convert"]

STORING = ("state_dict", "load_state_dict", "_save_to_state_dict", "_load_from_state_dict", "get_extra_state")
HOOKS_OF_STATES = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


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
    state dict of the network. What cannot be converted is left as it is and listed with the reason: layers that compute
    or hold more than torch's own, that share a parameter, or that are quantised or scripted.

    Code of the network that asks more of a layer than to be called with an image fails in the copy: a call with
    ``output_size`` (write ``size``) or with the image by its name, ``input=x``, and code that reads ``weight``,
    ``stride`` or another attribute of the discrete layer.

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
    owners = parameter_owners(network)
    layers: dict[nn.Module, nn.Module] = {}
    converted: list[str] = []
    kept: dict[str, str] = {}
    for name, module in network.named_modules():
        reason = foreign(module)
        if isinstance(module, _ConvNd):
            reason = obstacle(module) or shared_parameters(module, owners)
            if reason is None:
                layers[module] = from_conv(module, CCConv2d)
                converted.append(name)
        if reason is not None:
            kept[name] = reason
    return Conversion(replaced(network, layers), tuple(converted), kept)


def from_conv(conv: nn.Module, kind: type[CCConv2d]) -> CCConv2d:
    """``CCConv2d.from_conv``, of the class ``kind``."""
    if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
        reason = foreign(conv)
        raise TypeError(
            f"conv must be a Conv2d or ConvTranspose2d, got {type(conv).__name__}{f': {reason}' if reason else ''}"
        )
    reason = obstacle(conv)
    if reason is not None:
        raise ValueError(f"conv cannot be converted: {reason}")
    transposed = isinstance(conv, nn.ConvTranspose2d)
    strides = pair(conv, "stride")
    spacing = tuple(Fraction(1, stride) if transposed else Fraction(1) for stride in strides)
    support = tuple(extent * gap for extent, gap in zip(extents(conv), spacing, strict=True))
    layer = kind(
        conv.in_channels,
        conv.out_channels,
        support,
        scale=tuple(Fraction(stride) if transposed else Fraction(1, stride) for stride in strides),
        bias=conv.bias is not None,
        groups=conv.groups,
        padding_mode=conv.padding_mode,
        filter=SplineFilter(
            conv.in_channels,
            conv.out_channels,
            support,
            groups=conv.groups,
            spacing=spacing,
            dilation=pair(conv, "dilation"),
            window=False,
        ),
    ).to(conv.weight)
    layer.discrete_axes = discrete_axes(conv)
    rename = partial(rename_weight, shape=conv.weight.shape, groups=conv.groups, transposed=transposed)
    nn.Module._register_load_state_dict_pre_hook(layer, rename, with_module=True)
    layer.load_state_dict({"weight": conv.weight} if conv.bias is None else {"weight": conv.weight, "bias": conv.bias})
    layer.filter.requires_grad_(conv.weight.requires_grad)
    if layer.bias is not None and conv.bias is not None:
        layer.bias.requires_grad_(conv.bias.requires_grad)
    return layer.train(conv.training)


def rename_weight(
    layer: nn.Module,
    state: dict[str, Tensor],
    prefix: str,
    _metadata: object,
    _strict: bool,
    _missing: list[str],
    _unexpected: list[str],
    errors: list[str],
    *,
    shape: torch.Size,
    groups: int,
    transposed: bool,
) -> None:
    """Where ``state`` holds the weight of a discrete layer, put the control points of the spline in its place.

    A weight that is no tensor of the discrete layer's ``shape`` is reported in torch's words, and not loaded.
    """
    own, discrete = f"{prefix}filter.weight", f"{prefix}weight"
    if discrete not in state:
        return
    weight = state.pop(discrete)
    error = None
    if not is_tensor_like(weight):
        error = (
            f'While copying the parameter named "{discrete}", expected torch.Tensor or Tensor-like object from '
            f"checkpoint but received {type(weight)}"
        )
    elif weight.shape != shape:
        error = (
            f"size mismatch for {discrete}: copying a param with shape {weight.shape} from checkpoint, "
            f"the shape in current model is {shape}."
        )
    if error is not None:
        errors.append(error)
        state[own] = layer.get_parameter("filter.weight")  # as it is, or it would be reported as missing too
        return
    if transposed:
        # (in, out / groups, …) -> (out, in / groups, …); output o reads weight j at offset ((k − 1) / 2 − j) /
        # stride: flipped
        weight = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(-2, -1)
    state[own] = weight.flatten(2).permute(2, 0, 1)


def foreign(module: nn.Module) -> str | None:
    """Why a convolution that is none of ``torch.nn`` cannot be converted, if ``module`` is one."""
    kind = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        leaf = next(module.children(), None) is None
        if leaf and re.search("::_?conv", str(getattr(module, "inlined_graph", ""))):
            return "it is scripted or traced (torch.jit): convert the network before that"
    elif kind.__module__.startswith("torch.ao.nn.") and "quantized" in kind.__module__ and "Conv" in kind.__name__:
        return "it is quantised: convert the network before that"
    return None


def obstacle(conv: _ConvNd) -> str | None:
    """Why a convolution cannot be converted, if it cannot."""
    kind = type(conv).__name__
    if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
        return f"{kind} is not a layer of images"
    if isinstance(conv.weight, UninitializedParameter):
        return f"{kind} has no weights before its first call"
    if "parametrizations" in conv._modules:
        return "its weight is computed (torch.nn.utils.parametrize)"
    for name in ("weight", "bias"):
        if name not in conv._parameters:
            return f"its {name} is computed (as by weight_norm, spectral_norm or pruning)"
    base = nn.Conv2d if isinstance(conv, nn.Conv2d) else nn.ConvTranspose2d
    reason = own_code(conv, base, (*CALLING, "_conv_forward", *STORING), (*HOOKS_OF_CALLS, *HOOKS_OF_STATES))
    if reason is not None:
        return reason
    others = [name for name in (*conv._parameters, *conv._buffers, *conv._modules) if name not in ("weight", "bias")]
    if others:
        return f"it holds {', '.join(map(repr, others))} besides weight and bias"
    if not conv.weight.is_floating_point():
        return f"its weights are of type {conv.weight.dtype}"
    return unusable_settings(conv)


def unusable_settings(conv: nn.Conv2d | nn.ConvTranspose2d) -> str | None:
    """Why torch, or a continuous layer, would refuse a layer's settings, if so; they can change after it was made."""
    transposed, zeros = isinstance(conv, nn.ConvTranspose2d), conv.padding_mode == "zeros"
    if conv.padding_mode not in PADDING_MODES or (transposed and not zeros):
        return f"its padding_mode is {conv.padding_mode!r}"
    numbers = ["kernel_size", "stride", "dilation", "output_padding"]
    numbers += ["padding"] if zeros and conv.padding not in ("same", "valid") else []
    try:
        pairs = {name: pair(conv, name) for name in numbers}
    except (TypeError, ValueError) as error:
        return str(error)
    for name, values in pairs.items():
        if min(values) < (0 if "padding" in name else 1):
            return f"its {name} is {values}"
    ends = conv.out_channels, conv.in_channels
    first, second = reversed(ends) if transposed else ends
    shape = first, second // conv.groups, *pairs["kernel_size"]
    if tuple(conv.weight.shape) != shape:
        return f"its weight has shape {tuple(conv.weight.shape)}, not {shape}"
    if zeros and conv.padding == "same" and pairs["stride"] != (1, 1):
        return f"its stride is {pairs['stride']} with padding='same'"
    for extra, *limits in zip(pairs["output_padding"], pairs["stride"], pairs["dilation"], strict=True):
        if transposed and extra >= max(limits):
            return f"its output_padding {pairs['output_padding']} must be smaller than its stride or its dilation"
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


def pair(conv: nn.Module, name: str) -> tuple[int, int]:
    """A setting of a discrete layer: a pair, or an integer where it was set after the layer was made."""
    vertical, horizontal = as_pair(getattr(conv, name), name)
    return int(vertical), int(horizontal)


def extents(conv: nn.Conv2d | nn.ConvTranspose2d) -> Iterator[int]:
    """For each axis, the pixels from the first tap of a discrete layer to its last."""
    sizes = zip(conv.weight.shape[2:], pair(conv, "dilation"), strict=True)
    return (dilation * (k - 1) + 1 for k, dilation in sizes)


def paddings_of(conv: nn.Conv2d | nn.ConvTranspose2d) -> list[tuple[int, int]]:
    """For each axis, the padding of a discrete layer (before, after)."""
    if conv.padding_mode != "zeros":  # then torch reads this, which it computes once, and not ``padding``
        left, right, top, bottom = conv._reversed_padding_repeated_twice
        return [(top, bottom), (left, right)]
    if conv.padding == "same":
        return [((extent - 1) // 2, extent // 2) for extent in extents(conv)]
    return [(0, 0)] * 2 if conv.padding == "valid" else [(p, p) for p in pair(conv, "padding")]


def discrete_axes(conv: nn.Conv2d | nn.ConvTranspose2d) -> tuple[DiscreteAxis, DiscreteAxis]:
    """The axes of a discrete layer."""
    transposed = isinstance(conv, nn.ConvTranspose2d)
    geometry = zip(extents(conv), pair(conv, "stride"), paddings_of(conv), pair(conv, "output_padding"), strict=True)
    vertical, horizontal = (
        DiscreteAxis(transposed, extent, stride, *padding, output_padding, conv.padding_mode == "circular")
        for extent, stride, padding, output_padding in geometry
    )
    return vertical, horizontal
