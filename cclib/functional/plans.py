"""What ``patches`` reads for every sample of a grid, and in which steps. Made once for a geometry and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, product

import torch
from torch import Tensor

from cclib.functional.derivatives import plain_tensors
from cclib.geometry import Run, Runs

__all__ = ["Plan", "Step", "Strip", "plan_of", "steps"]


@dataclass(frozen=True, slots=True)
class Strip:
    """The offsets of one vertical run with each horizontal run: the weights of some lines.

    ``indices`` (offsets,) lead into the flattened grid of (vertical, horizontal) slots, one horizontal run after the
    other; ``starts`` is where those of each run begin, and the end of the last.
    """

    indices: Tensor
    starts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """What to read for every sample of a grid: the runs of both axes."""

    vertical: Runs
    horizontal: Runs
    strips: tuple[Strip, ...]


@lru_cache(maxsize=64)
@plain_tensors
def plan_of(vertical: Runs, horizontal: Runs, width: int, device: torch.device) -> Plan:
    """The plan of two axes for tensors of a device; ``width`` is the number of horizontal slots."""
    strips = []
    for run in vertical.runs:
        blocks = [
            [row * width + column for row, column in product(run.slots, across.slots)] for across in horizontal.runs
        ]
        indices = torch.tensor([index for block in blocks for index in block], dtype=torch.long, device=device)
        strips.append(Strip(indices, tuple(accumulate((len(block) for block in blocks), initial=0))))
    return Plan(vertical, horizontal, tuple(strips))


@dataclass(frozen=True, slots=True)
class Step:
    """Some samples of neighbouring horizontal runs, whose patches are one view of the image and one batched product.

    The view is (run, image, line, column, row of taps, taps and channels of a row).
    """

    runs: slice
    samples: slice  # of the samples of each run; all of them, unless there is only one run
    weights: slice  # of the rows of the strip's weights
    shape: tuple[int, int, int, int, int, int]
    strides: tuple[int, int, int, int, int, int]
    start: int


@lru_cache(maxsize=64)
def steps(
    plan: Plan, batch: int, channels: int, per_image: int, per_line: int, most: int
) -> tuple[tuple[Step, ...], ...]:
    """The steps of every strip for an image with these strides, of at most ``most`` numbers where a line allows it."""
    vertical, horizontal = plan.vertical, plan.horizontal

    def step(down: Run, runs: range, shift: int, images: range, lines: range, starts: Sequence[int]) -> Step:
        across = horizontal.runs[runs.start]
        first = (images.start * vertical.count + lines.start) * horizontal.count
        start = images.start * per_image + (down.first - vertical.reach[0] + lines.start * vertical.advance) * per_line
        return Step(
            slice(runs.start, runs.stop),
            slice(first, first + len(images) * len(lines) * horizontal.count),
            slice(starts[runs.start] * channels, starts[runs.stop] * channels),
            (len(runs), len(images), len(lines), horizontal.count, len(down.slots), len(across.slots) * channels),
            (shift * channels, per_image, vertical.advance * per_line, horizontal.advance * channels, per_line, 1),
            start + (across.first - horizontal.reach[0]) * channels,
        )

    strips = []
    for down, of_filter in zip(vertical.runs, plan.strips, strict=True):
        strip: list[Step] = []
        for runs, shift in progressions(horizontal.runs):
            taps = len(down.slots) * len(horizontal.runs[runs.start].slots)
            per_column = max(horizontal.count * taps * channels, 1)  # numbers of one line
            together = min(most // (batch * vertical.count * per_column), len(runs))
            if together:
                for first in range(runs.start, runs.stop, together):
                    group = range(first, min(first + together, runs.stop))
                    strip.append(step(down, group, shift, range(batch), range(vertical.count), of_filter.starts))
            else:
                for run in runs:
                    for images, lines in blocks(batch, vertical.count, per_column, most):
                        strip.append(step(down, range(run, run + 1), shift, images, lines, of_filter.starts))
        strips.append(tuple(strip))
    return tuple(strips)


def progressions(runs: Sequence[Run]) -> Iterator[tuple[range, int]]:
    """Neighbours with equally many taps, each as far from the one before: (runs, shift)."""
    first = 0
    while first < len(runs):
        last, shift = first + 1, 0
        while last < len(runs) and len(runs[last].slots) == len(runs[first].slots):
            ahead = runs[last].first - runs[last - 1].first
            if last > first + 1 and ahead != shift:
                break
            last, shift = last + 1, ahead
        yield range(first, last), shift
        first = last


def blocks(batch: int, lines: int, per_line: int, most: int) -> Iterator[tuple[range, range]]:
    """(images, lines) that together are all lines of all images."""
    images = most // (lines * per_line)
    if images:
        for first in range(0, batch, images):
            yield range(first, min(first + images, batch)), range(lines)
        return
    step = max(1, most // per_line)
    for image in range(batch):
        for first in range(0, lines, step):
            yield range(image, image + 1), range(first, min(first + step, lines))
