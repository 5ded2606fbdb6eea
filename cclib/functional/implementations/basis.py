"""Basis: contract the taps with the filter's scalar functions, then channels and functions with its coefficients.

No weight matrix is ever made, which pays where phases are as many as pixels and channels are many.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cclib.functional.lines import Lines, Way, line_by_line, lines_of, listed
from cclib.functional.problem import Problem
from cclib.functional.registry import Cost, Speed, implementation
from cclib.functional.sampling import Grid, memory_format

__all__ = ["basis"]

SHARE = 0.15  # of both images, for the patches of the lines that are worked on


def output(x: Tensor, functions: Tensor, coefficients: Tensor, grid: Grid, padding_mode: str) -> Tensor:
    out_channels = coefficients.shape[1]
    matrix = coefficients.transpose(0, 1).flatten(1)  # (out, features * in)
    shape = len(x), out_channels, grid[0].axis.n_out, grid[1].axis.n_out
    y = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))
    image = pixels_first(x)
    table = functions.flatten(0, 1)
    for lines in lines_of(grid, padding_mode, taps_at_a_time(x, y, len(coefficients))):
        patches, values = read(image, table, lines, grid)
        contracted = contract_taps(patches, values, len(x))
        part = torch.mm(contracted, matrix.t()).view(-1, y.shape[3], len(x), out_channels)
        y[:, :, lines.rows] = part.permute(2, 3, 0, 1)
        del patches, values, contracted, part  # before the next are made
    return y


def gradients(
    gradient: Tensor,
    x: Tensor,
    functions: Tensor,
    coefficients: Tensor,
    grid: Grid,
    padding_mode: str,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of x, of ``functions`` and of ``coefficients``, those that are ``wanted``."""
    features, out_channels, in_channels = coefficients.shape
    matrix = coefficients.transpose(0, 1).flatten(1)  # (out, features * in)
    image = pixels_first(x)
    table = functions.flatten(0, 1)
    dimage = torch.zeros_like(image) if wanted[0] else None
    precise = torch.promote_types(x.dtype, torch.float32)  # of the sums over lines
    dtable, dmatrix = torch.zeros_like(table, dtype=precise), torch.zeros_like(matrix, dtype=precise)
    for lines in lines_of(grid, padding_mode, taps_at_a_time(x, gradient, features)):
        patches, values = read(image, table, lines, grid)  # (pixels, taps, batch * in), (pixels, taps, features)
        part = gradient[:, :, lines.rows].permute(2, 3, 0, 1).reshape(-1, out_channels)
        if wanted[2]:
            dmatrix += torch.mm(part.t(), contract_taps(patches, values, len(x)))
        dcontracted = torch.mm(part, matrix).view(-1, len(x), features, in_channels)
        dcontracted = dcontracted.transpose(1, 2).flatten(2)  # (pixels, features, batch * in)
        if wanted[1]:
            dtable.index_add_(0, lines.slots, torch.bmm(patches, dcontracted.mT).flatten(0, 1).to(precise))
        if dimage is not None:
            torch.bmm(values, dcontracted, out=patches)
            dimage.index_add_(0, lines.pixels, patches.flatten(0, 1))
        del patches, values, dcontracted  # before the next are made
    del image
    dx = None
    if dimage is not None:
        dx = dimage[:-1].view(*x.shape[2:], *x.shape[:2]).permute(2, 3, 0, 1)
        dx = dx.contiguous(memory_format=memory_format(x))  # else what comes before works on a strided gradient
    return (
        dx,
        dtable.view(functions.shape).to(x.dtype) if wanted[1] else None,
        dmatrix.view(out_channels, features, in_channels).transpose(0, 1).to(x.dtype) if wanted[2] else None,
    )


def taps_at_a_time(x: Tensor, y: Tensor, features: int) -> int:
    return int((x.numel() + y.numel()) * SHARE) // (len(x) * x.shape[1] + features)


def read(image: Tensor, table: Tensor, lines: Lines, grid: Grid) -> tuple[Tensor, Tensor]:
    """The patches (pixels, taps, batch * in) of some lines and their functions (pixels, taps, features)."""
    taps = grid[0].most * grid[1].most
    patches = image.index_select(0, lines.pixels).view(-1, taps, image.shape[1])
    return patches, table.index_select(0, lines.slots).view(-1, taps, table.shape[1])


def contract_taps(patches: Tensor, values: Tensor, batch: int) -> Tensor:
    """(pixels * batch, features * in)."""
    contracted = torch.bmm(values.mT, patches)  # (pixels, features, batch * in)
    of_images: Tensor = contracted.unflatten(2, (batch, -1))
    return of_images.transpose(1, 2).flatten(2).flatten(0, 1)


def pixels_first(x: Tensor) -> Tensor:
    """(pixels + 1, batch * in): the image, and a pixel of zeros."""
    image = x.new_empty(x.shape[2] * x.shape[3] + 1, x.shape[0] * x.shape[1])
    image[:-1] = x.flatten(2).flatten(0, 1).t()
    image[-1] = 0
    return image


def cost(problem: Problem) -> Cost:
    """On the CPU without groups a line at a time, else all pixels at once."""
    batch, channels, _, _ = problem.shape
    features, _, in_per_group = problem.matrices
    contracted = batch * channels * problem.pixels * features
    multiply_adds = (
        contracted * problem.taps
        + problem.output * in_per_group * features
        + problem.offsets * problem.basis_multiply_adds
    )
    if not problem.by_hand:
        at_once = 2 * (problem.patches + problem.pixels * problem.taps * features + contracted)
        return Cost(multiply_adds, problem.patches + contracted, problem.extended + at_once, calls=20)
    lines = problem.axes[0].n_out
    of_a_line = (problem.patches + contracted + listed(problem)) // lines
    return Cost(
        multiply_adds,
        moved=problem.patches + 2 * contracted + problem.images,
        temporary=2 * problem.images + 2 * problem.offsets * features + of_a_line,
        calls=30 + 12 * lines,
    )


@implementation("basis", cost, Speed(2.1e10, 2.4e9, 3.0e-5))
def basis(x: Tensor, bias: Tensor | None, problem: Problem) -> Tensor:
    """The sum, with the basis first."""
    return line_by_line(x, bias, problem, Way(output, gradients))
