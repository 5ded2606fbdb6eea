"""The filter and the image as an implementation takes them: the filter's values at the offsets of a geometry, the image
with what lies outside of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from cclib.filters.base import Filter
from cclib.functional.derivatives import transformed
from cclib.functional.problem import problem_of
from cclib.functional.state import state_of, versions
from cclib.functional.tables import paired, table
from cclib.graphs import constant

__all__ = ["extend", "memory_format", "result_dtype", "sample"]

NUMBERS_PER_OFFSET = 128  # about what a filter keeps for its gradient
FEW_NUMBERS = 2**21  # so many are kept in any case
FEW_OFFSETS = 2**13  # pairs of them that are kept from call to call
POINTS_PER_PIXEL = 4  # of each axis, at which a filter is integrated
MOST_POINTS = 2**22  # of both axes: a support of 512 × 512 pixels


def sample(
    function: Callable[[Tensor], Tensor],
    filter: Filter,
    key: str,
    like: Tensor,
    of_phases: bool = True,
) -> Tensor:
    """``function``, the filter or its basis, at every pair of offsets of the problem ``key``, for an image like this.

    Returns (vertical offsets, horizontal offsets, ...) in float32, or float64 for float64 images: half-precision
    offsets would move taps. Without ``of_phases`` the offsets are those of every output.

    1. At a unit other than 1 the values are divided by the mass of their output's taps, all together, and multiplied
       by what that mass is at unit 1, or for a stretched filter by one.
    2. For a partition of unity, what the values of an output's taps sum to beyond the filter's integral is taken away
       again, from each tap its share of the mass.
    """
    precise = like if like.dtype == torch.float64 else like.new_empty(0, dtype=torch.float32)
    with torch.autocast(like.device.type, enabled=False):
        read = Reading(key, of_phases, precise)
        whole, scaling = filter.partition_of_unity, scaling_of(key)
        if whole:
            values, integral = with_integral(function, filter, read.offsets, like)
        else:
            values = evaluate(function, filter, read.offsets, like)
        if not (whole or scaling.scaled):
            return values
        mass = filter.mass(read.offsets)
        total = read.sums(mass)
        total = read.of_taps(torch.where(total == 0, 1, total))  # taps without mass: 0 / 1
        added = (...,) + (None,) * (values.ndim - 2)
        if scaling.scaled:
            values = values / total[added]
        if scaling.at_unit_one:
            plain = Reading(scaling.at_unit_one, of_phases, precise)
            values = values * read.of_taps(plain.sums(filter.mass(plain.offsets)))[added]
        if whole:
            values = values - read.of_taps(read.sums(values) - integral) * (mass / total)[added]
    return values


class Reading:
    """Where a filter is read in the problem ``key``, phase by phase or, without ``of_phases``, output by output."""

    def __init__(self, key: str, of_phases: bool, like: Tensor) -> None:
        self.key, self.of_phases, self.like = key, of_phases, like
        vertical, horizontal = self.tables("offset")
        few = len(vertical) * len(horizontal) <= FEW_OFFSETS
        self.offsets = table(f"{self.kind('offset')}_pairs", key, like) if few else paired(vertical, horizontal)

    def tables(self, kind: str) -> list[Tensor]:
        """The tables of both axes."""
        return [table(self.kind(kind), f"{self.key} {axis}", self.like) for axis in (0, 1)]

    def kind(self, kind: str) -> str:
        return kind if self.of_phases else f"every_{kind}"

    def sums(self, values: Tensor) -> Tensor:
        """Over the taps of an output: (vertical offsets, horizontal offsets, ...) -> (phases, phases, ...)."""
        phases = phases_of(self.key, self.of_phases)
        for axis, index in enumerate(self.tables("phase")):
            zeros = values.new_zeros((*values.shape[:axis], phases[axis], *values.shape[axis + 1 :]))
            values = zeros.index_add(axis, index, values)
        return values

    def of_taps(self, values: Tensor) -> Tensor:
        """What belongs to an output, for each of its taps: the other way round."""
        rows, columns = self.tables("phase")
        return values.index_select(0, rows).index_select(1, columns)


class Scaling(NamedTuple):
    """Whether values are divided by the mass of their taps, and the key of the problem at unit 1 whose mass they get,
    if any."""

    scaled: bool
    at_unit_one: str


@constant
def scaling_of(key: str) -> Scaling:
    problem = problem_of(key)
    other_unit = any(window.shrink != 1 for window in problem.windows)
    return Scaling(problem.stretch or other_unit, "" if problem.stretch or not other_unit else problem.at_unit_one.key)


@constant
def phases_of(key: str, of_phases: bool) -> tuple[int, int]:
    """How many phases the axes have, or outputs."""
    vertical, horizontal = problem_of(key).grid_of(of_phases)
    return len(vertical.phases), len(horizontal.phases)


def with_integral(
    function: Callable[[Tensor], Tensor], filter: Filter, offsets: Tensor, like: Tensor
) -> tuple[Tensor, Tensor]:
    """``function`` at the offsets, and its integral over the support by the midpoint rule, evaluated together.

    Where the support is an integer, that is the mean of what the taps of an output sum to at unit 1, over 4 × 4 phases.
    """
    sides = [float(side) for side in filter.support]
    counts = [math.ceil(POINTS_PER_PIXEL * side) for side in sides]
    if math.prod(counts) > MOST_POINTS:
        raise ValueError(
            f"partition_of_unity needs the filter at {math.prod(counts):.1e} points, more than {MOST_POINTS:.1e}; a "
            f"smaller kernel_size than {sides} needs fewer"
        )
    axes = [
        (torch.arange(count, dtype=offsets.dtype, device=offsets.device) + (1 - count) / 2) * (side / count)
        for side, count in zip(sides, counts, strict=True)
    ]
    points = torch.stack(torch.meshgrid(axes, indexing="ij"), -1)
    both = evaluate(function, filter, torch.cat([offsets.flatten(0, 1), points.flatten(0, 1)]), like)
    values, inside = both.split([both.shape[0] - math.prod(counts), math.prod(counts)])
    return values.unflatten(0, offsets.shape[:2]), inside.mean(0) * math.prod(sides)


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
