"""Images with the channels last: padded ones to read from, and empty ones to be written run by run."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.functional.sampling import memory_format
from cclib.geometry import Runs

__all__ = ["Padded", "cropped", "empty", "padded"]

PAGE = 4096  # bytes


@dataclass(frozen=True)
class Padded:
    """A copy of an image that reaches as far as its runs read, zero outside of the image.

    Args:
        data: its pixels one after the other, then some more, so that a view may begin at any run's first pixel.
        shape: (batch, height, width, channels).
        top, left: the row and the column of the image at which it begins.
    """

    data: Tensor
    shape: tuple[int, int, int, int]
    top: int
    left: int

    def at(self, row: int, column: int) -> Tensor:
        """(batch, channels, height, width) from this row and column of the image on, without a copy.

        What lies beyond an edge is pixels of the next line or image. The view has the layout of an image with the
        channels last, so that a convolution takes it as it is; a convolution whose outputs do not reach beyond the
        edge never sees them.
        """
        batch, height, width, channels = self.shape
        start = ((row - self.top) * width + column - self.left) * channels
        strides = height * width * channels, 1, width * channels, channels
        return self.data.as_strided((batch, channels, height, width), strides, start)

    @property
    def image(self) -> Tensor:
        """(batch, height, width, channels), all of it."""
        batch, height, width, channels = self.shape
        return self.data[: batch * height * width * channels].view(self.shape)


def padded(source: Tensor, vertical: Runs, horizontal: Runs, least: tuple[int, int] | None = None) -> Padded:
    """``source`` (batch, channels, height, width) as far as runs read it, and from pixel 0 to ``least`` pixels."""
    view = spread(source).permute(0, 2, 3, 1)
    (top, bottom), (left, right) = vertical.reach, horizontal.reach
    if least is not None:
        top, bottom = min(top, 0), max(bottom, least[0] - 1)
        left, right = min(left, 0), max(right, least[1] - 1)
    batch, height, width, channels = view.shape
    shape = batch, max(bottom - top + 1, 1), max(right - left + 1, 1), channels
    pixels = (batch * shape[1] + max(last_start(vertical) - top, 0)) * shape[2] + max(last_start(horizontal) - left, 0)
    result = Padded(source.new_empty(pixels * channels), shape, top, left)
    image = result.image
    rows = slice(min(max(top, 0), height), min(max(bottom + 1, 0), height))
    columns = slice(min(max(left, 0), width), min(max(right + 1, 0), width))
    first, above = columns.start - left, rows.start - top
    inside = image[:, above : above + rows.stop - rows.start, first : first + columns.stop - columns.start]
    if inside.shape != image.shape:
        frame(image, above, inside.shape[1], first, inside.shape[2])
    inside.copy_(view[:, rows, columns])
    result.data[image.numel() :].zero_()
    return result


def frame(image: Tensor, top: int, height: int, left: int, width: int) -> None:
    """Zeros around the part of an image."""
    image[:, :top] = 0
    image[:, top + height :] = 0
    image[:, top : top + height, :left] = 0
    image[:, top : top + height, left + width :] = 0


def last_start(runs: Runs) -> int:
    """Where the last of the runs begins to read."""
    return max((run.first for run in runs.runs if run.slots), default=runs.reach[0])


def empty(like: Tensor, vertical: Runs, horizontal: Runs, channels: int) -> tuple[Tensor, Tensor]:
    """An image for all samples of the runs, filled up to the same number for each, and the view of it that has a place
    for each run, (batch, lines, vertical runs, columns, horizontal runs, channels)."""
    grid = like.shape[0], vertical.count, len(vertical.runs), horizontal.count, len(horizontal.runs), channels
    shape = grid[0], channels, grid[1] * grid[2], grid[3] * grid[4]
    # no view of another tensor, so that the output can be changed in place
    image = torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)
    return image, image.permute(0, 2, 3, 1).view(grid)


def cropped(y: Tensor, vertical: Runs, horizontal: Runs, like: Tensor) -> Tensor:
    """The samples that there are, in the memory format of ``like``."""
    if y.shape[2:] == (vertical.size, horizontal.size):
        return y.contiguous(memory_format=memory_format(like))
    return y[:, :, : vertical.size, : horizontal.size].clone(memory_format=memory_format(like))


def spread(x: Tensor) -> Tensor:
    """The same image, its channels not a multiple of the page size apart.

    Else the channels of a pixel fall on the same lines of the cache, and transposing takes twice as long.
    """
    if x.stride(1) == 1 or x.stride(1) * x.element_size() % PAGE:
        return x
    return F.pad(x, (0, 0, 0, 1))[:, :, :-1]
