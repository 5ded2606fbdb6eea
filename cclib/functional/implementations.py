"""The ways to sum taps times weights. All give the same numbers; each has the signature of ``reference``.

An implementation maps (x, filter, axes, groups, padding_mode, stretch) to (batch, out_channels, height, width),
without bias.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.filters import Filter
from cclib.functional.sampling import Axes, extend, grid_of, membership, sample
from cclib.geometry import Phase, Taps


def reference(x: Tensor, filter: Filter, axes: Axes, groups: int, padding_mode: str, stretch: bool) -> Tensor:
    """The definition: a weight matrix for every output pixel and tap, and one einsum."""
    grid = grid_of(axes, filter, stretch, by_phase=False)
    rows, columns = (torch.tensor(tap_index(taps), dtype=torch.long, device=x.device) for taps in grid)
    taken = extend(x, grid, padding_mode).index_select(-2, rows).index_select(-1, columns)
    taken = taken.unflatten(1, (groups, -1))  # (batch, group, in / groups, all vertical taps, all horizontal taps)
    weights = sample(filter, filter, grid, stretch, x).unflatten(2, (groups, -1))
    vertical, horizontal = (membership(taps, x) for taps in grid)  # (outputs, all taps)
    return torch.einsum("bgcst,stgoc,hs,wt->bgohw", taken, weights, vertical, horizontal).flatten(1, 2)


def tap_index(taps: Taps) -> list[int]:
    """For every tap of every output, its index in the extended image."""
    low = taps.reach[0]
    return [phase.first - low + tap for phase in taps.phases for tap in range(len(phase.offsets))]


def phases(x: Tensor, filter: Filter, axes: Axes, groups: int, padding_mode: str, stretch: bool) -> Tensor:
    """One strided convolution for every pair of phases, then their outputs interleaved."""
    vertical, horizontal = grid = grid_of(axes, filter, stretch)
    weights = sample(filter, filter, grid, stretch, x).permute(2, 3, 0, 1)  # (out, in / groups, offsets, offsets)
    x = extend(x, grid, padding_mode)
    height, width = vertical.phases[0].count, horizontal.phases[0].count  # later phases may have one less
    outputs = []
    for row, row_slots in zip(vertical.phases, vertical.slots, strict=True):
        for column, column_slots in zip(horizontal.phases, horizontal.slots, strict=True):
            kernel = narrow(weights, row_slots, column_slots)
            if kernel.numel() == 0:  # a filter narrower than a pixel falls between the taps
                outputs.append(x.new_zeros(x.shape[0], weights.shape[0], height, width, dtype=result_dtype(x)))
                continue
            part = narrow(x, rows_read(vertical, row), rows_read(horizontal, column))
            y = F.conv2d(part, kernel, stride=(vertical.advance, horizontal.advance), groups=groups)
            if (row.count, column.count) != (height, width):
                y = F.pad(y, (0, width - column.count, 0, height - row.count))
            outputs.append(y)
    if len(outputs) == 1:
        return outputs[0]
    # (batch, out, height, vertical phase, width, horizontal phase): the phases of an axis alternate
    y = torch.stack(outputs, 2).unflatten(2, (len(vertical.phases), -1)).permute(0, 1, 4, 2, 5, 3)
    return y.flatten(4, 5).flatten(2, 3)[:, :, : vertical.axis.n_out, : horizontal.axis.n_out]


def rows_read(taps: Taps, phase: Phase) -> range:
    """The rows of the extended image that the outputs of a phase read."""
    first = phase.first - taps.reach[0]
    return range(first, first + (phase.count - 1) * taps.advance + len(phase.offsets))


def narrow(x: Tensor, rows: range, columns: range) -> Tensor:
    return x[..., rows.start : rows.stop, columns.start : columns.stop]


def result_dtype(x: Tensor) -> torch.dtype:
    device = x.device.type
    cast = torch.is_autocast_enabled(device) and x.dtype != torch.float64
    return torch.get_autocast_dtype(device) if cast else x.dtype


def basis(x: Tensor, filter: Filter, axes: Axes, groups: int, padding_mode: str, stretch: bool) -> Tensor:
    """Contract the taps with the filter's scalar functions, then channels and functions with its coefficients.

    No weight matrix is ever made for a pixel: what is stored per pixel is channels x functions.
    """
    grid = grid_of(axes, filter, stretch)
    functions = sample(filter.basis, filter, grid, stretch, x)  # (offsets, offsets, features)
    x = extend(x, grid, padding_mode)
    slots, pixels = zip(*(dense_index(taps, x.device) for taps in grid), strict=True)
    functions = F.pad(functions, (0, 0, 0, 1, 0, 1))  # the last slot is a tap that is not there: zero
    # (height, width, vertical taps, horizontal taps, features) and (batch, in, height, width, taps, taps)
    functions = functions[slots[0][:, None, :, None], slots[1][None, :, None, :]]
    patches = x[:, :, pixels[0][:, None, :, None], pixels[1][None, :, None, :]]
    contracted = torch.einsum("bchwst,hwstf->bchwf", patches, functions).unflatten(1, (groups, -1))
    # (features, group, out / groups, in / groups)
    coefficients = filter.coefficients().to(x.dtype).unflatten(1, (groups, -1))
    y = torch.einsum("bgchwf,fgoc->bgohw", contracted, coefficients).flatten(1, 2)
    return y.to(result_dtype(x))  # autocast does not reach an einsum that is a plain product


def dense_index(taps: Taps, device: torch.device) -> tuple[Tensor, Tensor]:
    """For every output and tap (outputs, most taps): its slot among the offsets, and its index in the extended image.

    Outputs with fewer taps than the most are filled up with slot −1 and pixel 0.
    """
    slots = torch.full((taps.axis.n_out, taps.most), -1)
    pixels = torch.zeros(taps.axis.n_out, taps.most, dtype=torch.long)
    for phase, slot in zip(taps.phases, taps.slots, strict=True):
        first = phase.first - taps.reach[0]
        advance = torch.arange(phase.count)[:, None] * taps.advance
        slots[phase.index :: len(taps.phases), : len(slot)] = torch.arange(slot.start, slot.stop)
        pixels[phase.index :: len(taps.phases), : len(slot)] = torch.arange(first, first + len(slot)) + advance
    return slots.to(device), pixels.to(device)


IMPLEMENTATIONS: dict[str, Callable[[Tensor, Filter, Axes, int, str, bool], Tensor]] = {
    "phases": phases,
    "basis": basis,
    "reference": reference,
}
