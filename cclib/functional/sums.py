"""Sums over runs by the compiled kernels, and their gradients.

The image is packed, with the channels last and zeros about it; the weights of some vertical runs at a time stand in a
table, run after run, so that the taps of a line are neighbours. Seen from the inputs, the outputs that read them are
runs as well: the gradient of the image is the same sum on the other grid. No function here records gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from ctypes import c_int64
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.functional.kernels import (
    NARROW,
    SPARE,
    AxisOf,
    CopyOf,
    SumOf,
    WholeOf,
    axis_of,
    panels_of,
    run,
    scratch,
    threads_for,
)
from cclib.functional.sampling import memory_format
from cclib.geometry import Run, Runs

__all__ = ["Packed", "Reads", "Sizes", "all_of", "correlate", "filter_gradients", "packed", "reads_of", "tables"]

NEAR_BYTES = 320 * 2**10  # of images, that stay in the cache of a core while all that is asked of them is computed
FULL = 24  # samples that fill tiles of both widths
FEW_STRIPS = 2  # in which the image is packed anew for each
TABLE_NUMBERS = 2**18  # weights that are made at a time, where a vertical run allows it


@dataclass(frozen=True)
class Sizes:
    """Of the tensors of a sum: images, groups, and channels of each group."""

    batch: int
    groups: int
    inputs: int
    outputs: int

    @property
    def depthwise(self) -> bool:
        """Each output channel reads an input channel of its own: those are the lanes of vectors, and there is one
        group."""
        return self.groups > 1 and self.inputs == self.outputs == 1

    @property
    def adjoint(self) -> Sizes:
        """Those of the gradient of the image."""
        return Sizes(self.batch, self.groups, self.outputs, self.inputs)

    def panels(self, dtype: torch.dtype) -> tuple[int, int]:
        """Of all output channels: how many panels, and the width of each."""
        if self.depthwise:
            width = NARROW // dtype.itemsize
            return math.ceil(self.groups / width), width
        panels, width = panels_of(self.outputs, dtype)
        return self.groups * panels, width

    def numbers(self, dtype: torch.dtype) -> int:
        """Of a weight in a table."""
        return self.inputs * math.prod(self.panels(dtype))


@dataclass(frozen=True, eq=False)
class Reads:
    """What the samples of two axes read, and where the weights stand: by vertical and by horizontal run.

    Args:
        vertical, horizontal: the runs.
        slots: of both axes the places of their offsets in ``Taps.offsets``, run after run, as a table has them.
        rows, columns: the same for the kernels.
        corner: the line and the pixel of the image at which the packed one begins.
        size: lines and pixels of the packed image.
    """

    vertical: Runs
    horizontal: Runs
    slots: tuple[tuple[int, ...], tuple[int, ...]]
    rows: AxisOf
    columns: AxisOf
    corner: tuple[int, int]
    size: tuple[int, int]

    @property
    def samples(self) -> int:
        """The most of a pair of runs, of one image."""
        return self.vertical.count * self.horizontal.count

    def strips(self, numbers: int, of_table: int) -> Iterator[Strip]:
        """All vertical runs, as many at a time as have a table of so many numbers at most, ``numbers`` of each weight,
        but one at least."""
        most = of_table // max(numbers * len(self.slots[1]), 1)
        first, runs, place = 0, len(self.vertical.runs), self.rows.place
        for last in range(1, runs + 1):
            if last == runs or place[last + 1] - place[first] > most:
                yield Strip(first, last, slice(place[first], place[last]))
                first = last


@dataclass(frozen=True)
class Strip:
    """Neighbouring vertical runs, and the places of their weights."""

    first: int
    last: int
    places: slice


@lru_cache(maxsize=1024)
def reads_of(vertical: Runs, horizontal: Runs) -> Reads:
    """The layout of two axes."""
    rows, of_rows, top, lines = layout(vertical)
    columns, of_columns, left, pixels = layout(horizontal)
    return Reads(vertical, horizontal, (of_rows, of_columns), rows, columns, (top, left), (lines, pixels))


def layout(runs: Runs) -> tuple[AxisOf, tuple[int, ...], int, int]:
    """An axis for the kernels; the slots, run after run; the first pixel of the packed image and how many it has."""
    place: list[int] = [0]
    slots: list[int] = []
    for each in runs.runs:
        slots += each.slots
        place.append(len(slots))
    low, high = runs.reach
    axis = axis_of(runs.size, runs.advance, [each.first - low for each in runs.runs], place)
    return axis, tuple(slots), low, max(high - low + 1, 1)


@lru_cache(maxsize=1024)
def all_of(size: tuple[int, int]) -> Reads:
    """An image of this size, all of it and nothing about it."""
    vertical, horizontal = (Runs(side, 1, (Run(0, (0,)),)) for side in size)
    return reads_of(vertical, horizontal)


@lru_cache(maxsize=1024)
def neighbours(size: int, taps: int = 1) -> AxisOf:
    """An axis each of whose samples reads so many from its own on."""
    return axis_of(size, 1, [0], [0, taps])


def arranged(coefficients: Tensor, sizes: Sizes) -> Tensor:
    """(features, out, in / groups) -> (panels, in / groups, features, width), zero where the last panel is wider."""
    features = len(coefficients)
    panels, width = sizes.panels(coefficients.dtype)
    by_group = coefficients.resolve_neg().view(features, 1 if sizes.depthwise else sizes.groups, -1, sizes.inputs)
    filled = F.pad(by_group, (0, 0, 0, panels * width // by_group.shape[1] - by_group.shape[2]))
    return filled.view(features, panels, width, sizes.inputs).permute(1, 3, 0, 2).contiguous()


def rearranged(matrices: Tensor, sizes: Sizes) -> Tensor:
    """The way back."""
    features = matrices.shape[2]
    by_group = matrices.permute(2, 0, 3, 1).reshape(features, 1 if sizes.depthwise else sizes.groups, -1, sizes.inputs)
    kept = by_group[:, :, : sizes.groups if sizes.depthwise else sizes.outputs]
    return kept.reshape(features, sizes.groups * sizes.outputs, sizes.inputs)


def tables(functions: Tensor, coefficients: Tensor, reads: Reads, sizes: Sizes) -> Iterator[Tensor]:
    """The weights of each strip, (panels, vertical places * horizontal places, in / groups * width), of the type of
    ``functions``, which is that of the image. The next one is written over it.

    ``functions`` (vertical offsets, horizontal offsets, features), ``coefficients`` (features, out, in / groups).
    """
    dtype = functions.dtype
    functions, matrices = functions.resolve_neg(), arranged(coefficients.to(dtype), sizes)
    panels, inputs, _, width = matrices.shape
    rows, columns = (
        torch.tensor(slots, dtype=torch.long, device="cpu") if slots != tuple(range(count)) else None
        for slots, count in zip(reads.slots, functions.shape, strict=False)
    )
    functions = functions if rows is None else functions.index_select(0, rows)
    functions = functions if columns is None else functions.index_select(1, columns)
    functions = functions.contiguous()
    for strip in reads.strips(sizes.numbers(dtype), TABLE_NUMBERS):
        first = functions[strip.places].flatten(0, 1)
        table = scratch("table", panels * len(first) * inputs * width, dtype)
        table = table.view(panels, len(first), inputs * width)
        for panel, part in zip(matrices, table, strict=True):
            run("correlate", dtype, threads_for(part.numel() * panel.shape[1]), product_of(first, panel, part))
        yield table


def product_of(first: Tensor, second: Tensor, result: Tensor) -> SumOf:
    """The matrix (rows, numbers) times (panels, numbers, width), a convolution of single pixels: (rows, panels *
    width). Its gradient is that of the second."""
    rows, numbers = first.shape
    width = second.shape[2]
    return SumOf(
        *(neighbours(1), neighbours(rows), 1, 1, 1, rows, numbers, 1, numbers, result.shape[1], width, 0, 0, 1),
        *(first.data_ptr(), second.data_ptr(), None, result.data_ptr(), (c_int64 * 3)(0, 0, result.shape[1])),
    )


@dataclass(frozen=True, eq=False)
class Packed:
    """An image as it is read: (batch, lines, pixels, channels), one number after the other, and some more."""

    numbers: Tensor
    reads: Reads
    channels: int

    @property
    def first(self) -> int:
        """Where pixel (0, 0) of the image is in memory."""
        pixels = self.reads.corner[0] * self.reads.size[1] + self.reads.corner[1]
        return self.numbers.data_ptr() - pixels * self.channels * self.numbers.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """Of images, lines and pixels."""
        return strides_of(self.reads.size, self.channels)


def strides_of(size: tuple[int, int], channels: int) -> tuple[int, ...]:
    """Of images, lines and pixels, where the channels are last."""
    return size[0] * size[1] * channels, size[1] * channels, channels


def packed(source: Tensor, reads: Reads, name: str) -> Packed:
    """``source`` (batch, channels, height, width) as far as it is read, until another one is packed by this name."""
    numbers = scratch(name, source.shape[0] * source.shape[1] * math.prod(reads.size) + SPARE, source.dtype)
    numbers[-SPARE:] = 0
    source = with_neighbours(source)
    given = copy_of(source.shape, source.stride(), reads)
    given.image, given.to = source.data_ptr(), numbers.data_ptr()
    run("pack", source.dtype, threads_for(16 * numbers.numel()), given)
    return Packed(numbers, reads, source.shape[1])


def with_neighbours(source: Tensor) -> Tensor:
    """The same image, whose columns or channels are neighbours in memory."""
    source = source.resolve_neg()
    return source if source.stride(1) == 1 or source.stride(3) == 1 else source.contiguous()


def copy_of(shape: Sequence[int], strides: Sequence[int], reads: Reads) -> CopyOf:
    """To pack an image of this shape and these strides."""
    return CopyOf(None, None, (c_int64 * 4)(*strides), *shape, *reads.size, -reads.corner[0], -reads.corner[1])


def sum_of(reads: Reads, sizes: Sizes, strip: Strip, images: int, dtype: torch.dtype, strides: Sequence[int]) -> SumOf:
    """Of so many images at a time, to or from an output with these ``strides_of``."""
    depthwise = sizes.depthwise
    groups, outputs = (1, sizes.groups) if depthwise else (sizes.groups, sizes.outputs)
    return SumOf(
        *(reads.rows, reads.columns, sizes.batch, images, *reads.size, sizes.groups * sizes.inputs, groups),
        *(sizes.inputs, outputs, sizes.panels(dtype)[1], depthwise, strip.first, strip.last),
        *(None, None, None, None, (c_int64 * 3)(*strides)),
    )


def images_at_a_time(numbers: int, samples: int, batch: int, dtype: torch.dtype) -> int:
    """As many as stay in the cache, of so many numbers each, but enough of them to fill the tiles, with so many samples
    of a pair of runs in each."""
    fit = NEAR_BYTES // dtype.itemsize // numbers
    return min(max(fit, math.ceil(FULL / samples)), batch)


def correlate(x: Tensor, tables: Iterable[Tensor], bias: Tensor | None, reads: Reads, sizes: Sizes) -> Tensor:
    """The sums over the image x, (batch, out, *sizes of the runs), in its memory format."""
    y = torch.empty(shape_of(reads, sizes), dtype=x.dtype, device=x.device, memory_format=memory_format(x))
    x, bias = with_neighbours(x), None if bias is None else bias.resolve_neg().contiguous()
    known = reads, sizes, tuple(x.shape), x.stride(), y.stride(), x.dtype
    pieces = pieces_of(*known, torch.get_num_threads(), TABLE_NUMBERS)
    if pieces is None:
        return y.copy_(packed_once(x, tables, bias, reads, sizes))
    for strip, table in zip(pieces.strips, tables, strict=True):
        given = WholeOf.from_buffer_copy(strip.given)  # points to numbers that `pieces` holds
        rooms = scratch("rooms", strip.parts * given.room, x.dtype)
        given.source.image, given.rooms = x.data_ptr(), rooms.data_ptr()
        given.sum.table, given.sum.y = table.data_ptr(), y.data_ptr()
        if bias is not None:
            given.sum.bias = bias.data_ptr()
        if pieces.back:
            given.back.to = y.data_ptr()
        run("convolve", x.dtype, strip.parts, given)
    return y


def shape_of(reads: Reads, sizes: Sizes) -> tuple[int, int, int, int]:
    """Of the output."""
    return sizes.batch, sizes.groups * sizes.outputs, reads.vertical.size, reads.horizontal.size


@dataclass(frozen=True)
class StripOf:
    """What the kernel is given for a strip, but for places in memory; and on how many threads."""

    given: WholeOf
    parts: int


@dataclass(frozen=True)
class Pieces:
    """How a sum is done; ``back``: first with the channels last, then copied to an output that has not."""

    strips: tuple[StripOf, ...]
    back: bool


@lru_cache(maxsize=1024)
def pieces_of(
    reads: Reads,
    sizes: Sizes,
    shape: tuple[int, ...],
    of_x: tuple[int, ...],
    of_y: tuple[int, ...],
    dtype: torch.dtype,
    threads: int,
    of_table: int,
) -> Pieces | None:
    """The pieces of a sum of an image of this shape with strides ``of_x``, to an output with strides ``of_y``; None
    where the weights come in so many strips that the image is packed once for all."""
    strips = [*reads.strips(sizes.numbers(dtype), of_table)]
    if len(strips) > FEW_STRIPS:
        return None
    _, channels, height, width = shape_of(reads, sizes)
    back = channels > 1 and height * width > 1 and of_y[1] != 1
    numbers = math.prod(reads.size) * shape[1] + back * channels * height * width
    images = images_at_a_time(numbers, reads.samples, sizes.batch, dtype)
    parts = [threads_for(work_of(reads, sizes, strip, dtype), threads) for strip in strips]
    rounds = math.ceil(sizes.batch / images / max(parts))
    images = math.ceil(sizes.batch / rounds / max(parts))  # as many pieces for each thread
    most = samples = reads.vertical.count  # of a vertical run
    if images == 1 and reads.slots[0]:
        samples = min(max(most * NEAR_BYTES // dtype.itemsize // numbers, 1), most)  # an image may be large
        if sizes.batch < max(parts):  # or threads would have nothing to do
            samples = min(samples, math.ceil(most * sizes.batch / max(parts)))
    count = math.ceil(sizes.batch / images) * math.ceil(most / samples)
    lines = reads.size[0] - (most - samples) * reads.vertical.advance
    of_output = back * samples * len(reads.vertical.runs) * width * channels
    room = images * (lines * reads.size[1] * shape[1] + of_output) + SPARE
    source, target = copy_of(shape, of_x, reads), CopyOf(None, None, (c_int64 * 4)(*of_y))
    found = []
    for strip, wanted in zip(strips, parts, strict=True):
        of = sum_of(reads, sizes, strip, images, dtype, strides_of((height, width), channels))
        found.append(StripOf(WholeOf(of, source, target, samples, room, None), min(wanted, count)))
    return Pieces(tuple(found), back)


def work_of(reads: Reads, sizes: Sizes, strip: Strip, dtype: torch.dtype) -> int:
    """About the multiply-adds of a strip."""
    places = int(strip.places.stop - strip.places.start) * len(reads.slots[1])
    return sizes.batch * reads.samples * places * sizes.numbers(dtype)


def packed_once(x: Tensor, tables: Iterable[Tensor], bias: Tensor | None, reads: Reads, sizes: Sizes) -> Tensor:
    """The same with all of the image packed first, until the next call."""
    image = packed(x, reads, "image")
    batch, channels, height, width = shape_of(reads, sizes)
    y = scratch("output", batch * channels * height * width, x.dtype)
    for strip, table in zip(reads.strips(sizes.numbers(x.dtype), TABLE_NUMBERS), tables, strict=True):
        given = sum_of(reads, sizes, strip, batch, x.dtype, strides_of((height, width), channels))
        given.image, given.table, given.y = image.numbers.data_ptr(), table.data_ptr(), y.data_ptr()
        given.bias = None if bias is None else bias.data_ptr()
        run("correlate", x.dtype, threads_for(work_of(reads, sizes, strip, x.dtype)), given)
    return y.view(batch, height, width, channels).permute(0, 3, 1, 2)


def filter_gradients(
    image: Packed, gradient: Packed, functions: Tensor, coefficients: Tensor, sizes: Sizes
) -> tuple[Tensor, Tensor]:
    """The gradients of functions and coefficients, where ``gradient`` is that of the output."""
    dtype, reads = functions.dtype, image.reads  # that of the image, too
    matrices = arranged(coefficients.to(dtype), sizes)
    panels, inputs, features, width = matrices.shape
    functions = with_spare(functions)
    of_functions, of_matrices = torch.empty_like(functions), torch.zeros_like(matrices)
    turned = by_features(matrices)
    images = images_at_a_time(image.strides[0] + gradient.strides[0], reads.samples, sizes.batch, dtype)
    for strip in reads.strips(sizes.numbers(dtype), TABLE_NUMBERS):
        first, of_first = functions[strip.places].flatten(0, 1), of_functions[strip.places].flatten(0, 1)
        rows = len(first)
        table = scratch("table", panels * rows * inputs * width, dtype).view(panels, rows, inputs * width).zero_()
        given = sum_of(reads, sizes, strip, images, dtype, gradient.strides)
        given.image, given.table, given.y = image.numbers.data_ptr(), table.data_ptr(), gradient.first
        run("gradient", dtype, threads_for(work_of(reads, sizes, strip, dtype)), given)
        contract = SumOf(  # over panels, numbers of panels, and lanes: a convolution of columns
            *(neighbours(1, panels), neighbours(rows), 1, 1, panels, rows, inputs * width, 1, inputs * width, features),
            *(turned.shape[2], 0, 0, 1),
            *(table.data_ptr(), turned.data_ptr(), None, of_first.data_ptr(), (c_int64 * 3)(0, 0, features)),
        )
        run("correlate", dtype, threads_for(table.numel() * features), contract)
        for panel, part in zip(of_matrices, table, strict=True):
            of_panel = panel if strip.first == 0 else torch.zeros_like(panel)
            run("gradient", dtype, threads_for(part.numel() * features), product_of(first, of_panel, part))
            if strip.first:
                panel += of_panel
    return of_functions, rearranged(of_matrices, sizes).to(coefficients.dtype)


def with_spare(functions: Tensor) -> Tensor:
    """The same, contiguous, and with some numbers more behind it, which a tile may read."""
    held = scratch("functions", functions.numel() + SPARE, functions.dtype)
    held[-SPARE:] = 0
    return held[:-SPARE].view(functions.shape).copy_(functions)


def by_features(matrices: Tensor) -> Tensor:
    """(panels, in, features, width) -> (panels of features, panels * in * width, width of features)."""
    features = matrices.shape[2]
    panels, width = panels_of(features, matrices.dtype)
    filled = F.pad(matrices.mT, (0, panels * width - features))
    return filled.reshape(-1, panels, width).transpose(0, 1).contiguous()
