"""The filter and the image, read on the grids of a geometry: outputs' positions, the filter's values, padded images.

What every implementation needs before it sums. Coordinates come from ``cclib.geometry``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cclib.arguments import Scale, Size, Start, as_pair
from cclib.filters.base import Filter
from cclib.functional.derivatives import transformed
from cclib.functional.state import state_of, versions
from cclib.geometry import Axis, Taps, Window, taps_of

__all__ = ["PADDING_MODES", "Axes", "Grid", "extend", "grid_of", "memory_format", "padding_index", "resize_axes"]
__all__ += ["result_dtype", "sample"]

NUMBERS_PER_OFFSET = 128  # about what a filter keeps for its gradient

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")

Axes = tuple[Axis, Axis]
Grid = tuple[Taps, Taps]


def resize_axes(height: int, width: int, scale: Scale | None, size: Size | None, start: Start | None) -> Axes:
    """Where the outputs of a resize fall (``Axis.resize``), for an input of this height and width.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.
    """
    scales, sizes, starts = as_pair(scale, "scale"), as_pair(size, "size"), as_pair(start, "start")
    vertical = Axis.resize(height, scales[0], sizes[0], starts[0])
    horizontal = Axis.resize(width, scales[1], sizes[1], starts[1])
    return vertical, horizontal


def grid_of(axes: Axes, filter: Filter, stretch: bool, by_phase: bool = True) -> Grid:
    """The taps of both axes."""

    def axis_taps(axis: Axis, support: Fraction) -> Taps:
        shrink = min(axis.scale, Fraction(1)) if stretch else Fraction(1)
        return taps_of(axis, Window(support, closed=not filter.vanishes, shrink=shrink), by_phase)

    return axis_taps(axes[0], filter.support[0]), axis_taps(axes[1], filter.support[1])


def sample(function: Callable[[Tensor], Tensor], filter: Filter, grid: Grid, stretch: bool, like: Tensor) -> Tensor:
    """``function``, the filter or its basis, at every pair of offsets of ``grid``, for an image ``like`` this.

    Returns (vertical offsets, horizontal offsets, ...) in float32, or float64 for float64 images: half-precision
    offsets would move taps. With ``stretch`` the taps of each output are normalised.
    """
    precise = torch.float64 if like.dtype == torch.float64 else torch.float32
    with torch.autocast(like.device.type, enabled=False):
        axes = [torch.tensor(taps.offsets, dtype=precise, device=like.device) for taps in grid]
        offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
        values = evaluate(function, filter, offsets, like)
        if stretch:
            mass = filter.mass(offsets)
            vertical, horizontal = (membership(taps, mass) for taps in grid)
            total = vertical.T @ (vertical @ mass @ horizontal.T) @ horizontal  # of the output that the tap belongs to
            values = values / total[(...,) + (None,) * (values.ndim - 2)]
    return values


def evaluate(function: Callable[[Tensor], Tensor], filter: Filter, offsets: Tensor, like: Tensor) -> Tensor:
    """``function(offsets)``; where there are so many offsets that its inner tensors would need more memory than the
    image, they are computed again for the gradient."""
    few = offsets.numel() // 2 * NUMBERS_PER_OFFSET <= like.numel()
    state = None if few or not torch.is_grad_enabled() or transformed() else state_of(filter)
    if state is None:
        return function(offsets)
    from torch.utils.checkpoint import checkpoint  # which imports the compiler, or with older releases sympy

    tensors = dict(filter.named_parameters()) | dict(filter.named_buffers())
    first = versions([*tensors.values()])
    modes = [(module, module.training) for module in filter.modules()]

    def again(offsets: Tensor, *values: Tensor) -> Tensor:
        """With the tensors of the first time, which ``torch.func.functional_call`` may have given for a while only."""
        now = state_of(filter)
        if now is None or now.apart_from_mode != state.apart_from_mode or versions(values) != first:
            raise RuntimeError(
                f"{type(filter).__name__} was changed between forward and backward, or changes itself where it is "
                f"evaluated; a filter that does sets self_contained = False"
            )
        named = {f"filter.{name}": value for name, value in zip(tensors, values, strict=True)}
        with in_modes(modes):  # a network may go to evaluation before its gradients are asked for
            return cast(Tensor, torch.func.functional_call(Call(filter, function), named, (offsets,)))

    return cast(Tensor, checkpoint(again, offsets, *tensors.values(), use_reentrant=False))


@contextmanager
def in_modes(modes: Sequence[tuple[nn.Module, bool]]) -> Iterator[None]:
    """Modules in training or evaluation, each as given, for a while."""
    earlier = [(module, module.training) for module, _ in modes]
    try:
        for module, training in modes:
            module.training = training
        yield
    finally:
        for module, training in earlier:
            module.training = training


class Call(nn.Module):
    """``function``, a method of the filter, as a module."""

    def __init__(self, filter: Filter, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.filter, self.function = filter, function

    def forward(self, offsets: Tensor) -> Tensor:
        return self.function(offsets)


def membership(taps: Taps, like: Tensor) -> Tensor:
    """Which offset belongs to which phase: ones and zeros (phases, offsets)."""
    member = torch.zeros(len(taps.phases), len(taps.offsets), dtype=like.dtype)
    for row, slots in zip(member, taps.slots, strict=True):
        row[slots.start : slots.stop] = 1
    return member.to(like.device)


def result_dtype(x: Tensor) -> torch.dtype:
    """The type of the output: that of x, or that of autocast."""
    device = x.device.type
    cast = torch.is_autocast_enabled(device) and x.dtype != torch.float64
    return torch.get_autocast_dtype(device) if cast else x.dtype


def memory_format(x: Tensor) -> torch.memory_format:
    """The memory format of the output, which is that of the input x."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def extend(x: Tensor, grid: Grid, padding_mode: str) -> Tensor:
    """Crop or pad both axes of x to just the rows and columns that the taps read."""
    for dim, taps in ((-2, grid[0]), (-1, grid[1])):
        low, high = taps.reach
        n = taps.axis.n_in
        if padding_mode == "zeros":
            first, last = max(low, 0), min(high, n - 1)
            inside = max(last - first + 1, 0)  # 0: every tap lies outside the image
            before = first - low if inside else 0
            after = high - low + 1 - inside - before
            x = x.narrow(dim, first if inside else 0, inside)
            x = F.pad(x, (before, after) if dim == -1 else (0, 0, before, after)) if before or after else x
        elif (low, high) != (0, n - 1):
            index = padding_index(range(low, high + 1), n, padding_mode)
            x = x.index_select(dim, torch.tensor(index, dtype=torch.long, device=x.device))
    return x


def padding_index(pixels: Sequence[int], n: int, padding_mode: str) -> list[int]:
    """The pixels of an axis of n that stand for ``pixels``, some of which may lie outside; −1 where those are zero.

    Raises:
        ValueError: a reflection does not reach as far.
    """
    if padding_mode == "zeros":
        return [i if 0 <= i < n else -1 for i in pixels]
    if padding_mode == "replicate":
        return [min(max(i, 0), n - 1) for i in pixels]
    if padding_mode == "circular":
        return [i % n for i in pixels]
    widest = max(-min(pixels), max(pixels) - n + 1) if pixels else 0
    if widest > n - 1:
        raise ValueError(f"padding_mode 'reflect' allows a pad of at most {n - 1} on {n} pixels, got {widest}")
    return [n - 1 - abs(n - 1 - abs(i)) for i in pixels]
