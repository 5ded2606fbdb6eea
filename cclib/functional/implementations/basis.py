"""Basis: contract the taps with the filter's scalar functions, then channels and functions with its coefficients.

No weight matrix is ever made, which pays where phases are as many as pixels and channels are many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from cclib.functional.lines import Lines, beyond, lines_of, listed, taps_at_a_time
from cclib.functional.problem import Problem, Work
from cclib.functional.registry import Cost, Gradients, Implementation, of_bias
from cclib.functional.sampling import memory_format

__all__ = ["BASIS"]

SHARE = 0.15  # of both images, for the patches of the lines that are worked on


def prepare(functions: Tensor, coefficients: Tensor, problem: Problem, dtype: torch.dtype) -> list[Tensor]:
    """The functions (offsets, features), and the coefficients (groups, out / groups, features * in / groups)."""
    return [beyond(functions.to(dtype)), matrices_of(coefficients.to(dtype), problem.groups)]


def forward(x: Tensor, prepared: Iterable[Tensor], bias: Tensor | None, problem: Problem, out_channels: int) -> Tensor:
    """A few lines at a time."""
    table, matrices = prepared
    features = table.shape[1]
    y = x.new_empty((len(x), out_channels, *problem.size)).contiguous(memory_format=memory_format(x))
    image = pixels_first(x)
    most = taps_at_a_time(x.numel() + y.numel(), SHARE, x.shape[0] * x.shape[1] + features)
    for lines in lines_of(problem, x, most):
        patches, values = read(image, table, lines, problem)
        contracted = contract_taps(patches, values, len(x))
        part = channels(contracted, matrices).view(-1, y.shape[3], len(x), out_channels)
        y[:, :, lines.rows] = part.permute(2, 3, 0, 1)
        del patches, values, contracted, part  # before the next are made
    return y if bias is None else y.add_(bias.reshape(-1, 1, 1))


def backward(
    gradient: Tensor, x: Tensor, functions: Tensor, coefficients: Tensor, problem: Problem, wanted: Sequence[bool]
) -> Gradients:
    """A few lines at a time."""
    table, matrices = prepare(functions, coefficients, problem, x.dtype)
    features, out_channels = len(coefficients), coefficients.shape[1]
    image = pixels_first(x)
    most = taps_at_a_time(x.numel() + gradient.numel(), SHARE, x.shape[0] * x.shape[1] + features)
    dimage = torch.zeros_like(image) if wanted[0] else None
    precise = torch.promote_types(x.dtype, torch.float32)  # of the sums over lines
    dtable, dmatrices = torch.zeros_like(table, dtype=precise), torch.zeros_like(matrices, dtype=precise)
    for lines in lines_of(problem, x, most):
        patches, values = read(image, table, lines, problem)  # (pixels, taps, batch * in), (pixels, taps, features)
        part = gradient[:, :, lines.rows].permute(2, 3, 0, 1).reshape(-1, out_channels)
        if wanted[2]:
            contracted = grouped(contract_taps(patches, values, len(x)), problem.groups)
            dmatrices += torch.matmul(part.unflatten(1, (problem.groups, -1)).permute(1, 2, 0), contracted)
            del contracted
        dcontracted = channels(part, matrices.mT).view(
            -1, len(x), problem.groups, features, x.shape[1] // problem.groups
        )
        dcontracted = dcontracted.permute(0, 3, 1, 2, 4).flatten(2)  # (pixels, features, batch * in)
        if wanted[1]:
            dtable.index_add_(0, lines.slots, torch.matmul(patches, dcontracted.mT).flatten(0, 1).to(precise))
        if dimage is not None:
            torch.matmul(values, dcontracted, out=patches)
            dimage.index_add_(0, lines.pixels, patches.flatten(0, 1))
        del patches, values, dcontracted  # before the next are made
    del image
    dx = None
    if dimage is not None:
        dx = dimage[:-1].view(*x.shape[2:], *x.shape[:2]).permute(2, 3, 0, 1)
        dx = dx.contiguous(memory_format=memory_format(x))  # else what comes before works on a strided gradient
    vertical, horizontal = functions.shape[:2]
    of_functions = dtable.view(vertical + 1, horizontal + 1, features)[:-1, :-1]
    of_coefficients = dmatrices.unflatten(2, (features, -1)).permute(2, 0, 1, 3).flatten(1, 2)
    return (
        dx,
        of_functions.to(functions.dtype).contiguous() if wanted[1] else None,
        of_coefficients.to(coefficients.dtype).contiguous() if wanted[2] else None,
        of_bias(gradient, wanted),
    )


def matrices_of(coefficients: Tensor, groups: int) -> Tensor:
    """(features, out, in / groups) -> (groups, out / groups, features * in / groups)."""
    matrices: Tensor = coefficients.unflatten(1, (groups, -1)).permute(1, 2, 0, 3).flatten(2)
    return matrices.contiguous()


def grouped(contracted: Tensor, groups: int) -> Tensor:
    """(samples, features, in) -> (groups, samples, features * in / groups)."""
    by_group: Tensor = contracted.unflatten(2, (groups, -1)).permute(2, 0, 1, 3)
    return by_group.flatten(2)


def channels(x: Tensor, matrices: Tensor) -> Tensor:
    """(samples, features, in) or (samples, in) times the matrices (groups, out, in) of its groups: (samples, groups *
    out)."""
    by_group = x.unflatten(1, (len(matrices), -1)).transpose(0, 1) if x.ndim == 2 else grouped(x, len(matrices))
    return torch.matmul(by_group, matrices.mT).transpose(0, 1).flatten(1)


def read(image: Tensor, table: Tensor, lines: Lines, problem: Problem) -> tuple[Tensor, Tensor]:
    """The patches (pixels, taps, batch * in) of some lines and their functions (pixels, taps, features)."""
    taps = problem.grid[0].most * problem.grid[1].most
    patches = image.index_select(0, lines.pixels).view(-1, taps, image.shape[1])
    return patches, table.index_select(0, lines.slots).view(-1, taps, table.shape[1])


def contract_taps(patches: Tensor, values: Tensor, batch: int) -> Tensor:
    """(pixels * batch, features, in)."""
    contracted = torch.matmul(values.mT, patches)  # (pixels, features, batch * in)
    of_images: Tensor = contracted.unflatten(2, (batch, -1)).transpose(1, 2)
    return of_images.flatten(0, 1)


def pixels_first(x: Tensor) -> Tensor:
    """(pixels + 1, batch * in): the image, and a pixel of zeros."""
    image = x.new_empty(x.shape[2] * x.shape[3] + 1, x.shape[0] * x.shape[1])
    image[:-1] = x.flatten(2).flatten(0, 1).t()
    image[-1] = 0
    return image


def cost(work: Work) -> Cost:
    """A line at a time."""
    batch, in_channels, _, _ = work.shape
    features, _, in_per_group = work.matrices
    contracted = batch * in_channels * work.pixels * features
    lines = work.problem.size[0]
    of_a_line = (work.patches + contracted + listed(work)) // lines
    return Cost(
        contracted * work.taps + work.output * in_per_group * features,
        moved=work.patches + 2 * contracted + work.images,
        temporary=2 * work.images + work.functions + of_a_line + work.listed,
        calls=30 + 12 * lines,
    )


BASIS = Implementation(prepare, forward, backward, cost)
