"""Pixels: the filter's weights for every output pixel, and a batched matrix product for the pixels of some lines.

Pays where phases are many and channels few, as where a small feature map shrinks a little: there each phase has too
little work to be worth a call of its own. The images of the batch lie side by side in memory, so that reading a pixel
of all of them copies one block. It has no groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from cclib.functional.lines import Lines, beyond, lines_of, listed, taps_at_a_time
from cclib.functional.problem import Problem, Work
from cclib.functional.products import product
from cclib.functional.registry import Cost, Gradients, Implementation, of_bias
from cclib.functional.sampling import memory_format

__all__ = ["PIXELS"]

SHARE = 0.5  # of both images, for the patches and weights of the lines that are worked on


def prepare(functions: Tensor, coefficients: Tensor, problem: Problem, dtype: torch.dtype) -> list[Tensor]:
    """The functions (offsets, features), and the coefficients (features, in, out)."""
    return [beyond(functions.to(dtype)), coefficients.to(dtype).mT.contiguous()]


def forward(x: Tensor, prepared: Iterable[Tensor], bias: Tensor | None, problem: Problem) -> Tensor:
    """A few lines at a time."""
    table, coefficients = prepared
    out_channels = coefficients.shape[2]
    y = x.new_empty((len(x), out_channels, *problem.size)).contiguous(memory_format=memory_format(x))
    image, matrices = batch_last(x), coefficients.flatten(1)
    most = taps_at_a_time(x.numel() + y.numel(), SHARE, numbers_per_tap(x, coefficients))
    for lines in lines_of(problem, x, most):
        patches, _, weights = read(image, table, matrices, lines, problem, x.shape[1])
        part = product(weights.mT, patches).view(-1, y.shape[3], out_channels, len(x))
        y[:, :, lines.rows] = part.permute(3, 2, 0, 1)
        del patches, weights, part  # before the next are made
    return y if bias is None else y.add_(bias.reshape(-1, 1, 1))


def backward(
    gradient: Tensor, x: Tensor, functions: Tensor, coefficients: Tensor, problem: Problem, wanted: Sequence[bool]
) -> Gradients:
    """A few lines at a time."""
    features, out_channels, in_channels = coefficients.shape
    table, transposed = prepare(functions, coefficients, problem, x.dtype)
    image, matrices = batch_last(x), transposed.flatten(1)
    dimage = torch.zeros_like(image) if wanted[0] else None
    precise = torch.promote_types(x.dtype, torch.float32)  # of the sums over lines
    dtable, dmatrices = torch.zeros_like(table, dtype=precise), torch.zeros_like(matrices, dtype=precise)
    most = taps_at_a_time(x.numel() + gradient.numel(), SHARE, numbers_per_tap(x, coefficients))
    for lines in lines_of(problem, x, most):
        patches, values, weights = read(image, table, matrices, lines, problem, in_channels)
        part = gradient[:, :, lines.rows].permute(2, 3, 1, 0).contiguous().view(-1, out_channels, len(x))
        if wanted[1] or wanted[2]:
            dweights = product(patches, part.mT).view(-1, in_channels * out_channels)  # a row for each tap
            dmatrices += product(values.t(), dweights)
            dtable.index_add_(0, lines.slots, product(dweights, matrices.t()).to(precise))
            del dweights
        if dimage is not None:
            product(weights, part, out=patches)
            dimage.index_add_(0, lines.pixels, patches.view(-1, image.shape[1]))
        del patches, values, weights, part  # before the next are made
    del image
    dx = None
    if dimage is not None:
        dx = dimage[:-1].view(*x.shape[2:], in_channels, len(x)).permute(3, 2, 0, 1)
        dx = dx.contiguous(memory_format=memory_format(x))  # else what comes before works on a strided gradient
    vertical, horizontal = functions.shape[:2]
    of_functions = dtable.view(vertical + 1, horizontal + 1, features)[:-1, :-1]
    of_coefficients = dmatrices.view(features, in_channels, out_channels).mT
    return (
        dx,
        of_functions.to(functions.dtype).contiguous() if wanted[1] else None,
        of_coefficients.to(coefficients.dtype).contiguous() if wanted[2] else None,
        of_bias(gradient, wanted),
    )


def numbers_per_tap(x: Tensor, coefficients: Tensor) -> int:
    return x.shape[0] * x.shape[1] + coefficients[0].numel() + len(coefficients)


def read(
    image: Tensor, table: Tensor, matrices: Tensor, lines: Lines, problem: Problem, in_channels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of some lines the patches (pixels, taps * in, batch), the functions (pixels * taps, features) and the weights
    (pixels, taps * in, out)."""
    numbers = problem.grid[0].most * problem.grid[1].most * in_channels
    patches = image.index_select(0, lines.pixels).view(-1, numbers, image.shape[1] // in_channels)
    values = table.index_select(0, lines.slots)
    return patches, values, product(values, matrices).view(-1, numbers, matrices.shape[1] // in_channels)


def batch_last(x: Tensor) -> Tensor:
    """(pixels + 1, in * batch): the image, and a pixel of zeros."""
    image = x.new_empty(x.shape[2] * x.shape[3] + 1, x.shape[1] * x.shape[0])
    image[:-1].view(*x.shape[2:], x.shape[1], x.shape[0]).copy_(x.permute(2, 3, 1, 0))
    image[-1] = 0
    return image


def cost(work: Work) -> Cost | None:
    """A line at a time; none with groups."""
    if work.problem.groups > 1:
        return None
    features, out_channels, in_channels = work.matrices
    lines = work.problem.size[0]
    weights = work.pixels * work.taps * out_channels * in_channels
    return Cost(
        work.convolution + weights * features,
        moved=2 * work.patches + weights + 2 * work.images,
        temporary=5 * work.images // 2
        + 2 * work.offsets * features
        + (work.patches + weights + listed(work)) // lines
        + work.listed,
        calls=40 + 16 * lines,
    )


PIXELS = Implementation(prepare, forward, backward, cost)
