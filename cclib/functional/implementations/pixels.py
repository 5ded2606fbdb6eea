"""Pixels: the filter's weights for every output pixel, and a batched matrix product for the pixels of some lines.

Pays where phases are many and channels few, as where a small feature map shrinks a little: there each phase has too
little work to be worth a call of its own. The images of the batch lie side by side in memory, so that reading a pixel
of all of them copies one block. With groups, or elsewhere than on the CPU, it is what ``basis`` is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cclib.functional.lines import Lines, Way, line_by_line, lines_of, listed
from cclib.functional.problem import Problem
from cclib.functional.registry import Cost, Speed, implementation
from cclib.functional.sampling import Grid, memory_format

__all__ = ["pixels"]

SHARE = 0.5  # of both images, for the patches and weights of the lines that are worked on


def output(x: Tensor, functions: Tensor, coefficients: Tensor, grid: Grid, padding_mode: str) -> Tensor:
    out_channels, in_channels = coefficients.shape[1:]
    shape = len(x), out_channels, grid[0].axis.n_out, grid[1].axis.n_out
    y = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=memory_format(x))
    image, table, matrices = batch_last(x), functions.flatten(0, 1), coefficients.mT.flatten(1)
    for lines in lines_of(grid, padding_mode, taps_at_a_time(x, y, coefficients)):
        patches, _, weights = read(image, table, matrices, lines, grid, in_channels)
        part = torch.bmm(weights.mT, patches).view(-1, y.shape[3], out_channels, len(x))
        y[:, :, lines.rows] = part.permute(3, 2, 0, 1)
        del patches, weights, part  # before the next are made
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
    image, table, matrices = batch_last(x), functions.flatten(0, 1), coefficients.mT.flatten(1)
    dimage = torch.zeros_like(image) if wanted[0] else None
    precise = torch.promote_types(x.dtype, torch.float32)  # of the sums over lines
    dtable, dmatrices = torch.zeros_like(table, dtype=precise), torch.zeros_like(matrices, dtype=precise)
    for lines in lines_of(grid, padding_mode, taps_at_a_time(x, gradient, coefficients)):
        patches, values, weights = read(image, table, matrices, lines, grid, in_channels)
        part = gradient[:, :, lines.rows].permute(2, 3, 1, 0).contiguous().view(-1, out_channels, len(x))
        if wanted[1] or wanted[2]:
            dweights = torch.bmm(patches, part.mT).view(-1, in_channels * out_channels)  # a row for each tap
            dmatrices += torch.mm(values.t(), dweights)
            dtable.index_add_(0, lines.slots, torch.mm(dweights, matrices.t()).to(precise))
            del dweights
        if dimage is not None:
            torch.bmm(weights, part, out=patches)
            dimage.index_add_(0, lines.pixels, patches.view(-1, image.shape[1]))
        del patches, values, weights, part  # before the next are made
    del image
    dx = None
    if dimage is not None:
        dx = dimage[:-1].view(*x.shape[2:], in_channels, len(x)).permute(3, 2, 0, 1)
        dx = dx.contiguous(memory_format=memory_format(x))  # else what comes before works on a strided gradient
    return (
        dx,
        dtable.view(functions.shape).to(x.dtype) if wanted[1] else None,
        dmatrices.view(features, in_channels, out_channels).mT.to(x.dtype) if wanted[2] else None,
    )


def taps_at_a_time(x: Tensor, y: Tensor, coefficients: Tensor) -> int:
    per_tap = len(x) * x.shape[1] + coefficients[0].numel() + len(coefficients)
    return int((x.numel() + y.numel()) * SHARE) // per_tap


def read(
    image: Tensor, table: Tensor, matrices: Tensor, lines: Lines, grid: Grid, in_channels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of some lines the patches (pixels, taps * in, batch), the functions (pixels * taps, features) and the weights
    (pixels, taps * in, out)."""
    numbers = grid[0].most * grid[1].most * in_channels
    patches = image.index_select(0, lines.pixels).view(-1, numbers, image.shape[1] // in_channels)
    values = table.index_select(0, lines.slots)
    return patches, values, torch.mm(values, matrices).view(-1, numbers, matrices.shape[1] // in_channels)


def batch_last(x: Tensor) -> Tensor:
    """(pixels + 1, in * batch): the image, and a pixel of zeros."""
    image = x.new_empty(x.shape[2] * x.shape[3] + 1, x.shape[1] * x.shape[0])
    image[:-1].view(*x.shape[2:], x.shape[1], x.shape[0]).copy_(x.permute(2, 3, 1, 0))
    image[-1] = 0
    return image


def cost(problem: Problem) -> Cost | None:
    """As ``basis`` with groups, or elsewhere than on the CPU."""
    if not problem.by_hand:
        return None
    features, out_channels, in_channels = problem.matrices
    lines = problem.axes[0].n_out
    weights = problem.pixels * problem.taps * out_channels * in_channels
    return Cost(
        problem.convolution + weights * features + problem.offsets * problem.basis_multiply_adds,
        moved=2 * problem.patches + weights + 2 * problem.images,
        temporary=5 * problem.images // 2
        + 2 * problem.offsets * features
        + (problem.patches + weights + listed(problem)) // lines,
        calls=40 + 16 * lines,
    )


@implementation("pixels", cost, Speed(1.4e10, 2.6e9, 7e-6))
def pixels(x: Tensor, bias: Tensor | None, problem: Problem) -> Tensor:
    """The sum, with the weights first."""
    return line_by_line(x, bias, problem, Way(output, gradients))
