"""Sums over runs by the compiled kernels, and their gradients.

The image is packed, with the channels last and zeros about it; the weights stand in a table, run after run, so that the
taps of a line are neighbours, or are made for one pair of runs at a time where they are many. Seen from the inputs, the
outputs that read them are runs as well: the gradient of the image is the same sum on the other grid. No function here
records gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from ctypes import c_int64
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cclib.functional import kernels
from cclib.functional.kernels import (
    NARROW,
    SPARE,
    AxisOf,
    CopyOf,
    FilterGradientOf,
    FilterOf,
    MadeOf,
    SumOf,
    WholeOf,
    axis_of,
    call,
    panels_of,
    run,
    scratch,
    threads_for,
)
from cclib.functional.sampling import memory_format
from cclib.geometry import Run, Runs

__all__ = ["Reads", "Sizes", "all_of", "correlate", "filter_gradients", "made_by_pairs", "reads_of", "weights_of"]

NEAR_BYTES = 320 * 2**10  # of images, that stay in the cache of a core while all that is asked of them is computed
FULL = 24  # samples that fill tiles of both widths
TABLE_NUMBERS = 2**18  # of weights at a time, where that is a vertical run at least; fixed, since it decides the bits
FEW_PAIRS = 16  # fewer would leave threads with nothing to do


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

    @property
    def pairs(self) -> int:
        """Of a vertical and a horizontal run."""
        return len(self.vertical.runs) * len(self.horizontal.runs)

    @property
    def places(self) -> int:
        """Of weights, for all pairs together."""
        return len(self.slots[0]) * len(self.slots[1])

    @property
    def most(self) -> tuple[int, int]:
        """The most places of a vertical run, and of a horizontal one."""
        vertical, horizontal = (
            max((len(run.slots) for run in axis.runs), default=0) for axis in (self.vertical, self.horizontal)
        )
        return vertical, horizontal


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


@lru_cache(maxsize=1024)
def filter_of(
    reads: Reads, sizes: Sizes, functions: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype
) -> FilterOf:
    """A filter with functions of this shape and coefficients (features, out, in / groups) with these strides, but for
    its tensors."""
    *offsets, features = functions
    panels, width = sizes.panels(dtype)
    groups, outputs = (1, sizes.groups) if sizes.depthwise else (sizes.groups, sizes.outputs)
    places = (c_int64 * 2)(*map(len, reads.slots))
    given = FilterOf(
        features, groups, outputs, sizes.inputs, panels, width, (c_int64 * 3)(*strides), places, offsets[1]
    )
    for axis, (slots, count) in enumerate(zip(reads.slots, offsets, strict=True)):
        if slots != tuple(range(count)):
            given.slots[axis] = (c_int64 * len(slots))(*slots)
    given.product = product(reads.places, features, sizes.inputs, width)
    return given


def filled(template: FilterOf, functions: Tensor, coefficients: Tensor) -> FilterOf:
    """The same filter with these tensors."""
    given = FilterOf.from_buffer_copy(template)
    given.functions, given.coefficients = functions.data_ptr(), coefficients.data_ptr()
    given.threads, given.least = torch.get_num_threads(), kernels.LEAST_WORK
    return given


def weights_of(functions: Tensor, coefficients: Tensor, reads: Reads, sizes: Sizes) -> list[Tensor]:
    """What ``correlate`` takes of a filter, of the type of ``functions``, which is that of the image: a table of
    weights, (panels, vertical places, horizontal places, in / groups * width), which the next call may write over; or,
    where they are made pair by pair of runs, the functions (vertical places, horizontal places, features) and the
    matrices (panels, in / groups, features, width).

    ``functions`` (vertical offsets, horizontal offsets, features), ``coefficients`` (features, out, in / groups).
    """
    dtype = functions.dtype
    functions, coefficients = functions.resolve_neg().contiguous(), coefficients.to(dtype).resolve_neg()
    template = filter_of(reads, sizes, tuple(functions.shape), coefficients.stride(), dtype)
    given = filled(template, functions, coefficients)
    (panels, width), features = sizes.panels(dtype), len(coefficients)
    rows, columns = map(len, reads.slots)
    of_functions, of_matrices = (rows, columns, features), (panels, sizes.inputs, features, width)
    as_they_are = not any(given.slots)
    by_pairs = made_by_pairs(reads.pairs, reads.places * sizes.numbers(dtype))
    numbers = math.prod(of_functions) + SPARE
    if by_pairs:  # both are kept
        taken = functions if as_they_are else functions.new_empty(numbers)[:-SPARE].view(of_functions)
        matrices = functions.new_empty(of_matrices)
        weights = [taken, matrices]
    else:
        taken = functions if as_they_are else scratch("functions", numbers, dtype)
        matrices = scratch("matrices", math.prod(of_matrices), dtype)
        table = scratch("table", reads.places * sizes.numbers(dtype), dtype)
        given.table = table.data_ptr()
        weights = [table.view(panels, rows, columns, sizes.inputs * width)]
    given.taken, given.matrices = taken.data_ptr(), matrices.data_ptr()
    call("weigh", dtype, given)
    return weights


def made_by_pairs(pairs: int, numbers: int) -> bool:
    """Whether so many numbers of weights are made for one of so many pairs of runs at a time."""
    return pairs >= FEW_PAIRS and numbers > TABLE_NUMBERS


def product(rows: int, numbers: int, panels: int, width: int) -> SumOf:
    """The matrix (rows, numbers) times (panels, numbers, width), a convolution of single pixels: (rows, panels *
    width). Its gradient is that of the second."""
    outputs = panels * width
    of_pixels = neighbours(1), neighbours(rows), 1, 1, 1, rows, numbers
    return SumOf(*of_pixels, 1, numbers, outputs, width, 0, None, None, None, None, (c_int64 * 3)(0, 0, outputs))


def contraction(rows: int, panels: int, numbers: int, features: int, dtype: torch.dtype) -> SumOf:
    """The table (panels, rows, numbers) times (panels, numbers, features), summed over all but the features, a
    convolution of columns: (rows, features)."""
    of_columns = neighbours(1, panels), neighbours(rows), 1, 1, panels, rows, numbers
    of_features = 1, numbers, features, panels_of(features, dtype)[1]
    return SumOf(*of_columns, *of_features, 0, None, None, None, None, (c_int64 * 3)(0, 0, features))


def strides_of(size: tuple[int, int], channels: int) -> tuple[int, ...]:
    """Of images, lines and pixels, where the channels are last."""
    return size[0] * size[1] * channels, size[1] * channels, channels


def packed(source: Tensor, reads: Reads, name: str) -> Tensor:
    """``source`` (batch, channels, height, width) as far as it is read, (batch, lines, pixels, channels) one number
    after the other and some more, until another one is packed by this name."""
    numbers = scratch(name, source.shape[0] * source.shape[1] * math.prod(reads.size) + SPARE, source.dtype)
    source = with_neighbours(source)
    given = copy_of(source.shape, source.stride(), reads)
    given.image, given.to = source.data_ptr(), numbers.data_ptr()
    run("pack", source.dtype, threads_for(16 * numbers.numel()), given)
    return numbers


def with_neighbours(source: Tensor) -> Tensor:
    """The same image, whose columns or channels are neighbours in memory."""
    source = source.resolve_neg()
    return source if source.stride(1) == 1 or source.stride(3) == 1 else source.contiguous()


def copy_of(shape: Sequence[int], strides: Sequence[int], reads: Reads) -> CopyOf:
    """To pack an image of this shape and these strides."""
    return CopyOf(None, None, (c_int64 * 4)(*strides), *shape, *reads.size, -reads.corner[0], -reads.corner[1])


def sum_of(reads: Reads, sizes: Sizes, images: int, dtype: torch.dtype, strides: Sequence[int]) -> SumOf:
    """Of so many images at a time, to or from an output with these ``strides_of``."""
    depthwise = sizes.depthwise
    groups, outputs = (1, sizes.groups) if depthwise else (sizes.groups, sizes.outputs)
    return SumOf(
        *(reads.rows, reads.columns, sizes.batch, images, *reads.size, sizes.groups * sizes.inputs, groups),
        *(sizes.inputs, outputs, sizes.panels(dtype)[1], depthwise),
        *(None, None, None, None, (c_int64 * 3)(*strides)),
    )


def images_at_a_time(numbers: int, samples: int, batch: int, dtype: torch.dtype) -> int:
    """As many as stay in the cache, of so many numbers each, but enough of them to fill the tiles, with so many samples
    of a pair of runs in each."""
    fit = NEAR_BYTES // dtype.itemsize // numbers
    return min(max(fit, math.ceil(FULL / samples)), batch)


def correlate(x: Tensor, weights: Sequence[Tensor], bias: Tensor | None, reads: Reads, sizes: Sizes) -> Tensor:
    """The sums over the image x, (batch, out, *sizes of the runs), in its memory format."""
    y = torch.empty(shape_of(reads, sizes), dtype=x.dtype, device=x.device, memory_format=memory_format(x))
    x, bias = with_neighbours(x), None if bias is None else bias.resolve_neg().contiguous()
    if len(weights) > 1:
        functions, matrices = weights
        by_pairs(x, functions, matrices, bias, y, reads, sizes)
        return y
    pieces = pieces_of(reads, sizes, tuple(x.shape), x.stride(), y.stride(), x.dtype, torch.get_num_threads())
    given = WholeOf.from_buffer_copy(pieces.given)  # points to numbers that `pieces` holds
    rooms = scratch("rooms", pieces.parts * given.room, x.dtype)
    given.source.image, given.rooms = x.data_ptr(), rooms.data_ptr()
    given.sum.table, given.sum.y = weights[0].data_ptr(), y.data_ptr()
    if bias is not None:
        given.sum.bias = bias.data_ptr()
    if pieces.back:
        given.back.to = y.data_ptr()
    run("convolve", x.dtype, pieces.parts, given)
    return y


def shape_of(reads: Reads, sizes: Sizes) -> tuple[int, int, int, int]:
    """Of the output."""
    return sizes.batch, sizes.groups * sizes.outputs, reads.vertical.size, reads.horizontal.size


@dataclass(frozen=True)
class Pieces:
    """How a sum is done: what the kernel is given, but for places in memory, and on how many threads; ``back``: first
    with the channels last, then copied to an output that has not."""

    given: WholeOf
    parts: int
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
) -> Pieces:
    """The pieces of a sum of an image of this shape with strides ``of_x``, to an output with strides ``of_y``."""
    _, channels, height, width = shape_of(reads, sizes)
    back = is_turned(shape_of(reads, sizes), of_y)
    numbers = math.prod(reads.size) * shape[1] + back * channels * height * width
    images = images_at_a_time(numbers, reads.samples, sizes.batch, dtype)
    parts = threads_for(work_of(reads, sizes, dtype), threads)
    images = math.ceil(sizes.batch / math.ceil(sizes.batch / images / parts) / parts)  # as many pieces for each thread
    most = samples = reads.vertical.count  # of a vertical run
    if images == 1 and reads.slots[0]:
        samples = min(max(most * NEAR_BYTES // dtype.itemsize // numbers, 1), most)  # an image may be large
        if sizes.batch < parts:  # or threads would have nothing to do
            samples = min(samples, math.ceil(most * sizes.batch / parts))
    count = math.ceil(sizes.batch / images) * math.ceil(most / samples)
    lines = reads.size[0] - (most - samples) * reads.vertical.advance
    of_output = back * samples * len(reads.vertical.runs) * width * channels
    room = images * (lines * reads.size[1] * shape[1] + of_output) + SPARE
    source, target = copy_of(shape, of_x, reads), CopyOf(None, None, (c_int64 * 4)(*of_y))
    of = sum_of(reads, sizes, images, dtype, strides_of((height, width), channels))
    return Pieces(WholeOf(of, source, target, samples, room, None), min(parts, count), back)


def work_of(reads: Reads, sizes: Sizes, dtype: torch.dtype) -> int:
    """About the multiply-adds of a sum."""
    return sizes.batch * reads.samples * reads.places * sizes.numbers(dtype)


def made_of(reads: Reads, sizes: Sizes, features: int, dtype: torch.dtype) -> MadeOf:
    """A sum whose weights are made pair by pair of runs, but for its tensors."""
    panels, width = sizes.panels(dtype)
    most = math.prod(reads.most)
    of_output = strides_of((reads.vertical.size, reads.horizontal.size), sizes.groups * sizes.outputs)
    return MadeOf(
        sum_of(reads, sizes, sizes.batch, dtype, of_output),
        product(most, features, sizes.inputs, width),
        *(panels, features, most, most * (features + sizes.numbers(dtype)) + SPARE),
    )


def by_pairs(
    x: Tensor, functions: Tensor, matrices: Tensor, bias: Tensor | None, y: Tensor, reads: Reads, sizes: Sizes
) -> None:
    """The same with weights that are made pair by pair of runs, to y."""
    image, dtype = packed(x, reads, "image"), x.dtype
    back = is_turned(y.shape, y.stride())
    channels_last = scratch("output", y.numel(), dtype) if back else y
    given = made_of(reads, sizes, functions.shape[2], dtype)
    given.functions, given.matrices = functions.data_ptr(), matrices.data_ptr()
    given.sum.image, given.sum.y = image.data_ptr(), channels_last.data_ptr()
    given.sum.bias = None if bias is None else bias.data_ptr()
    parts = min(threads_for(work_of(reads, sizes, dtype)), reads.pairs)
    rooms = scratch("rooms", parts * given.room, dtype)
    given.rooms = rooms.data_ptr()
    run("make", dtype, parts, given)
    if back:
        turned = CopyOf(channels_last.data_ptr(), y.data_ptr(), (c_int64 * 4)(*y.stride()), *y.shape, 0, 0, 0, 0)
        run("unpack", dtype, threads_for(16 * y.numel()), turned)


def is_turned(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether an image has not its channels last in memory."""
    _, channels, height, width = shape
    return channels > 1 and height * width > 1 and strides[1] != 1


