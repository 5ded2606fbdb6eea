"""Phases: at a rational scale M / N the sub-pixel offsets repeat every M outputs, while the input advances by N.

So only M filters exist per axis. One phase on both axes is a convolution and an advance of one on both is a transposed
convolution; torch has both. Else the phases are summed one by one: on the CPU by the engine of ``gather``, whose
gradients are written by hand, and elsewhere by one strided convolution for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.filters import OWN, Filter
from cclib.functional import gather
from cclib.functional.cache import needs_gradient, remembered
from cclib.functional.derivatives import differentiable_gradients, transformed
from cclib.functional.sampling import Axes, Grid, extend, grid_of, memory_format, sample
from cclib.geometry import Phase, Taps, input_runs, output_runs


def phases(
    x: Tensor, filter: Filter, bias: Tensor | None, axes: Axes, groups: int, padding_mode: str, stretch: bool
) -> Tensor:
    """The sum, phase by phase."""
    grid = grid_of(axes, filter, stretch)
    key = grid, stretch, x.dtype, x.device
    with torch.autocast(x.device.type, enabled=False):
        transposed = transposed_axes(grid, padding_mode)
        one_by_one = not is_convolution(grid) and transposed is None
        on_cpu = x.device.type == "cpu" and not transformed()
        if on_cpu and one_by_one and groups == 1 and len(x) and grid[0].most and grid[1].most:
            return gathered(x, filter, bias, grid, padding_mode, stretch, key)

        def kernel(change: Callable[[Tensor], Tensor], *about: Any) -> Tensor:
            """(vertical offsets, horizontal offsets, out, in / groups), changed into what a convolution takes."""

            def make() -> Tensor:
                return change(sample(filter, filter, grid, stretch, x).to(x.dtype)).contiguous()

            return remembered(filter, (*about, *key), make)

        if is_convolution(grid):
            return convolution(x, kernel(as_kernel, "kernel"), bias, grid, groups, padding_mode)
        if transposed is not None:
            x = x if padding_mode == "zeros" else extend(x, grid, padding_mode)
            weights = kernel(partial(as_transposed_kernel, axes=transposed, groups=groups), transposed, groups)
            return transposed_convolution(x, weights, bias, transposed, groups)
        return convolutions(extend(x, grid, padding_mode), kernel(as_kernel, "kernel"), bias, grid, groups)


def as_kernel(weights: Tensor) -> Tensor:
    """(out, in / groups, offsets, offsets)."""
    return weights.permute(2, 3, 0, 1)


def is_convolution(grid: Grid) -> bool:
    return all(len(taps.phases) == 1 and taps.most for taps in grid)


def convolution(x: Tensor, weights: Tensor, bias: Tensor | None, grid: Grid, groups: int, padding_mode: str) -> Tensor:
    """One phase: a strided convolution. ``weights`` (out, in / groups, offsets, offsets)."""
    padding = [-taps.reach[0] for taps in grid]
    symmetric = all(
        pad >= 0 and (taps.axis.n_in + 2 * pad - taps.most) // taps.advance + 1 == taps.axis.n_out
        for taps, pad in zip(grid, padding, strict=True)
    )
    if padding_mode != "zeros" or not symmetric:
        x, padding = extend(x, grid, padding_mode), [0, 0]
    stride = grid[0].advance, grid[1].advance
    return F.conv2d(x, weights, bias, stride, tuple(padding), groups=groups)


@dataclass(frozen=True)
class Transposed:
    """One axis of a transposed convolution: every input adds ``slots`` to the outputs from ``-padding`` on."""

    slots: tuple[int, ...]
    stride: int
    padding: int
    output_padding: int


def transposed_axis(taps: Taps, low: int, size: int) -> Transposed | None:
    """The axis as a transposed convolution, if every input has the same weights for the outputs that read it."""
    if taps.advance != 1 or not taps.most:
        return None
    runs = input_runs(taps, low, size)
    run, stride = runs.runs[0], runs.advance
    left = taps.axis.n_out - ((size - 1) * stride + len(run.slots) + 2 * run.first)
    if len(runs.runs) > 1 or not run.slots or run.first > 0 or not 0 <= left < stride:
        return None
    return Transposed(run.slots, stride, -run.first, left)


def transposed_axes(grid: Grid, padding_mode: str) -> tuple[Transposed, Transposed] | None:
    found = []
    for taps in grid:
        low, high = (0, taps.axis.n_in - 1) if padding_mode == "zeros" else taps.reach
        axis = transposed_axis(taps, low, high - low + 1)
        if axis is None:
            return None
        found.append(axis)
    return found[0], found[1]


def as_transposed_kernel(weights: Tensor, axes: tuple[Transposed, Transposed], groups: int) -> Tensor:
    """(in, out / groups, rows, columns)."""
    rows, columns = (torch.tensor(axis.slots, device=weights.device) for axis in axes)
    chosen = weights.index_select(0, rows).index_select(1, columns).unflatten(2, (groups, -1))
    return chosen.permute(2, 4, 3, 0, 1).flatten(0, 1)


def transposed_convolution(
    x: Tensor, weights: Tensor, bias: Tensor | None, axes: tuple[Transposed, Transposed], groups: int
) -> Tensor:
    """Advance one: every input adds the same weights to the outputs."""
    stride, padding, output_padding = zip(*((a.stride, a.padding, a.output_padding) for a in axes), strict=True)
    if transformed():
        return F.conv_transpose2d(x, weights, bias, stride, padding, output_padding, groups)
    stored = memory_format(x)
    if x.device.type == "cpu" and needs_gradient((x, weights)):  # whose gradients are faster to compute so
        x = x.contiguous(memory_format=torch.channels_last)
    y = F.conv_transpose2d(x, weights, bias, stride, padding, output_padding, groups)
    return y.contiguous(memory_format=stored)


def convolutions(x: Tensor, weights: Tensor, bias: Tensor | None, grid: Grid, groups: int) -> Tensor:
    """One strided convolution for every pair of phases, then their outputs interleaved; x is extended."""
    vertical, horizontal = grid
    height, width = vertical.phases[0].count, horizontal.phases[0].count  # later phases may have one less
    outputs = []
    for row, row_slots in zip(vertical.phases, vertical.slots, strict=True):
        for column, column_slots in zip(horizontal.phases, horizontal.slots, strict=True):
            kernel = narrow(weights, row_slots, column_slots)
            if kernel.numel() == 0:  # a filter narrower than a pixel falls between the taps
                zero = x[..., :0].sum() + kernel.sum()  # that has gradients, of zero
                y = zero.expand(x.shape[0], weights.shape[0], height, width)
                outputs.append(y if bias is None else y + bias.reshape(-1, 1, 1))
                continue
            part = narrow(x, rows_read(vertical, row), rows_read(horizontal, column))
            y = F.conv2d(part, kernel, bias, (vertical.advance, horizontal.advance), groups=groups)
            if (row.count, column.count) != (height, width):
                y = F.pad(y, (0, width - column.count, 0, height - row.count))
            outputs.append(y)
    return interleave(outputs, grid)


def interleave(outputs: list[Tensor], grid: Grid) -> Tensor:
    """One image from those of the pairs of phases, each (batch, out, height, width)."""
    if len(outputs) == 1:
        return outputs[0]
    vertical, horizontal = grid
    # (batch, out, height, vertical phase, width, horizontal phase): the phases of an axis alternate
    y = torch.stack(outputs, 2).unflatten(2, (len(vertical.phases), -1)).permute(0, 1, 4, 2, 5, 3)
    return y.flatten(4, 5).flatten(2, 3)[:, :, : vertical.axis.n_out, : horizontal.axis.n_out]


def rows_read(taps: Taps, phase: Phase) -> range:
    """The rows of the extended image that the outputs of a phase read."""
    first = phase.first - taps.reach[0]
    return range(first, first + (phase.count - 1) * taps.advance + len(phase.offsets))


def narrow(x: Tensor, rows: range, columns: range) -> Tensor:
    return x[..., rows.start : rows.stop, columns.start : columns.stop]


def gathered(
    x: Tensor, filter: Filter, bias: Tensor | None, grid: Grid, padding_mode: str, stretch: bool, key: tuple[Any, ...]
) -> Tensor:
    """The phases on the CPU, without groups."""
    extended = padding_mode != "zeros"
    if extended:
        x = extend(x, grid, padding_mode)

    def functions() -> Tensor:
        return sample(filter.basis, filter, grid, stretch, x).flatten(0, 1)

    tensors = x, bias, filter.coefficients(), *filter.parameters(), *filter.buffers()
    if needs_gradient(tensors) or (type(filter) not in OWN and torch.is_grad_enabled()):
        return Gathered.apply(x, functions(), filter.coefficients(), bias, grid, extended)
    plan = output_plan(grid, extended)
    weights = remembered(
        filter, ("gathered", *key), lambda: list(gather.weights(plan, functions(), filter.coefficients().mT, x))
    )
    y = gather.correlate(x, plan, weights, filter.coefficients().shape[1])
    return y if bias is None else y.add_(bias.reshape(-1, 1, 1))


def output_plan(grid: Grid, extended: bool) -> gather.Plan:
    """What every output reads from the image, or from the extended image."""
    vertical, horizontal = (output_runs(taps, taps.reach[0] if extended else 0) for taps in grid)
    return gather.plan(vertical, horizontal, len(grid[1].offsets))


def input_plan(grid: Grid, extended: bool, shape: torch.Size) -> gather.Plan:
    """Which outputs read each pixel of the image, or of the extended image."""
    vertical, horizontal = (
        input_runs(taps, taps.reach[0] if extended else 0, n) for taps, n in zip(grid, shape[2:], strict=True)
    )
    return gather.plan(vertical, horizontal, len(grid[1].offsets))


class Gathered(torch.autograd.Function):
    """The engine of ``gather`` as a function of x (batch, in, height, width), of the filter's basis ``functions``
    (offsets, features), of its ``coefficients`` (features, out, in) and of the bias."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        functions: Tensor,
        coefficients: Tensor,
        bias: Tensor | None,
        grid: Grid,
        extended: bool,
    ) -> Tensor:
        ctx.save_for_backward(x, functions, coefficients)
        ctx.grid, ctx.extended = grid, extended
        plan = output_plan(grid, extended)
        y = gather.correlate(x, plan, gather.weights(plan, functions, coefficients.mT, x), coefficients.shape[1])
        return y if bias is None else y.add_(bias.reshape(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, functions, coefficients = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        grid, extended = ctx.grid, ctx.extended
        with torch.autocast("cpu", enabled=False):
            if not any(wanted):
                found: tuple[Tensor | None, ...] = (None, None, None)
            elif torch.is_grad_enabled() or transformed(gradient):

                def composed(x: Tensor, functions: Tensor, coefficients: Tensor) -> Tensor:
                    return composed_of(x, functions, coefficients, grid, extended)

                found = differentiable_gradients(composed, ctx.saved_tensors, wanted, gradient)
            else:
                plan = input_plan(grid, extended, x.shape)
                found = gather.gradients(gradient, plan, x, functions, coefficients, wanted)
        dbias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[3] else None
        return *found, dbias, None, None


def composed_of(x: Tensor, functions: Tensor, coefficients: Tensor, grid: Grid, extended: bool) -> Tensor:
    """What ``Gathered`` computes, by operations of torch."""
    weights = torch.einsum("sh,hoc->soc", functions, coefficients.to(functions.dtype)).to(x.dtype)
    weights = as_kernel(weights.unflatten(0, (-1, len(grid[1].offsets))))
    return convolutions(x if extended else extend(x, grid, "zeros"), weights, None, grid, groups=1)
