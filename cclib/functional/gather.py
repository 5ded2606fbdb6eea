"""The engine of the fast path on the CPU: read patches as block copies, multiply them by the weights of their phase.

A convolution with phases is a sum over runs (``geometry.Runs``): all samples of one vertical and one horizontal run
share their weights and read patches at a regular distance. In an image with the channels last a row of a patch is one
block of memory; so for each pair of runs the patches are copied side by side into a small buffer that stays in the
processor's cache, and one matrix product sums taps and channels. Seen from the inputs, the outputs that read them are
runs as well: the gradient of the image is the same operation on the other grid. What to read is a plan (``plans``). No
function here is differentiable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.functional.plans import Plan, Step, steps
from cclib.functional.sampling import memory_format
from cclib.geometry import Runs

__all__ = ["correlate", "gradients", "weights"]

# The buffer holds at most this and at most this share of both images (or a line): it is to stay in the cache, and the
# memory of a call within a few times that of its images.
PATCH_BYTES = 2**21
SHARE = 0.5


class Patches:
    """The patches of an image, strip by strip; those of one step are overwritten by the next.

    ``channels`` are those of the samples that they are read for. Runs are filled up to the same number of samples;
    ``grid`` is (batch, lines, vertical runs, columns, horizontal runs) of all samples, ``lines`` is (horizontal runs,
    samples) of a vertical run.
    """

    def __init__(self, source: Tensor, plan: Plan, channels: int) -> None:
        vertical, horizontal = plan.vertical, plan.horizontal
        self.grid = len(source), vertical.count, len(vertical.runs), horizontal.count, len(horizontal.runs)
        self.lines = len(horizontal.runs), len(source) * vertical.count * horizontal.count
        most = min(
            PATCH_BYTES // source.element_size(), int((source.numel() + math.prod(self.grid) * channels) * SHARE)
        )
        self.image = channels_last(source, vertical, horizontal)
        per_image, per_line, _, _ = self.image.stride()
        self.strips = steps(plan, len(source), source.shape[1], per_image, per_line, most)
        self.buffer = source.new_empty(max(math.prod(step.shape) for strip in self.strips for step in strip))
        self.views: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}
        self.offset = self.image.storage_offset()

    def strip(self, index: int) -> Iterator[tuple[Step, Tensor]]:
        for step in self.strips[index]:
            if step.shape not in self.views:
                view = self.buffer[: math.prod(step.shape)].view(step.shape)
                numbers = step.shape[4] * step.shape[5]
                self.views[step.shape] = view, view.view(step.shape[0], math.prod(step.shape[1:4]), numbers)
            view, patches = self.views[step.shape]
            if patches.shape[2]:
                view.copy_(self.image.as_strided(step.shape, step.strides, self.offset + step.start))
            yield step, patches


def weights(plan: Plan, functions: Tensor, matrices: Tensor, like: Tensor) -> Iterator[Tensor]:
    """For every vertical run the weights of its strip, (offsets * source channels, channels), in the type of ``like``.

    ``functions`` (slots, features) and ``matrices`` (features, source channels, channels).
    """
    flat = matrices.flatten(1).to(functions.dtype)
    for strip in plan.strips:
        weight = functions.index_select(0, strip.indices) @ flat
        yield weight.to(like.dtype).view(-1, matrices.shape[2])


def correlate(source: Tensor, plan: Plan, weights: Iterable[Tensor], channels: int) -> Tensor:
    """(batch, source channels, height, width) -> (batch, channels, *sizes of the plan)."""
    patches = Patches(source, plan, channels)
    y, pixels = empty_image(source, patches.grid, channels)
    lines = source.new_empty(*patches.lines, channels)
    for index, weight in enumerate(weights):
        for step, patch in patches.strip(index):
            torch.bmm(patch, of_step(weight, step), out=samples(lines, step))
        write(lines, pixels, index)
    del patches, lines, pixels
    return cropped(y, plan, source)


def gradients(
    gradient: Tensor, plan: Plan, x: Tensor, functions: Tensor, coefficients: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of x, of ``functions`` and of ``coefficients``, those that are ``wanted``.

    The plan is that of the inputs, ``gradient`` (batch, out, height, width) that of the output and ``coefficients``
    (features, out, in). The patches of the gradient serve all three.
    """
    in_channels, out_channels = x.shape[1], gradient.shape[1]
    of_filter = wanted[1] or wanted[2]
    flat = coefficients.flatten(1).to(functions.dtype)
    dfunctions, dflat = torch.zeros_like(functions), torch.zeros_like(flat)
    patches = Patches(gradient, plan, in_channels)
    dx, pixels = empty_image(x, patches.grid, in_channels)
    if of_filter:
        fill(dx, x)
    lines = x.new_empty(*patches.lines, in_channels)
    for index, strip in enumerate(plan.strips):
        chosen = functions.index_select(0, strip.indices)  # (offsets, features)
        weight = torch.mm(chosen, flat).to(x.dtype).view(-1, in_channels)
        dweight = torch.empty_like(weight)
        samples_of_x = read(pixels, index) if of_filter else lines
        for step, patch in patches.strip(index):
            if wanted[0]:
                torch.bmm(patch, of_step(weight, step), out=samples(lines, step))
            if of_filter:
                total, beta = of_step(dweight, step), 1 if step.samples.start else 0
                torch.baddbmm(total, patch.mT, samples(samples_of_x, step), beta=beta, out=total)
        if wanted[0]:
            write(lines, pixels, index)  # over x, which is not read again
        if of_filter:
            dweight = dweight.view(-1, out_channels * in_channels).to(functions.dtype)
            dfunctions.index_copy_(0, strip.indices, torch.mm(dweight, flat.t()))
            dflat.addmm_(chosen.t(), dweight)
    del patches, lines, pixels
    return (
        cropped(dx, plan, gradient) if wanted[0] else None,
        dfunctions if wanted[1] else None,
        dflat.view(coefficients.shape).to(coefficients.dtype) if wanted[2] else None,
    )