@dataclass(frozen=True, eq=False)
class GradientPlan:
    """How the gradient of a filter is computed: what the kernel is given, but for places in memory, and how many
    numbers the packed images take and the parts of a room for the filter."""

    given: FilterGradientOf
    images: tuple[int, int]
    of_filter: tuple[int, ...]


@lru_cache(maxsize=1024)
def gradient_plan(
    reads: Reads,
    sizes: Sizes,
    functions: tuple[int, ...],
    strides: tuple[int, ...],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    of_images: tuple[tuple[int, ...], tuple[int, ...]],
    dtype: torch.dtype,
    of_table: int,
) -> GradientPlan:
    """For an image and the gradient of an output of these ``shapes`` and strides, and a filter with functions of this
    shape and coefficients of these strides, with a table of so many numbers at a time."""
    size, features, of_weight = (shapes[1][2], shapes[1][3]), functions[2], sizes.numbers(dtype)
    of_image, of_output = shapes[0][1] * math.prod(reads.size), math.prod(shapes[1][1:])
    images = images_at_a_time(of_image + of_output, reads.samples, sizes.batch, dtype)
    panels, width = sizes.panels(dtype)
    turned, width_of_features = panels_of(features, dtype)
    across = len(reads.slots[1])
    lines = of_table // max(of_weight * across, 1)
    given = FilterGradientOf(
        copy_of(shapes[0], of_images[0], reads),
        copy_of(shapes[1], of_images[1], all_of(size)),
        filter_of(reads, sizes, functions, strides, dtype),
        sum_of(reads, sizes, images, dtype, strides_of(size, shapes[1][1])),
        contraction(reads.places, panels, sizes.inputs * width, features, dtype),
        *(
            sizes.batch * reads.samples,
            lines,
            (c_int64 * 3)(sizes.groups * sizes.outputs * sizes.inputs, sizes.inputs, 1),
        ),
    )
    held = min(max(lines, reads.most[0]), len(reads.slots[0])) * across
    of_filter = (
        reads.places * features + SPARE,  # the functions
        of_weight * features,  # the matrices
        of_weight * turned * width_of_features,  # the same for the contraction
        2 * of_weight * features,  # their gradients
        held * of_weight + SPARE,  # that of the table
    )
    return GradientPlan(given, (sizes.batch * of_image + SPARE, sizes.batch * of_output + SPARE), of_filter)


