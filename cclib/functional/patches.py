"""Sums over runs with patches: read them as block copies and multiply them by the weights of their phase.

In an image with the channels last a row of a patch is one block of memory; so for each pair of runs the patches are
copied side by side into a small buffer that stays in the processor's cache, and one batched matrix product for many
pairs sums taps and channels. Seen from the inputs, the outputs that read them are runs as well: the gradient of the
image is the same operation on the other grid. What to read is a plan (``plans``). No function here records gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor

from cclib.functional.images import cropped, empty, padded, spread
from cclib.functional.plans import Plan, Step, steps
from cclib.functional.products import product

__all__ = ["correlate", "gradients", "weights"]

# The buffer holds at most this and at most this share of both images (or a line): it is to stay in the cache, and the
# memory of a call within a few times that of its images.
PATCH_BYTES = 2**21
SHARE = 0.5
FEW_NUMBERS = 2**12  # so many are held in any case


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
        images = source.numel() + math.prod(self.grid) * channels
        most = min(PATCH_BYTES // source.element_size(), max(int(images * SHARE), FEW_NUMBERS))
        self.image = padded(source, vertical, horizontal).image
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


def weights(plan: Plan, functions: Tensor, matrices: Tensor, dtype: torch.dtype) -> Iterator[Tensor]:
    """For every vertical run the weights of its strip, (offsets * source channels, channels), of type ``dtype``.

    ``functions`` (slots, features) and ``matrices`` (features, source channels, channels).
    """
    flat = matrices.flatten(1).to(functions.dtype)
    for strip in plan.strips:
        weight = product(functions.index_select(0, strip.indices), flat)
        yield weight.to(dtype).view(-1, matrices.shape[2])


def correlate(source: Tensor, plan: Plan, weights: Iterable[Tensor]) -> Tensor:
    """(batch, source channels, height, width) -> (batch, channels, *sizes of the plan)."""
    weights = iter(weights)
    first = next(weights)
    channels = first.shape[1]
    patches = Patches(source, plan, channels)
    y, pixels = empty(source, plan.vertical, plan.horizontal, channels)
    lines = source.new_empty(*patches.lines, channels)
    for index, weight in enumerate(chain([first], weights)):
        for step, patch in patches.strip(index):
            product(patch, of_step(weight, step), out=samples(lines, step))
        write(lines, pixels, index)
    del patches, lines, pixels
    return cropped(y, plan.vertical, plan.horizontal, source)


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
    dx, pixels = empty(x, plan.vertical, plan.horizontal, in_channels)
    if of_filter:
        fill(dx, x)
    lines = x.new_empty(*patches.lines, in_channels)
    for index, strip in enumerate(plan.strips):
        chosen = functions.index_select(0, strip.indices)  # (offsets, features)
        weight = product(chosen, flat).to(x.dtype).view(-1, in_channels)
        dweight = torch.empty_like(weight)
        samples_of_x = read(pixels, index) if of_filter else lines
        for step, patch in patches.strip(index):
            if wanted[0]:
                product(patch, of_step(weight, step), out=samples(lines, step))
            if of_filter:
                total, of_x = of_step(dweight, step), samples(samples_of_x, step)
                if step.samples.start:
                    total += product(patch.mT, of_x)
                else:
                    product(patch.mT, of_x, out=total)
        if wanted[0]:
            write(lines, pixels, index)  # over x, which is not read again
        if of_filter:
            dweight = dweight.view(-1, out_channels * in_channels).to(functions.dtype)
            dfunctions.index_copy_(0, strip.indices, product(dweight, flat.t()))
            dflat += product(chosen.t(), dweight)
    del patches, lines, pixels
    return (
        cropped(dx, plan.vertical, plan.horizontal, x) if wanted[0] else None,
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
