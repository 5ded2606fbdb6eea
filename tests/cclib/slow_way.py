"""The definition of the layer in slow loops, which share with cclib only the filter's own values.

Also strategies that draw geometries and filters.
"""

import itertools
import math
from fractions import Fraction

import numpy as np
import torch
from hypothesis import strategies as st

from cclib.filters import BoxFilter, BSplineFilter, ClassicalFilter, Filter, MLPFilter, SplineFilter


def slow_axis(n_in, scale, size, start):
    """The position of every output, and the scale, as fractions."""
    if scale is None:
        scale = Fraction(size, n_in) if size is not None else Fraction(1)
    scale = Fraction(scale)
    n_out = size if size is not None else -((-n_in * scale.numerator) // scale.denominator)
    if start is None:
        start = Fraction(n_in - 1, 2) - Fraction(n_out - 1, 2) / scale
    return [Fraction(start) + o / scale for o in range(n_out)], scale


def slow_taps(position, scale, support, vanishes, stretch, unit=1):
    """(tap, offset at which the filter is read) of one output."""
    length = max(Fraction(1), 1 / scale) if stretch else Fraction(unit)
    reach = length * support / 2
    near = range(math.floor(position - reach) - 2, math.ceil(position + reach) + 3)
    inside = (lambda d: d < reach) if vanishes else (lambda d: d <= reach)
    return [(q, float((q - position) / length)) for q in near if inside(abs(q - position))]


def slow_pixel(q, n, padding_mode):
    """The pixel that stands for index q, or None for a zero."""
    if padding_mode == "zeros":
        return q if 0 <= q < n else None
    if padding_mode == "replicate":
        return 0 if q < 0 else n - 1 if q >= n else q
    if padding_mode == "circular":
        while q < 0:
            q += n
        while q >= n:
            q -= n
        return q
    return -q if q < 0 else 2 * (n - 1) - q if q >= n else q


def slow_integral(filter, dtype):
    """Of the filter over its support, by a sum over squares of about a quarter pixel."""
    sides = [float(side) for side in filter.support]
    counts = [math.ceil(4 * side) for side in sides]
    areas = [
        filter(torch.tensor([[(i + 0.5) / n * side - side / 2 for i, n, side in zip(at, counts, sides, strict=True)]],
                            dtype=dtype))[0] * math.prod(sides) / math.prod(counts)
        for at in itertools.product(*map(range, counts))
    ]  # fmt: skip
    return sum(areas)


def slow_convolution(x, filter, bias, scale, size, start, groups, padding_mode, stretch, unit=(1, 1)):
    """The definition of the layer, tap by tap; scale, size, start and unit are pairs of exact numbers or None."""
    geometry = [slow_axis(n, *axis) for n, *axis in zip(x.shape[-2:], scale, size, start, strict=True)]

    def windows_at(unit):
        return [
            [slow_taps(position, ratio, support, filter.vanishes, stretch, length) for position in positions]
            for (positions, ratio), support, length in zip(geometry, filter.support, unit, strict=True)
        ]

    def mass(windows, i, j):
        """Of all taps of output (i, j), one by one."""
        offsets = [(v, h) for (_, v), (_, h) in itertools.product(windows[0][i], windows[1][j])]
        return filter.mass(torch.tensor(offsets, dtype=x.dtype)) if offsets else x.new_zeros(1)

    windows, plain = windows_at(unit), windows_at((1, 1))
    integral = slow_integral(filter, x.dtype) if filter.partition_of_unity else None
    out_channels = filter.coefficients().shape[1]
    pixels = x.unflatten(1, (groups, 1, -1)).numpy()  # (batch, group, 1, in / groups, height, width)
    output = np.zeros((len(x), groups, out_channels // groups, len(windows[0]), len(windows[1])))
    for i, rows in enumerate(windows[0]):
        for j, columns in enumerate(windows[1]):
            taps = [(p, q, (v, h)) for p, v in rows for q, h in columns]
            if not taps:
                continue
            offsets = torch.tensor([offset for *_, offset in taps], dtype=x.dtype)
            weights = filter(offsets)
            masses = mass(windows, i, j)
            if stretch:
                weights = weights / masses.sum()
            elif unit != (1, 1):
                weights = weights / masses.sum() * mass(plain, i, j).sum()
            if integral is not None:
                weights = weights - (weights.sum(0) - integral) * (masses / masses.sum())[:, None, None]
            for (p, q, _), weight in zip(taps, weights.unflatten(1, (groups, -1)).detach().numpy(), strict=True):
                row, column = slow_pixel(p, x.shape[2], padding_mode), slow_pixel(q, x.shape[3], padding_mode)
                if row is not None and column is not None:
                    output[..., i, j] += (pixels[..., row, column] * weight).sum(-1)
    y = torch.from_numpy(output).flatten(1, 2)
    return y if bias is None else y + bias[:, None, None]


def too_wide(filter, shape, stretch, scale, size, start, unit=(1, 1)):
    """Whether any output reads further out than a reflection reaches."""
    for axis, n in enumerate(shape):
        positions, ratio = slow_axis(n, scale[axis], size[axis], start[axis])
        for position in positions:
            taps = slow_taps(position, ratio, filter.support[axis], filter.vanishes, stretch, unit[axis])
            if any(q < 1 - n or q > 2 * (n - 1) for q, _ in taps):
                return True
    return False


scales = st.one_of(
    st.fractions(Fraction(1, 4), 3, max_denominator=8),
    st.sampled_from([math.sqrt(0.5), math.sqrt(2), math.pi / 3, 0.5, 1.0, 1.5]),
)


starts = st.one_of(st.none(), st.fractions(-3, 8, max_denominator=6), st.just(math.sqrt(3)))


supports = st.sampled_from([1, 2, 3, 4, Fraction(5, 2), Fraction(1, 3)])


@st.composite
def axes(draw):
    """Input size, scale, size and start of one axis: scale, size, both or neither are given."""
    return (
        draw(st.integers(1, 6)),
        draw(st.none() | scales),
        draw(st.none() | st.integers(1, 7)),
        draw(starts),
    )


@st.composite
def lengths(draw, filter, stretch):
    """Whether the filter stretches, and its unit, a pair. A classical kernel at less than a pixel is read at its zeros
    alone where it is read at all."""
    smallest = 1 if isinstance(filter, ClassicalFilter) else Fraction(2, 5)
    numbers = st.one_of(
        st.just(1), st.fractions(smallest, 3, max_denominator=8), st.sampled_from([math.sqrt(2), 10 / 7, 2.0])
    )
    return (1, 1) if stretch else draw(st.tuples(numbers, numbers))


@st.composite
def some_filters(draw):
    """A filter and its groups."""
    kind = draw(
        st.sampled_from(
            ["siren", "silu", "fourier", "spline", "bspline", "boxes", "linear", "cubic", "lanczos3", "box"]
        )
    )
    torch.manual_seed(draw(st.integers(0, 9)))
    whole = draw(st.booleans())
    if kind in ("linear", "cubic", "lanczos3", "box"):
        groups = draw(st.integers(1, 3))
        return ClassicalFilter(kind, groups, partition_of_unity=whole), groups
    groups, in_per_group, out_per_group = (draw(st.sampled_from(n)) for n in ((1, 2, 3), (1, 2), (1, 2)))
    channels = groups * in_per_group, groups * out_per_group
    window, support = draw(st.booleans()), (draw(supports), draw(supports))
    if kind == "spline":
        sides = tuple(math.ceil(side) for side in support)
        filter: Filter = SplineFilter(*channels, sides, groups=groups, spacing=(1, 0.5), window=window)
    elif kind == "bspline":
        sides = tuple(math.ceil(side) + 1 for side in support)
        filter = BSplineFilter(*channels, sides, groups=groups, degree=draw(st.integers(1, min(sides) - 1)))
    elif kind == "boxes":
        filter = BoxFilter(*channels, tuple(max(side, 2) for side in support), groups=groups)
    else:
        filter = MLPFilter(*channels, support, groups=groups, trunk=kind, window=window)
    filter.partition_of_unity = whole
    return filter.double(), groups
