"""The filter and the image as an implementation takes them: the filter's values at the offsets of a geometry, the image
with what lies outside of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from cclib.filters.base import Filter
from cclib.functional.derivatives import transformed
from cclib.functional.state import state_of, versions
from cclib.functional.tables import table

__all__ = ["extend", "memory_format", "result_dtype", "sample"]

NUMBERS_PER_OFFSET = 128  # about what a filter keeps for its gradient
FEW_NUMBERS = 2**18  # so many are kept in any case


def sample(
    function: Callable[[Tensor], Tensor],
    filter: Filter,
    key: str,
    stretch: bool,
    like: Tensor,
    of_phases: bool = True,
) -> Tensor:
    """``function``, the filter or its basis, at every pair of offsets of the problem ``key``, for an image like this.

    Returns (vertical offsets, horizontal offsets, ...) in float32, or float64 for float64 images: half-precision
    offsets would move taps. With ``stretch`` the taps of each output are normalised. Without ``of_phases`` the offsets
    are those of every output.
    """
    precise = like if like.dtype == torch.float64 else like.new_empty(0, dtype=torch.float32)
    with torch.autocast(like.device.type, enabled=False):
        kind = "" if of_phases else "every_"
        axes = [table(f"{kind}offset", f"{key} {axis}", precise) for axis in (0, 1)]
        offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
        values = evaluate(function, filter, offsets, like)
        if stretch:
            mass = filter.mass(offsets)
            rows, columns = (table(f"{kind}first", f"{key} {axis}", mass) for axis in (0, 1))
            total = torch.zeros_like(mass).index_add(0, rows, mass)
            total = torch.zeros_like(mass).index_add(1, columns, total)
            total = total.index_select(0, rows).index_select(1, columns)  # of the output that the tap belongs to
            values = values / total[(...,) + (None,) * (values.ndim - 2)]
    return values


def evaluate(function: Callable[[Tensor], Tensor], filter: Filter, offsets: Tensor, like: Tensor) -> Tensor:
    """``function(offsets)``; where there are so many offsets that its inner tensors would need more memory than the
    image, they are computed again for the gradient."""
    if torch.compiler.is_compiling() or not torch.is_grad_enabled() or transformed():
        return function(offsets)
    few = offsets.numel() // 2 * NUMBERS_PER_OFFSET <= max(like.numel(), FEW_NUMBERS)
    state = None if few else state_of(filter)
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


def result_dtype(x: Tensor) -> torch.dtype:
    """The type of the output: that of x, or that of autocast."""
    device = x.device.type
    cast = torch.is_autocast_enabled(device) and x.dtype != torch.float64
    return torch.get_autocast_dtype(device) if cast else x.dtype


def memory_format(x: Tensor) -> torch.memory_format:
    """The memory format of the output, which is that of the input x."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def extend(x: Tensor, rows: str, columns: str) -> Tensor:
    """The image with just the rows and columns that the taps read, by tables of ``padding``, in its memory format."""
    vertical, horizontal = table("padding", rows, x), table("padding", columns, x)
    if not transformed() and memory_format(x) == torch.channels_last:  # so that the gradient has that format too
        return x.permute(0, 2, 3, 1).index_select(1, vertical).index_select(2, horizontal).permute(0, 3, 1, 2)
    return x.index_select(-2, vertical).index_select(-1, horizontal)
