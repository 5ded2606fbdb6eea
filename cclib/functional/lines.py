"""Line by line: the pixels and offsets that some lines of the output read, and the frame of a sum over them.

Without groups the CPU sums a few lines at a time, with gradients written by hand, so that what is stored per pixel is
stored for some lines only. How the taps of those lines are summed is a ``Way``; ``basis`` has one and ``pixels``
another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.functional.cache import remembered
from cclib.functional.derivatives import apply, differentiable_gradients, plain_tensors, transformed
from cclib.functional.problem import Problem
from cclib.functional.sampling import Grid, extend, padding_index, sample
from cclib.geometry import Taps

__all__ = ["Lines", "Way", "line_by_line", "lines_of", "listed"]


@dataclass(frozen=True)
class Way:
    """How to sum.

    ``output`` of (x, functions, coefficients, grid, padding mode) is (batch, out, height, width); ``gradients`` of
    (gradient of the output, x, functions, coefficients, grid, padding mode, which are wanted) are those of x,
    ``functions`` and ``coefficients``, None where not wanted.
    """

    output: Callable[[Tensor, Tensor, Tensor, Grid, str], Tensor]
    gradients: Callable[..., tuple[Tensor | None, Tensor | None, Tensor | None]]


def listed(problem: Problem) -> int:
    """Numbers that the lists of all taps hold: the filter's functions, and two indices of eight bytes each."""
    return problem.pixels * problem.taps * (problem.matrices[0] + 4)


def line_by_line(x: Tensor, bias: Tensor | None, problem: Problem, way: Way) -> Tensor:
    """The sum in this way; with groups, under transforms and elsewhere than on the CPU all pixels at once."""
    filter, grid = problem.filter, problem.grid
    with torch.autocast(x.device.type, enabled=False):
        functions = remembered(
            filter,
            ("basis", grid, problem.stretch, x.dtype, x.device),
            lambda: F.pad(sample(filter.basis, filter, grid, problem.stretch, x).to(x.dtype), (0, 0, 0, 1, 0, 1)),
        )  # (vertical offsets, horizontal offsets, features); after the last offset a tap that is not there: zero
        coefficients = filter.coefficients().to(x.dtype)
        if problem.by_hand and len(x) and problem.taps and not transformed():
            return apply(LineByLine, x, functions, coefficients, bias, grid, problem.padding_mode, way)
        y = contract(extend(x, grid, problem.padding_mode), functions, coefficients, grid, problem.groups)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def contract(x: Tensor, functions: Tensor, coefficients: Tensor, grid: Grid, groups: int) -> Tensor:
    """All pixels at once; x is extended."""
    slots, pixels = zip(*(dense_index(taps, x.device) for taps in grid), strict=True)
    # (height, width, vertical taps, horizontal taps, features) and (batch, in, height, width, taps, taps)
    functions = functions[slots[0][:, None, :, None], slots[1][None, :, None, :]]
    patches = x[:, :, pixels[0][:, None, :, None], pixels[1][None, :, None, :]]
    contracted = torch.einsum("bchwst,hwstf->bchwf", patches, functions).unflatten(1, (groups, -1))
    matrices = coefficients.unflatten(1, (groups, -1))  # (features, group, out / groups, in / groups)
    return torch.einsum("bgchwf,fgoc->bgohw", contracted, matrices).flatten(1, 2)


@lru_cache(maxsize=256)
@plain_tensors
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


@lru_cache(maxsize=256)
@plain_tensors
def sources(taps: Taps, padding_mode: str) -> tuple[Tensor, Tensor]:
    """For every output and tap (outputs, most taps): its slot among the offsets, and the pixel of the image it reads.

    −1 is a pixel of zeros. Outputs with fewer taps than the most are filled up with the slot after the last.
    """
    slots = torch.full((taps.axis.n_out, taps.most), len(taps.offsets))
    reads: list[int] = []
    for output in range(taps.axis.n_out):
        turn, index = divmod(output, len(taps.phases))
        first, of_phase = taps.phases[index].first + turn * taps.advance, taps.slots[index]
        slots[output, : len(of_phase)] = torch.arange(of_phase.start, of_phase.stop)
        reads += range(first, first + len(of_phase))
    pixels = torch.full_like(slots, -1)
    pixels[slots < len(taps.offsets)] = torch.tensor(padding_index(reads, taps.axis.n_in, padding_mode))
    return slots, pixels


@dataclass(frozen=True)
class Lines:
    """Some lines of the output, p pixels of t taps each."""

    rows: slice
    slots: Tensor  # (p * t,) indices into the flattened grid of offsets, one more than there are on each axis
    pixels: Tensor  # (p * t,) indices into the flattened image, the last for what lies outside and is zero


def lines_of(grid: Grid, padding_mode: str, most: int) -> Iterator[Lines]:
    """All lines, as many at a time as have at most ``most`` taps together, at least one."""
    vertical, horizontal = grid
    height, width = vertical.axis.n_in, horizontal.axis.n_in
    row_slots, rows = (index[:, None, :, None] for index in sources(vertical, padding_mode))
    column_slots, columns = (index[None, :, None, :] for index in sources(horizontal, padding_mode))
    step = max(1, most // max(1, columns.numel() * vertical.most))
    for first in range(0, vertical.axis.n_out, step):
        chosen = slice(first, min(first + step, vertical.axis.n_out))
        slots = row_slots[chosen] * (len(horizontal.offsets) + 1) + column_slots
        pixels = rows[chosen] * width + columns
        pixels = pixels.where((rows[chosen] >= 0) & (columns >= 0), height * width)
        yield Lines(chosen, slots.flatten(), pixels.flatten())


class LineByLine(torch.autograd.Function):
    """``contract`` plus bias, as a function of x (batch, in, height, width), ``functions`` (offsets + 1,
    offsets + 1, features), ``coefficients`` (features, out, in) and the bias."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        functions: Tensor,
        coefficients: Tensor,
        bias: Tensor | None,
        grid: Grid,
        padding_mode: str,
        way: Way,
    ) -> Tensor:
        ctx.save_for_backward(x, functions, coefficients)
        ctx.grid, ctx.padding_mode, ctx.way = grid, padding_mode, way
        y = way.output(x, functions, coefficients, grid, padding_mode)
        return y if bias is None else y.add_(bias.reshape(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, functions, coefficients = ctx.saved_tensors
        wanted, grid, padding_mode = ctx.needs_input_grad[:3], ctx.grid, ctx.padding_mode
        dbias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[3] else None
        with torch.autocast("cpu", enabled=False):
            if not any(wanted):
                gradients: tuple[Tensor | None, ...] = (None, None, None)
            elif torch.is_grad_enabled() or transformed(gradient):

                def composed(x: Tensor, functions: Tensor, coefficients: Tensor) -> Tensor:
                    return contract(extend(x, grid, padding_mode), functions, coefficients, grid, 1)

                gradients = differentiable_gradients(composed, ctx.saved_tensors, wanted, gradient)
            else:
                gradients = ctx.way.gradients(gradient, x, functions, coefficients, grid, padding_mode, wanted)
        return *gradients, dbias, None, None, None
