"""Continuous convolutions at one geometry as plain ones, a layer's or a network's, for deployment: ONNX, and where
there is no ``cclib``. torch.compile and torch.export take layers that are not frozen too.

What is frozen has static image sizes, since the number of phases, and with it the number of weights, follows from the
size; the batch size can be dynamic. For several image sizes freeze a network once for each.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from cclib.arguments import Scale, Size, Start, check_numbers, shown
from cclib.functional import check_input
from cclib.functional.choice import check_listed
from cclib.functional.problem import Problem, Work
from cclib.functional.sampling import sample
from cclib.functional.tables import padding_index
from cclib.geometry import Taps
from cclib.layers import CCConv2d
from cclib.replacement import CALLING, HOOKS_OF_CALLS, own_code, replaced

__all__ = ["FrozenConv2d", "freeze"]

# Freezing warns where it leaves more than this times the numbers, and more than so many.
GROWTH, NUMBERS = 100, 1_000_000


class FrozenConv2d(nn.Module):
    """One ``Conv2d`` with a group for every pair of phases, between copying rows and columns and a pixel shuffle.

    ``CCConv2d.freeze`` makes it. It serves the input size and the geometry that it was made for and no other.

    1. Copy the rows and columns that each phase reads, one phase after the other; outside the image ``padding_mode``
       decides. At a single phase (scale 1, integer strides) this is a pad.
    2. Convolve: the phases are groups of channels, and strides go from one output of a phase to its next.
    3. Interleave the phases' outputs (a pixel shuffle with a factor for each axis).
    """

    rows: Tensor  # of the image and the zeros after it, in the order in which they are copied
    columns: Tensor

    def __init__(self, layer: CCConv2d, problem: Problem) -> None:
        """``layer`` where it reads what ``problem`` says; ``ValueError`` where its class or its hooks do more."""
        super().__init__()
        reason = obstacle(layer)
        if reason is not None:
            raise ValueError(f"the layer cannot be frozen: {reason}")
        check_frozen(layer, problem)
        self.axes, self.key = problem.axes, problem.key
        self.resolve, self.in_channels = layer.resolve, layer.in_channels
        filter, bias, groups = layer.filter, layer.bias, layer.groups
        grid = problem.grid
        self.reads = vertical, horizontal = reads_of(grid[0], layer.padding_mode), reads_of(grid[1], layer.padding_mode)
        like = filter.coefficients() if bias is None else bias
        with torch.no_grad():
            weights = F.pad(sample(filter, filter, problem.key, like).to(like), (0, 0, 0, 0, 0, 1, 0, 1))
            slots = [torch.tensor(reads.slots, device=like.device) for reads in self.reads]
            # (vertical phases, taps, horizontal phases, taps, out, in / groups)
            kernels = weights[slots[0][:, :, None, None], slots[1][None, None]].permute(0, 2, 4, 5, 1, 3)
        self.register_buffer("rows", torch.tensor(vertical.index, device=like.device))
        self.register_buffer("columns", torch.tensor(horizontal.index, device=like.device))
        phases = kernels.shape[0] * kernels.shape[1]
        out_channels, in_per_group = kernels.shape[2:4]
        self.convolution = skip_init(  # as the weights follow, no random numbers are drawn
            nn.Conv2d,
            phases * in_per_group * groups,
            phases * out_channels,
            tuple(kernels.shape[4:]),
            (vertical.stride, horizontal.stride),
            groups=phases * groups,
            bias=bias is not None,
            device=like.device,
            dtype=like.dtype,
        )
        with torch.no_grad():
            self.convolution.weight.copy_(kernels.flatten(0, 2))
            if bias is not None and self.convolution.bias is not None:
                self.convolution.bias.copy_(bias.repeat(phases))

    def forward(
        self,
        x: Tensor,
        *,
        scale: Scale | None = None,
        size: Size | None = None,
        start: Start | None = None,
        unit: Scale | None = None,
    ) -> Tensor:
        """(batch, in_channels, *input_size) -> (batch, out_channels, *size), also unbatched.

        A geometry may be given, as to the layer that was frozen; it must be the one that it was frozen at.

        Raises:
            TypeError: ``x`` is not a tensor, or of another type than the layer.
            ValueError: another number of dimensions or channels, device, input size or geometry.
        """
        if not isinstance(x, Tensor):
            raise TypeError(f"x must be a Tensor, got {type(x).__name__}")
        if x.ndim not in (3, 4) or x.shape[-3] != self.in_channels:
            raise ValueError(
                f"x must be (batch, {self.in_channels} channels, height, width), or unbatched, got shape "
                f"{tuple(x.shape)}"
            )
        own = self.convolution.weight
        if x.dtype != own.dtype and not torch.is_autocast_enabled(x.device.type):
            raise TypeError(f"x must be of the type {own.dtype} of the frozen layer, got {x.dtype}")
        if x.device != own.device or x.layout is not torch.strided:
            raise ValueError(
                f"x must be a dense tensor on the device of the frozen layer, {own.device}, got one of layout "
                f"{x.layout} on {x.device}"
            )
        height, width = x.shape[-2:]
        expected = self.axes[0].n_in, self.axes[1].n_in
        if (height, width) != expected:
            raise ValueError(f"x must have the size {expected} that the layer was frozen for, got {(height, width)}")
        given = any(part is not None for part in (scale, size, start, unit))
        if given and self.resolve(height, width, scale, size, start, unit).key != self.key:
            raise ValueError(
                f"the layer was frozen at another geometry than scale={shown(scale)}, size={shown(size)}, "
                f"start={shown(start)}, unit={shown(unit)}"
            )
        if x.ndim == 3:
            return self.forward(x.unsqueeze(0)).squeeze(0)
        vertical, horizontal = self.reads
        if vertical.pad is not None and horizontal.pad is not None:
            plain: Tensor = self.convolution(F.pad(x, (*horizontal.pad, *vertical.pad)))
            return plain
        x = F.pad(x, (0, 1, 0, 1)).index_select(2, self.rows).index_select(3, self.columns)
        x = x.unflatten(3, (horizontal.phases, -1)).unflatten(2, (vertical.phases, -1))
        y: Tensor = self.convolution(x.permute(0, 2, 4, 1, 3, 5).flatten(1, 3))  # (batch, phases * out, lines, columns)
        y = y.unflatten(1, (vertical.phases, horizontal.phases, -1)).permute(0, 3, 4, 1, 5, 2)
        return y.flatten(4, 5).flatten(2, 3)[:, :, : self.axes[0].n_out, : self.axes[1].n_out]


@dataclass(frozen=True)
class AxisReads:
    """What the convolution reads along one axis."""

    phases: int
    stride: int
    slots: tuple[tuple[int, ...], ...]  # for every phase and tap the index of its offset, the last for no tap
    index: tuple[int, ...]  # of the image; n_in is a row of zeros
    pad: tuple[int, int] | None  # before and after, where that does the same


def reads_of(taps: Taps, padding_mode: str) -> AxisReads:
    """What the convolution has to read, so that every output of every phase gets its taps."""
    n = taps.axis.n_in
    most = max(taps.most, 1)  # a filter narrower than a pixel may fall between the taps everywhere
    slots = tuple((*own, *[len(taps.offsets)] * (most - len(own))) for own in taps.slots)
    low, high = taps.reach
    if len(taps.phases) == 1 and taps.most and high - low <= n + taps.axis.n_out * most:  # else most is never read
        index = padding_index(range(low, high + 1), n, padding_mode)
        pad = (-low, high - n + 1) if padding_mode == "zeros" and low < n and high >= 0 else None
        return AxisReads(1, taps.advance, slots, tuple(index), pad)
    count = taps.phases[0].count
    read: list[int] = []
    is_tap: list[bool] = []
    for phase in taps.phases:
        for turn in range(count):
            first = phase.first + turn * taps.advance
            read += range(first, first + most)
            is_tap += [turn < phase.count and tap < len(phase.offsets) for tap in range(most)]
    source = iter(padding_index([i for i, used in zip(read, is_tap, strict=True) if used], n, padding_mode))
    index = [next(source) if used else n for used in is_tap]
    return AxisReads(len(taps.phases), most, slots, tuple(index), None)


def freeze(network: nn.Module, *inputs: object) -> nn.Module:
    """A copy of a network, for evaluation, in which every ``CCConv2d`` is frozen (``CCConv2d.freeze``).

    Each layer is frozen at the input size and geometry with which ``inputs`` reach it, so the copy takes inputs of
    these sizes only, of any batch size. It holds plain layers and can go to ONNX, or anywhere without ``cclib``.

    Args:
        network: any module that contains ``CCConv2d`` layers, or is one.
        inputs: what to call it with.

    Raises:
        TypeError: ``network`` is not a module, or a layer is reached with what is no image.
        ValueError: a layer is not reached, or is reached with two geometries; it has hooks, or its class a ``forward``
            of its own, which would be lost.

    Warns:
        UserWarning: the copy holds more than 100 times the numbers of the network, and more than a million. Sizes
            whose ratio is one of small integers (24 to 36, not 24 to 37) have few phases and so few weights.
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"network must be a torch.nn.Module, got {type(network).__name__}")
    copied = replaced(network, {}).eval()
    names = {module: name for name, module in copied.named_modules() if isinstance(module, CCConv2d)}
    reached: dict[CCConv2d, Problem] = {}

    def note(layer: nn.Module, arguments: tuple[Tensor, ...], call: dict[str, Any]) -> None:
        assert isinstance(layer, CCConv2d)
        x: Any = arguments[0] if arguments else call.get("x")
        check_input(x, layer.filter, layer.bias, layer.groups, layer.padding_mode)
        height, width = x.shape[-2:]
        geometry = (call.get(name) for name in ("scale", "size", "start", "unit"))
        problem = layer.resolve(height, width, *geometry)
        if reached.setdefault(layer, problem) != problem:
            raise ValueError(f"layer {names[layer]!r} is reached with two geometries: {reached[layer]} and {problem}")

    for layer, name in names.items():
        reason = obstacle(layer)
        if reason is not None:
            raise ValueError(f"layer {name!r} cannot be frozen: {reason}")
    hooks = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in names]
    with torch.no_grad():
        copied(*inputs)
    for hook in hooks:
        hook.remove()
    for layer, name in names.items():
        if layer not in reached:
            raise ValueError(f"layer {name!r} is not reached by these inputs, so it has no geometry to be frozen at")
    result = replaced(copied, {layer: FrozenConv2d(layer, reached[layer]).eval() for layer in names})
    warn_of_growth(network, result)
    return result