def filter_gradients(
    x: Tensor, gradient: Tensor, functions: Tensor, coefficients: Tensor, reads: Reads, sizes: Sizes
) -> tuple[Tensor, Tensor]:
    """The gradients of functions and coefficients, where ``gradient`` is that of the output."""
    dtype = functions.dtype  # that of the image, too
    x, gradient = with_neighbours(x), with_neighbours(gradient)
    functions, matrices = functions.resolve_neg().contiguous(), coefficients.to(dtype).resolve_neg()
    shapes, of_images = (tuple(x.shape), tuple(gradient.shape)), (x.stride(), gradient.stride())
    of_filter = tuple(functions.shape), matrices.stride()
    plan = gradient_plan(reads, sizes, *of_filter, shapes, of_images, dtype, TABLE_NUMBERS)
    of_functions, of_coefficients = torch.empty_like(functions), torch.empty(coefficients.shape, dtype=dtype)
    image, output = (scratch(*each, dtype) for each in zip(("image", "gradient"), plan.images, strict=True))
    room = scratch("filter", sum(plan.of_filter), dtype)
    taken, arranged, turned, of_matrices, table = (part.data_ptr() for part in room.split(plan.of_filter))
    given = FilterGradientOf.from_buffer_copy(plan.given)  # points to numbers that `plan` holds
    given.image.image, given.image.to = x.data_ptr(), image.data_ptr()
    given.output.image, given.output.to = gradient.data_ptr(), output.data_ptr()
    given.filter = filled(given.filter, functions, matrices)
    given.filter.taken, given.filter.matrices, given.filter.table = taken, arranged, table
    given.sum.image, given.sum.table, given.sum.y = image.data_ptr(), table, output.data_ptr()
    given.contraction.image, given.contraction.table = table, turned
    given.turned, given.of_matrices = turned, of_matrices
    given.of_functions, given.of_coefficients = of_functions.data_ptr(), of_coefficients.data_ptr()
    call("unweigh", dtype, given)
    return of_functions, of_coefficients.to(coefficients.dtype)
