"""A grid as convolutions of torch: one, a transposed one, or one for each pair of phases."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.functional.cache import needs_gradient
from cclib.functional.derivatives import transformed
from cclib.functional.sampling import Grid, extend, memory_format
from cclib.geometry import Phase, Taps, input_runs

__all__ = [
    "Transposed",
    "as_kernel",
    "as_transposed_kernel",
    "convolution",
    "convolutions",
    "is_convolution",
    "transposed_axes",
    "transposed_convolution",
]


def as_kernel(weights: Tensor) -> Tensor:
    """(offsets, offsets, out, in / groups) -> (out, in / groups, offsets, offsets)."""
    return weights.permute(2, 3, 0, 1)


def is_convolution(grid: Grid) -> bool:
    """Whether all outputs have the same offsets."""
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
    """Both axes as a transposed convolution, if they are one."""
    axes = []
    for taps in grid:
        low, high = (0, taps.axis.n_in - 1) if padding_mode == "zeros" else taps.reach
        axis = transposed_axis(taps, low, high - low + 1)
        if axis is None:
            return None
        axes.append(axis)
    return axes[0], axes[1]


def as_transposed_kernel(weights: Tensor, axes: tuple[Transposed, Transposed], groups: int) -> Tensor:
    """(offsets, offsets, out, in / groups) -> (in, out / groups, rows, columns)."""
    rows, columns = (torch.tensor(axis.slots, device=weights.device) for axis in axes)
    chosen: Tensor = weights.index_select(0, rows).index_select(1, columns).unflatten(2, (groups, -1))
    return chosen.permute(2, 4, 3, 0, 1).flatten(0, 1)


def transposed_convolution(
    x: Tensor, weights: Tensor, bias: Tensor | None, axes: tuple[Transposed, Transposed], groups: int
) -> Tensor:
    """Advance one: every input adds the same weights to the outputs."""
    stride, padding, output_padding = zip(*((a.stride, a.padding, a.output_padding) for a in axes), strict=True)
    if transformed():
        return F.conv_transpose2d(x, weights, bias, stride, padding, output_padding, groups)
    stored = memory_format(x)
    if x.device.type == "cpu" and needs_gradient((x, weights)):  # its gradients are faster with the channels last
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
    y: Tensor = torch.stack(outputs, 2).unflatten(2, (len(vertical.phases), -1)).permute(0, 1, 4, 2, 5, 3)
    return y.flatten(4, 5).flatten(2, 3)[:, :, : vertical.axis.n_out, : horizontal.axis.n_out]


def rows_read(taps: Taps, phase: Phase) -> range:
    """The rows of the extended image that the outputs of a phase read."""
    first = phase.first - taps.reach[0]
    return range(first, first + (phase.count - 1) * taps.advance + len(phase.offsets))


def narrow(x: Tensor, rows: range, columns: range) -> Tensor:
    return x[..., rows.start : rows.stop, columns.start : columns.stop]