def check_frozen(layer: CCConv2d, problem: Problem) -> None:
    """Refuse (``ValueError``) a geometry with very many weights, or taps to be listed."""
    weights = prod(max(counts.phases * counts.most, 1) for counts in problem.counts)
    coefficients = layer.filter.coefficients()
    check_numbers(weights * coefficients[0].numel(), "input_size, scale, size and unit")
    shape = 1, layer.in_channels, problem.axes[0].n_in, problem.axes[1].n_in
    features, out_channels, in_per_group = coefficients.shape
    work = Work(problem, shape, (features, out_channels, in_per_group), coefficients.element_size(), compiled=False)
    check_listed(work, by_output=True)


def obstacle(layer: CCConv2d) -> str | None:
    """Why a layer cannot be frozen, if it cannot."""
    return own_code(layer, CCConv2d, CALLING, HOOKS_OF_CALLS)


def warn_of_growth(before: nn.Module, after: nn.Module) -> None:
    """Warn where freezing leaves very many more numbers."""
    counts = [sum(parameter.numel() for parameter in module.parameters()) for module in (before, after)]
    if counts[1] > max(GROWTH * counts[0], NUMBERS):
        warnings.warn(
            f"freezing turned {counts[0]:,} parameters into {counts[1]:,} numbers, one set of weights for each pair of "
            "phases; sizes whose ratio is one of small integers have fewer phases",
            stacklevel=3,
        )
