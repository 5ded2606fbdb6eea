"""Sums over runs as convolutions of views: no patch is copied.

All samples of one vertical and one horizontal run (``geometry.Runs``) share their weights and read the image at a
regular distance: a strided convolution of the image from the run's first pixel on. The image is copied once, padded,
with the channels last; each run takes a view of it. Seen from the inputs, the outputs that read them are runs as well:
the gradient of the image is the same operation on the other grid. No function here records gradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.functional.images import Padded, cropped, empty
from cclib.geometry import Run, Runs

__all__ = ["correlate", "strip_gradient"]


def correlate(
    source: Padded, vertical: Runs, horizontal: Runs, kernels: Iterable[Tensor], bias: Tensor | None, like: Tensor
) -> Tensor:
    """The sums of all runs, (batch, out, *sizes of the runs), in the memory format of ``like``.

    ``kernels`` are those of each vertical run with each horizontal run, (out, in / groups, rows, columns).
    """
    y = pixels = None
    for (row, column, down, across), kernel in zip(pairs(vertical, horizontal), kernels, strict=True):
        if pixels is None:
            y, pixels = empty(like, vertical, horizontal, kernel.shape[0])
        place = pixels[:, :, row, :, column]  # (batch, lines, columns, out)
        if not kernel.shape[2] or not kernel.shape[3]:  # a filter narrower than a pixel falls between the taps
            place.copy_(torch.zeros_like(place) if bias is None else bias.expand_as(place))
            continue
        part = F.conv2d(
            source.at(down.first, across.first),
            kernel,
            bias,
            (vertical.advance, horizontal.advance),
            groups=source.shape[3] // kernel.shape[1],
        )
        place.copy_(part[:, :, : place.shape[1], : place.shape[2]].permute(0, 2, 3, 1))
    assert y is not None
    return cropped(y, vertical, horizontal, like)


def strip_gradient(
    source: Padded, gradient: Padded, vertical: Runs, horizontal: Runs, row: int, strip: tuple[int, ...], groups: int
) -> Tensor:
    """The gradient of the weights of vertical run ``row``, (taps, horizontal offsets, out, in / groups).

    ``source`` is the padded image and ``gradient`` that of the output, padded so that all runs have the same number of
    samples.
    """
    down, total = vertical.runs[row], source.data.new_zeros(strip)
    stride = vertical.advance, horizontal.advance
    for column, across in enumerate(horizontal.runs):
        kernel = total.new_empty(strip[2], strip[3], len(down.slots), len(across.slots))
        if not kernel.numel():
            continue
        image = source.at(down.first, across.first)
        part = samples(gradient, (row, column), (vertical, horizontal))
        lines, columns = ((n - k) // t + 1 for n, k, t in zip(image.shape[2:], kernel.shape[2:], stride, strict=True))
        if part.shape[1:3] != (lines, columns):  # the view gives more than the run has
            part = F.pad(part, (0, 0, 0, columns - part.shape[2], 0, lines - part.shape[1]))
        _, of_kernel, _ = torch.ops.aten.convolution_backward(
            part.contiguous().permute(0, 3, 1, 2),
            image,
            kernel,
            None,
            stride,
            (0, 0),
            (1, 1),
            False,
            (0, 0),
            groups,
            (False, True, False),
        )
        total[:, across.slots[0] : across.slots[-1] + 1] = of_kernel.permute(2, 3, 0, 1)
    return total


def samples(image: Padded, first: tuple[int, int], runs: tuple[Runs, Runs]) -> Tensor:
    """Those of one pair of runs, (batch, lines, columns, channels)."""
    rows, columns = (
        slice(index - begin, index - begin + (axis.count - 1) * len(axis.runs) + 1, len(axis.runs))
        for index, begin, axis in zip(first, (image.top, image.left), runs, strict=True)
    )
    return image.image[:, rows, columns]


def pairs(vertical: Runs, horizontal: Runs) -> Iterator[tuple[int, int, Run, Run]]:
    """Every vertical run with every horizontal one, and their places."""
    for row, down in enumerate(vertical.runs):
        for column, across in enumerate(horizontal.runs):
            yield row, column, down, across
