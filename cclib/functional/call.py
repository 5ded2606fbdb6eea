"""The public function ``cc_conv2d``, its checks, where the geometry is resolved, and the call of the sum."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.arguments import Array, Number, Scale, Size, Start, as_choice, as_fraction, as_pair, as_size
from cclib.filters.base import Filter
from cclib.functional.cache import needs_gradient, remembered
from cclib.functional.choice import check_memory
from cclib.functional.composed import contract
from cclib.functional.derivatives import are_plain, transformed
from cclib.functional.implementations import OPERATORS
from cclib.functional.operator import continuous_convolution, picked
from cclib.functional.problem import Problem, problem_of, windows_of
from cclib.functional.reference import reference
from cclib.functional.sampling import extend, memory_format, result_dtype, sample
from cclib.functional.state import state_of
from cclib.functional.tables import PADDING_MODES, padded_axis
from cclib.geometry import Axis, DiscreteAxis, Window, layer_axes
from cclib.graphs import constant, fixed

__all__ = ["CHOICES", "FLOATS", "IMPLEMENTATIONS", "Place", "cc_conv2d", "check_input", "convolve", "place"]

IMPLEMENTATIONS = ("reference", *OPERATORS)

CHOICES = ("auto", *IMPLEMENTATIONS)

MOST_SKIPPED = 1024  # outputs at one end of an axis that are looked at one by one


def cc_conv2d(
    x: Tensor,
    filter: Filter,
    bias: Tensor | None = None,
    *,
    scale: Scale | None = None,
    size: Size | None = None,
    start: Start | None = None,
    groups: int = 1,
    padding_mode: str = "zeros",
    stretch: bool = False,
    unit: Scale = 1,
    implementation: str = "auto",
) -> Tensor:
    """Convolve an image with a continuous filter and sample the result on a grid of any size.

    1. Place the output grid on the input: output o falls at ``start + o / scale`` on each axis, in input pixels.
    2. Take the input pixels (taps) in the filter's support about each output position; outside the image
       ``padding_mode`` decides.
    3. Evaluate the filter at (tap − position) / unit.
    4. Sum taps times weights over taps and channels (cross-correlation: nothing is flipped), and add the bias.

    Args:
        x: (batch, in_channels, height, width), or (in_channels, height, width).
        filter: the continuous filter; its weights are (out_channels, in_channels / groups) matrices.
        bias: (out_channels,) or None.
        scale: output size over input size, a number (int, float, ``Fraction``) or a pair (height, width). Alone, the
            output size is ceil(input size * scale). Default: size over input size where a size is given, else 1.
        size: output size, an integer or a pair.
        start: position of output 0 in input pixels, a number or a pair. Default: the centres of both grids coincide.
        groups: as in ``Conv2d``.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        stretch: anti-aliasing. On an axis with scale < 1 the support grows by 1 / scale and the filter is read at
            scale * offset; the taps of each output are divided by the sum of ``filter.mass`` over them (a classical
            filter's then sum to one).
        unit: length of the filter's unit in input pixels, a number (int, float, ``Fraction``) or a pair (height,
            width). The support is unit times the filter's, and the filter is read at offset / unit. The sum of
            ``filter.mass`` over the taps of each output is made what it is at unit 1, so that a constant image gives
            about the same at every unit; exactly so with a classical filter, or with ``partition_of_unity``. It must
            be 1 with ``stretch``, which is a unit of max(1, 1 / scale) where the mass is made one. A unit < 1 has
            fewer taps: with a support under two pixels an output may read just one pixel of an axis, whatever the
            filter's shape, with one under a pixel none (it is the bias), and a classical kernel at its zeros alone.
        implementation: "auto", "reference", "phases" or "basis"; ``explain`` says which of the last two "auto" picks.

    Returns:
        (batch, out_channels, *size), without batch where x has none.

    Raises:
        ValueError, TypeError: an argument breaks its rule; the message names it, its value and the rule.
        ValueError: the call would need very much more memory than input and output.

    Source: Shocher et al., From Discrete to Continuous Convolution Layers, arXiv 2006.11120.

    Example:
        >>> from cclib.filters import ClassicalFilter
        >>> x = torch.arange(4.0).reshape(1, 1, 1, 4)
        >>> cc_conv2d(x, ClassicalFilter("linear", 1), size=(1, 2), stretch=True, padding_mode="replicate")
        tensor([[[[0.6250, 2.3750]]]])
    """
    check_input(x, filter, bias, groups, padding_mode)
    where = place(x, filter, scale, size, start, groups, padding_mode, stretch, unit)
    return convolve(x, filter, bias, where, implementation)


FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)  # in which torch computes


class Place(NamedTuple):
    """Where the outputs of a call fall, and what is left to sum when padding and what lies out of reach are dealt with.

    Args:
        key: of the problem that is left.
        groups: of the call.
        rows, columns: the tables by which the image is extended before, or "" where it is not.
        extended: the size of the image then.
        silent: how many outputs read nothing and are not computed, (left, right, above, below).
        size: of the output that is computed.
        reads: whether any output reads anything.
    """

    key: str
    groups: int
    rows: str
    columns: str
    extended: tuple[int, int]
    silent: tuple[int, int, int, int]
    size: tuple[int, int]
    reads: bool


def place(
    x: Tensor,
    filter: Filter,
    scale: Scale | None,
    size: Size | None,
    start: Start | None,
    groups: int,
    padding_mode: str,
    stretch: bool,
    unit: Scale = 1,
    own_scale: Scale | None = None,
    discrete: tuple[DiscreteAxis, DiscreteAxis] | None = None,
) -> Place:
    """Where the outputs fall for an image x; ``own_scale`` and ``discrete`` as in ``layer_axes``.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.
    """
    if scale is None and size is None:
        scale = own_scale
    else:
        discrete = None
    scales, sizes = as_pair(fixed(scale), "scale"), as_pair(fixed(size), "size")
    starts = as_pair(fixed(start), "start")
    units: tuple[Number, Number] = as_pair(fixed(unit), "unit")
    vertical, horizontal = discrete or (None, None)
    return known_place(
        fixed(x.shape[-2]),
        fixed(x.shape[-1]),
        number(scales[0], "scale"),
        number(scales[1], "scale"),
        integer(sizes[0]),
        integer(sizes[1]),
        number(starts[0], "start"),
        number(starts[1], "start"),
        vertical,
        horizontal,
        filter.support[0],
        filter.support[1],
        not filter.vanishes,
        groups,
        padding_mode,
        stretch,
        number(units[0], "unit"),
        number(units[1], "unit"),
    )


def number(value: Number | None, name: str) -> Number | None:
    """A number that can be looked up: out of its tensor, or as it is."""
    value = fixed(value)
    return as_fraction(value, name) if hasattr(value, "shape") else value


def integer(value: int | Array | None) -> int | Array | None:
    """An integer that can be looked up."""
    value = fixed(value)
    return as_size(value, "size") if hasattr(value, "shape") else value


@constant
def known_place(*geometry: object) -> Place:
    """``new_place``, which keeps what it gave."""
    try:
        return new_place(*geometry)
    except TypeError:  # what cannot be looked up is no number; say so
        return new_place.__wrapped__(*geometry)


@lru_cache(maxsize=4096, typed=True)
def new_place(
    height: int,
    width: int,
    vertical_scale: Number | None,
    horizontal_scale: Number | None,
    vertical_size: int | None,
    horizontal_size: int | None,
    vertical_start: Number | None,
    horizontal_start: Number | None,
    vertical_axis: DiscreteAxis | None,
    horizontal_axis: DiscreteAxis | None,
    vertical_support: Fraction,
    horizontal_support: Fraction,
    closed: bool,
    groups: int,
    padding_mode: str,
    stretch: bool,
    vertical_unit: Number,
    horizontal_unit: Number,
) -> Place:
    """``place`` of plain numbers."""
    if vertical_axis is not None and horizontal_axis is not None:
        starts = vertical_start, horizontal_start
        axes = layer_axes(height, width, None, None, starts, (vertical_axis, horizontal_axis))
    else:
        axes = (
            Axis.resize(height, vertical_scale, vertical_size, vertical_start),
            Axis.resize(width, horizontal_scale, horizontal_size, horizontal_start),
        )
    support, unit = (vertical_support, horizontal_support), (vertical_unit, horizontal_unit)
    windows = windows_of(axes, support, closed, stretch, unit)
    problem = Problem(axes, windows, groups, stretch)
    reads = all(counts.offsets for counts in problem.counts)
    rows = columns = ""
    silent = [(0, 0), (0, 0)]
    if padding_mode != "zeros" and reads:
        low, high = zip(*(counts.reach for counts in problem.counts), strict=True)
        if any((first, last) != (0, axis.n_in - 1) for first, last, axis in zip(low, high, axes, strict=True)):
            rows, columns = (
                padded_axis(axis.n_in, first, last, padding_mode)
                for axis, first, last in zip(axes, low, high, strict=True)
            )
            axes = axes[0].seen_from(low[0], high[0]), axes[1].seen_from(low[1], high[1])
    elif reads:
        parts = [part_that_reads(axis, window) for axis, window in zip(axes, windows, strict=True)]
        reads = all(parts)
        if reads:
            silent = [(part.start, axis.n_out - part.stop) for part, axis in zip(parts, axes, strict=True)]
            axes = axes[0].part(parts[0]), axes[1].part(parts[1])
    elif padding_mode != "zeros":  # one axis reads nothing; the other may still not reach too far
        for axis, counts in zip(axes, problem.counts, strict=True):
            if counts.offsets:
                padded_axis(axis.n_in, *counts.reach, padding_mode)
    return Place(
        Problem(axes, windows, groups, stretch).key,
        groups,
        rows,
        columns,
        (axes[0].n_in, axes[1].n_in),
        (*silent[1], *silent[0]),
        (axes[0].n_out, axes[1].n_out),
        reads,
    )


def part_that_reads(axis: Axis, window: Window) -> range:
    """The outputs from the first to the last of those that read a pixel of the image.

    Of a filter narrower than a pixel so many may fall between the pixels that some of them are left at the ends.
    """
    start, step, reach, unit = window.bounds(axis)
    last = (axis.n_in - 1) * unit
    # −reach ≤ start + output * step ≤ last + reach, as integers; what an open window does not reach is cut off below
    first, stop = max(-((start + reach) // step), 0), min((last + reach - start) // step + 1, axis.n_out)
    outputs = range(first, stop)

    def reads(output: int) -> bool:
        taps = window.taps(start + output * step, reach, unit)
        return bool(range(max(taps.start, 0), min(taps.stop, axis.n_in)))

    few = outputs[:MOST_SKIPPED]
    first = next((index for index, output in enumerate(few) if reads(output)), len(few))
    outputs = outputs[first:]
    few = outputs[::-1][:MOST_SKIPPED]
    return outputs[: len(outputs) - next((index for index, output in enumerate(few) if reads(output)), len(few))]


def convolve(x: Tensor, filter: Filter, bias: Tensor | None, where: Place, implementation: str) -> Tensor:
    """``cc_conv2d`` where the positions of the outputs are known; x has passed ``check_input``.

    Raises:
        ValueError: there is no such implementation, it cannot serve, or it would need very much memory.
    """
    as_choice(implementation, CHOICES, "implementation")
    if x.ndim == 3:
        return convolve(x.unsqueeze(0), filter, bias, where, implementation).squeeze(0)
    x = x.to(result_dtype(x))
    bias = None if bias is None else bias.to(x.dtype)
    silent = any(where.silent) or not where.reads
    y = summed(x, filter, None if silent else bias, where, implementation)
    if silent:
        y = F.pad(y, where.silent)
        y = y if bias is None else y + bias.reshape(-1, 1, 1)
    return y


def summed(x: Tensor, filter: Filter, bias: Tensor | None, where: Place, implementation: str) -> Tensor:
    """The outputs that read something."""
    key = where.key
    if where.rows:
        x = extended(x, filter, where)
    with torch.autocast(x.device.type, enabled=False):
        if not where.reads:
            return nothing(x, filter, where.size)
        coefficients = filter.coefficients()
        if implementation == "reference":
            if not torch.compiler.is_compiling():
                picked(x, coefficients, key, implementation)
            return reference(x, filter, bias, key, where.groups)
        if transformed(x):
            functions = sample(filter.basis, filter, key, x)
            return contract(x, functions, coefficients, bias, key, where.groups)
        if not torch.compiler.is_compiling():
            name = picked(x, coefficients, key, implementation)
            if are_plain(x) and len(x) and not may_need_gradient(x, bias, filter):
                problem, chosen = problem_of(key), OPERATORS[name]

                def prepared() -> list[Tensor]:
                    functions = sample(filter.basis, filter, key, x)
                    return [kept.clone() for kept in chosen.prepare(functions, coefficients, problem, x.dtype)]

                kept = remembered(filter, (name, key, x.dtype, x.device), prepared)
                y = chosen.forward(x, kept, bias, problem, coefficients.shape[1])
                return y.contiguous(memory_format=memory_format(x))
        functions = sample(filter.basis, filter, key, x)
        return continuous_convolution(x, functions, coefficients, bias, key, implementation)


def extended(x: Tensor, filter: Filter, where: Place) -> Tensor:
    """The image with what lies outside of it, as far as it is read."""
    if not torch.compiler.is_compiling():
        numbers = max(x.shape[0], 1) * x.shape[1] * where.extended[0] * where.extended[1]  # tables are made for none
        output = x.shape[0] * filter.coefficients().shape[1] * where.size[0] * where.size[1]
        check_memory(numbers, x.numel() + output)
    return extend(x, where.rows, where.columns)


def nothing(x: Tensor, filter: Filter, size: tuple[int, int]) -> Tensor:
    """Zeros, whose gradients for the image and the coefficients are zero."""
    coefficients = filter.coefficients()
    zero = x[..., :0].sum() + coefficients[..., :0].sum().to(x.dtype)
    y = zero.expand(x.shape[0], coefficients.shape[1], *size)
    return y if transformed() else y.contiguous(memory_format=memory_format(x))


def may_need_gradient(x: Tensor, bias: Tensor | None, filter: Filter) -> bool:
    """Whether a gradient can be asked for, of what is seen or of what the filter may have hidden."""
    if not torch.is_grad_enabled():
        return False
    if needs_gradient((x, bias, filter.coefficients())):
        return True
    state = state_of(filter)
    return state is None or needs_gradient(state.tensors)


def check_input(x: Tensor, filter: Filter, bias: Tensor | None, groups: int, padding_mode: str) -> None:
    """Refuse what ``cc_conv2d`` cannot work on.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a Tensor, got {type(x).__name__}")
    if x.ndim not in (3, 4):
        raise ValueError(
            f"x must have 4 dimensions (batch, channels, height, width), or 3 unbatched, got shape {tuple(x.shape)}"
        )
    if x.dtype not in FLOATS:
        raise TypeError(f"x must be of a floating-point type, 16 to 64 bits wide, got {x.dtype}")
    if x.layout is not torch.strided:
        raise TypeError(f"x must be a dense tensor, as x.to_dense() is, got one of layout {x.layout}")
    if not isinstance(filter, Filter):
        raise TypeError(f"filter must be a cclib.filters.Filter, got {type(filter).__name__}")
    coefficients = filter.coefficients()
    out_channels, in_per_group = coefficients.shape[1:]
    if coefficients.device != x.device:
        raise ValueError(f"filter must be on the device of x, {x.device}, got one on {coefficients.device}")
    as_size(groups, "groups")
    if out_channels % groups:
        raise ValueError(f"groups must divide the filter's {out_channels} out_channels, got {groups}")
    channels = in_per_group * groups
    if x.shape[-3] != channels:
        raise ValueError(
            f"x must have {channels} channels ({in_per_group} in each of {groups} groups), got {x.shape[-3]}"
        )
    if bias is not None and not isinstance(bias, Tensor):
        raise TypeError(f"bias must be a Tensor or None, got {type(bias).__name__}")
    if bias is not None and tuple(bias.shape) != (out_channels,):
        raise ValueError(f"bias must have shape ({out_channels},), got {tuple(bias.shape)}")
    if bias is not None and (bias.dtype not in FLOATS or bias.layout is not torch.strided):
        raise TypeError(f"bias must be dense and of a floating-point type, got {bias.dtype} of layout {bias.layout}")
    if bias is not None and bias.device != x.device:
        raise ValueError(f"bias must be on the device of x, {x.device}, got {bias.device}")
    as_choice(padding_mode, PADDING_MODES, "padding_mode")
    parameter = next(filter.parameters(), None)
    if parameter is not None and parameter.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(f"x and filter must have the same type, got {x.dtype} and {parameter.dtype}")