def of_step(weight: Tensor, step: Step) -> Tensor:
    """(runs, offsets * source channels, channels) of the weights of a strip."""
    return weight[step.weights].view(step.shape[0], step.shape[4] * step.shape[5], weight.shape[1])


def samples(lines: Tensor, step: Step) -> Tensor:
    """(runs, samples, channels) of the samples of a vertical run."""
    of_runs = lines[step.runs]
    return of_runs if step.samples.stop - step.samples.start == lines.shape[1] else of_runs[:, step.samples]


def channels_last(source: Tensor, vertical: Runs, horizontal: Runs) -> Tensor:
    """(batch, height, width, channels) of just what is read, zero outside the source; a view where it is that already.

    Its pixels are contiguous.
    """
    view = spread(source).permute(0, 2, 3, 1)
    (top, bottom), (left, right) = vertical.reach, horizontal.reach
    height, width = view.shape[1:3]
    if top >= 0 and left >= 0 and bottom < height and right < width and is_channels_last(source):
        return view[:, top : bottom + 1, left : right + 1]
    image = source.new_zeros(view.shape[0], bottom - top + 1, right - left + 1, view.shape[3])
    rows = slice(min(max(top, 0), height), min(max(bottom + 1, 0), height))
    columns = slice(min(max(left, 0), width), min(max(right + 1, 0), width))
    inside = view[:, rows, columns]
    image[:, rows.start - top :, columns.start - left :][:, : inside.shape[1], : inside.shape[2]] = inside
    return image


def is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and x.stride(1) == 1


def empty_image(like: Tensor, grid: tuple[int, ...], channels: int) -> tuple[Tensor, Tensor]:
    """An image with the channels last, and the view of it that ``read`` and ``write`` take.

    The view is (batch, lines, vertical runs, columns, horizontal runs, channels).
    """
    batch, lines, down, columns, across = grid
    image = like.new_empty(batch, lines * down, columns * across, channels)
    # its own tensor and not a view: it is the result of a function of autograd
    last = image.permute(0, 3, 1, 2)
    return like.new_empty(0).set_(image.untyped_storage(), 0, last.shape, last.stride()), image.view(*grid, channels)


def fill(image: Tensor, x: Tensor) -> None:
    """Copy x, and zeros where the image has more lines and columns."""
    height, width = x.shape[2:]
    image[:, :, :height, :width] = spread(x)
    image[:, :, height:] = 0
    image[:, :, :height, width:] = 0


def write(lines: Tensor, y: Tensor, index: int) -> None:
    """Write the samples of vertical run ``index``, (horizontal runs, samples, channels)."""
    target = y[:, :, index].permute(3, 0, 1, 2, 4)
    target.copy_(lines.view(target.shape))


def read(y: Tensor, index: int) -> Tensor:
    """The samples of vertical run ``index``, (horizontal runs, samples, channels)."""
    return y[:, :, index].permute(3, 0, 1, 2, 4).reshape(y.shape[4], -1, y.shape[5])


def cropped(y: Tensor, plan: Plan, like: Tensor) -> Tensor:
    """The image of the size of the plan, in the memory format of ``like``."""
    size = plan.vertical.size, plan.horizontal.size
    if y.shape[2:] == size:
        return y.contiguous(memory_format=memory_format(like))
    return y[:, :, : size[0], : size[1]].clone(memory_format=memory_format(like))


def spread(x: Tensor) -> Tensor:
    """The same image, its channels not a multiple of the page size apart.

    Else the channels of a pixel fall on the same lines of the cache, and transposing takes twice as long.
    """
    if x.stride(1) * x.element_size() % 4096 or is_channels_last(x):
        return x
    return F.pad(x, (0, 0, 0, 1))[:, :, :-1]
