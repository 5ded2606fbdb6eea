"""Line by line: the pixels and offsets that some lines of the output read, so that what is stored for each pixel is
stored for some lines only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.functional.problem import Problem, Work
from cclib.functional.tables import table

__all__ = ["Lines", "beyond", "lines_of", "listed", "taps_at_a_time"]

FEW_NUMBERS = 2**12  # so many are held in any case


@dataclass(frozen=True)
class Lines:
    """Some lines of the output, p pixels of t taps each."""

    rows: slice
    slots: Tensor  # (p * t,) indices into the flattened grid of offsets, one more than there are on each axis
    pixels: Tensor  # (p * t,) indices into the flattened image, the last for what lies outside and is zero


def lines_of(problem: Problem, like: Tensor, most: int) -> Iterator[Lines]:
    """All lines, as many at a time as have at most ``most`` taps together, at least one."""
    height, width = (axis.n_in for axis in problem.axes)
    index = torch.empty(0, dtype=torch.long, device=like.device)
    row_slots, rows = (table(kind, f"{problem.key} 0", index)[:, None, :, None] for kind in ("slots", "pixels"))
    column_slots, columns = (table(kind, f"{problem.key} 1", index)[None, :, None, :] for kind in ("slots", "pixels"))
    step = max(1, most // max(1, columns.numel() * rows.shape[2]))
    offsets = len(problem.grid[1].offsets) + 1
    for first in range(0, problem.size[0], step):
        chosen = slice(first, min(first + step, problem.size[0]))
        slots = row_slots[chosen] * offsets + column_slots
        pixels = rows[chosen] * width + columns
        pixels = pixels.where((rows[chosen] < height) & (columns < width), height * width)
        yield Lines(chosen, slots.flatten(), pixels.flatten())


def taps_at_a_time(images: int, share: float, per_tap: int) -> int:
    """How many taps are worked on at one time, of ``per_tap`` numbers each: these are to need a ``share`` of the
    memory of both images, or little anyway."""
    return max(int(images * share), FEW_NUMBERS) // per_tap


def beyond(functions: Tensor) -> Tensor:
    """The functions of all offsets and, for taps that are not there, zeros after the last offset of each axis."""
    return F.pad(functions, (0, 0, 0, 1, 0, 1)).flatten(0, 1)


def listed(work: Work) -> int:
    """Numbers that the lists of all taps hold: the filter's functions, and two indices of eight bytes each."""
    return work.pixels * work.taps * (work.matrices[0] + 4)
