"""Where outputs fall and what they read, against the definitions written out with exact fractions.

Tensors have no part here; the values computed on these grids are tested in functional/.
"""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cclib.geometry import (
    FEW_PHASES,
    Axis,
    DiscreteAxis,
    Window,
    counts_of,
    floor_sum,
    input_runs,
    layer_axes,
    output_runs,
    resize_axes,
    taps_of,
)

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=150)
fractions = st.fractions(Fraction(1, 5), 4, max_denominator=12)
sizes = st.integers(1, 12)


def taps_at(window, position):
    """The input pixels that an output at ``position`` reads."""
    first, _, reach, unit = window.bounds(Axis(1, 1, Fraction(position), Fraction(1)))
    return window.taps(first, reach, unit)


@pytest.mark.parametrize(
    ("n_in", "arguments", "n_out", "start", "step"),
    [
        (28, {"scale": 0.75}, 21, Fraction(1, 6), Fraction(4, 3)),
        (100, {"scale": 0.07}, 7, Fraction(93, 14), Fraction(100, 7)),  # in floats 100 * 0.07 > 7: an eighth output
        (5, {"scale": 2}, 10, Fraction(-1, 4), Fraction(1, 2)),
        (7, {"size": 5}, 5, Fraction(1, 5), Fraction(7, 5)),
        (8, {"scale": 0.5, "size": 3}, 3, Fraction(3, 2), 2),
        (8, {"scale": 0.5, "start": 0.25}, 4, Fraction(1, 4), 2),
        (1, {}, 1, 0, 1),
        (6, {"scale": 1e-9}, 1, Fraction(5, 2), 1 / Fraction(1e-9)),
    ],
)
def test_a_resized_axis(n_in, arguments, n_out, start, step):
    assert Axis.resize(n_in, **arguments) == Axis(n_in, n_out, Fraction(start), Fraction(step))


@given(sizes, fractions, st.none() | sizes)
@PROPERTY
def test_by_default_the_centres_of_both_grids_coincide(n_in, scale, size):
    axis = Axis.resize(n_in, scale, size)
    assert axis.position(0) + axis.position(axis.n_out - 1) == n_in - 1
    assert axis.n_out == (math.ceil(n_in * scale) if size is None else size)
    assert axis.scale == scale
    assert axis.position(axis.period) - axis.position(0) == axis.step.numerator


@pytest.mark.parametrize("scale", [0, -1, Fraction(-1, 3), -0.0])
def test_a_scale_is_positive(scale):
    with pytest.raises(ValueError, match=r"scale must be greater than 0, got -?[0-9.]+"):
        Axis.resize(4, scale)


@pytest.mark.parametrize("grown", [{"size": 2**31}, {"scale": 2.0**31}])
def test_an_axis_has_fewer_than_two_to_the_31_outputs(grown):
    assert Axis.resize(1, size=2**31 - 1).n_out == 2**31 - 1
    with pytest.raises(ValueError, match="asks for more than 2147483647 outputs of an axis of 1 pixels"):
        Axis.resize(1, **grown)


@given(sizes, st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
@PROPERTY
def test_a_convolution_reads_its_pixels_from_their_middle(n_in, kernel_size, stride, before, after):
    firsts = range(-before, n_in + after - kernel_size + 1, stride)  # the first pixel that each output reads
    assume(len(firsts) > 0)
    axis = Axis.conv(n_in, kernel_size, stride, (before, after))
    assert (axis.n_in, axis.n_out) == (n_in, len(firsts))
    middles = [Fraction(first + first + kernel_size - 1, 2) for first in firsts]
    assert [axis.position(output) for output in range(axis.n_out)] == middles


@given(sizes, st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(0, 1))
@PROPERTY
def test_a_transposed_convolution_writes_its_outputs_about_their_middle(n_in, kernel_size, stride, padding, more):
    written = [range(i * stride - padding, i * stride - padding + kernel_size) for i in range(n_in)]
    n_out = written[-1].stop - padding + more
    assume(n_out > 0)
    axis = Axis.conv_transpose(n_in, kernel_size, stride, padding, more)
    assert (axis.n_in, axis.n_out) == (n_in, n_out)
    middles = [Fraction(outputs.start + outputs.stop - 1, 2) for outputs in written]
    assert [axis.start + middle * axis.step for middle in middles] == list(range(n_in))


def test_a_discrete_axis_waits_for_its_input():
    conv, transposed = DiscreteAxis(False, 3, 2, 3, 4, 0), DiscreteAxis(True, 3, 2, 1, 1, 1)
    assert conv.of(2) == Axis.conv(2, 3, 2, (3, 4))
    assert transposed.of(5) == Axis.conv_transpose(5, 3, 2, 1, 1)
    around = conv._replace(circular=True)
    assert around.of(4) == Axis.conv(4, 3, 2, (3, 4))
    with pytest.raises(ValueError, match="allows a pad of at most 3 on 3 pixels, got 4"):
        around.of(3)


def test_both_axes():
    assert resize_axes(8, 9, None, (3, 5), (0, 1)) == (Axis.resize(8, None, 3, 0), Axis.resize(9, None, 5, 1))
    assert resize_axes(8, 9, (0.5, 2), None, None) == (Axis.resize(8, 0.5), Axis.resize(9, 2))
    discrete = DiscreteAxis(False, 3, 2, 1, 1, 0), DiscreteAxis(True, 3, 2, 1, 1, 0)
    vertical, horizontal = discrete[0].of(8), discrete[1].of(9)
    assert layer_axes(8, 9, None, None, None, discrete) == (vertical, horizontal)
    moved = layer_axes(8, 9, None, None, (0.25, 2), discrete)
    assert moved == (replace(vertical, start=Fraction(1, 4)), replace(horizontal, start=Fraction(2)))


def test_parts_of_an_axis():
    axis = Axis.resize(8, 0.75)
    part, seen = axis.part(range(2, 5)), axis.seen_from(2, 6)
    assert [part.position(output) for output in range(part.n_out)] == [axis.position(output) for output in (2, 3, 4)]
    assert (part.n_in, part.step, seen.n_in, seen.n_out) == (8, axis.step, 5, axis.n_out)
    assert [seen.position(output) + 2 for output in range(6)] == [axis.position(output) for output in range(6)]


def test_a_discrete_axis_without_output():
    with pytest.raises(
        ValueError, match=r"x must have at least 4 pixels .* kernel_size 6 and padding \(1, 1\), got an input size of 3"
    ):
        Axis.conv(3, 6, 1, (1, 1))
    with pytest.raises(ValueError, match=r"x leaves no output .* kernel_size 3, padding 2 and an input size of 1"):
        Axis.conv_transpose(1, 3, 2, 2, 0)
    with pytest.raises(ValueError, match=r"x leaves no output .* kernel_size 2, padding 1 and an input size of 1"):
        Axis.conv_transpose(1, 2, 1, 1, 0)  # none exactly


@given(st.fractions(-3, 9, max_denominator=6), fractions, fractions, st.booleans())
@PROPERTY
def test_a_window_takes_the_pixels_within_its_reach(position, support, shrink, closed):
    window = Window(support, closed, shrink)
    distances = {q: 2 * shrink * abs(q - position) for q in range(-30, 40)}
    within = [q for q, distance in distances.items() if distance < support or (closed and distance == support)]
    assert list(taps_at(window, position)) == within


@given(st.fractions(-3, 9, max_denominator=6), fractions, st.booleans())
@PROPERTY
def test_both_edges_of_a_window_are_treated_alike(position, support, closed):
    window = Window(support, closed)
    assert [-q for q in taps_at(window, -position)] == list(taps_at(window, position))[::-1]


@given(
    sizes, fractions, st.none() | sizes, st.none() | st.fractions(-9, 9, max_denominator=8), fractions, st.booleans()
)
@PROPERTY
def test_phases_hold_the_taps_of_every_output(n_in, scale, size, start, support, closed):
    axis, window = Axis.resize(n_in, scale, size, start), Window(support, closed, min(scale, Fraction(1)))
    taps = taps_of(axis, window)
    read = {}
    for phase, slots in zip(taps.phases, taps.slots, strict=True):
        assert tuple(taps.offsets[slot] for slot in slots) == phase.offsets
        for turn in range(phase.count):
            output, first = phase.index + turn * len(taps.phases), phase.first + turn * taps.advance
            read[output] = range(first, first + len(phase.offsets))
            expected = [float(window.shrink * (q - axis.position(output))) for q in read[output]]
            assert list(phase.offsets) == expected
    assert {output: list(indices) for output, indices in read.items()} == {
        output: list(taps_at(window, axis.position(output))) for output in range(axis.n_out)
    }
    assert taps.most == max(map(len, read.values()))
    used = [q for indices in read.values() for q in indices]
    assert taps.reach == ((min(used), max(used)) if used else (0, -1))
    alone = taps_of(axis, window, by_phase=False)
    assert [phase.count for phase in alone.phases] == [1] * axis.n_out
    assert [(phase.first, len(phase.offsets)) for phase in alone.phases] == [
        (read[output].start, len(read[output])) for output in range(axis.n_out)
    ]


irrational = st.sampled_from([math.sqrt(0.5), math.sqrt(2), math.pi, 0.1 + 1e-12])


@st.composite
def some_taps(draw):
    """The taps of an axis: rational or not, centred or far off, wide or narrower than the step."""
    start = draw(
        st.none() | st.fractions(-9, 15, max_denominator=8) | st.sampled_from([math.sqrt(3), 10**20, -(10**6)])
    )
    axis = Axis.resize(draw(sizes), draw(fractions | irrational), draw(st.none() | sizes), start)
    support = draw(fractions | st.sampled_from([Fraction(1, 9), Fraction(9)]))
    shrink = draw(st.sampled_from([Fraction(1), min(axis.scale, Fraction(1))]))
    return taps_of(axis, Window(support, draw(st.booleans()), shrink), draw(st.booleans()))


def reads_of(runs, bound):
    """(sample, what it reads, slot), as far as that is one of ``bound`` samples of the other axis."""
    reads = set()
    for sample in range(runs.size):
        turn, index = divmod(sample, len(runs.runs))
        first = runs.runs[index].first + turn * runs.advance
        reads |= {(sample, first + k, slot) for k, slot in enumerate(runs.runs[index].slots) if 0 <= first + k < bound}
    return reads


def pairs_of(taps, low, size):
    """(output, input from ``low`` on, slot) of all taps within ``size`` inputs, output by output."""
    reads = set()
    for phase, slots in zip(taps.phases, taps.slots, strict=True):
        for turn, output in enumerate(range(phase.index, taps.axis.n_out, len(taps.phases))):
            first = phase.first + turn * taps.advance - low
            reads |= {(output, first + tap, slot) for tap, slot in enumerate(slots) if 0 <= first + tap < size}
    return reads


@given(some_taps(), st.none() | st.integers(-6, 6), st.none() | st.integers(1, 20))
@PROPERTY
def test_the_runs_of_outputs_and_of_inputs_are_adjoint(taps, low, size):
    low = taps.reach[0] if low is None else low
    size = max(taps.reach[1] - taps.reach[0] + 1, 1) if size is None else size
    expected = pairs_of(taps, low, size)
    assert reads_of(output_runs(taps, low), size) == expected
    runs = input_runs(taps, low, size)
    assert {(output, i, slot) for i, output, slot in reads_of(runs, taps.axis.n_out)} == expected
    assert runs.size == size
    assert sum(len(range(index, size, len(runs.runs))) for index in range(len(runs.runs))) == size


@given(some_taps())
@PROPERTY
def test_the_reach_of_runs_covers_all_that_they_read(taps):
    for runs in (output_runs(taps, 0), input_runs(taps, taps.reach[0], max(taps.reach[1] - taps.reach[0] + 1, 1))):
        used = [
            (run.first + turn * runs.advance, run.first + turn * runs.advance + len(run.slots) - 1)
            for run in runs.runs
            if run.slots
            for turn in range(runs.count)
        ]
        expected = (min(first for first, _ in used), max(last for _, last in used)) if used else (0, -1)
        assert runs.reach == expected


@given(
    st.integers(1, 40),
    st.fractions(Fraction(1, 9), 9, max_denominator=130) | irrational,
    st.none() | st.integers(1, 150),
    st.none() | st.fractions(-9, 15, max_denominator=8) | st.sampled_from([math.sqrt(3), 10**20, -(10**6)]),
    fractions | st.sampled_from([Fraction(1, 9), Fraction(9)]),
    st.booleans(),
    st.booleans(),
)
@PROPERTY
def test_the_counts_are_those_of_the_taps(n_in, scale, size, start, support, closed, stretch):
    axis = Axis.resize(n_in, scale, size, start)
    window = Window(support, closed, min(axis.scale, Fraction(1)) if stretch else Fraction(1))
    taps, counts = taps_of(axis, window), counts_of(axis, window)
    assert counts.phases == len(taps.phases)
    assert counts.offsets == len(taps.offsets)
    assert taps.most <= counts.most <= taps.most + (counts.phases > FEW_PHASES)
    assert counts.read == len(range(counts.reach[0], counts.reach[1] + 1))
    if taps.offsets:
        low, high = counts.reach
        assert low <= taps.reach[0]
        assert taps.reach[1] <= high
        ends = [taps_at(window, axis.position(output)) for output in (0, axis.n_out - 1)]
        assert counts.reach == (ends[0].start, max(ends[1].stop - 1, ends[0].start - 1))


@given(st.integers(1, 60), st.integers(1, 50), st.integers(-200, 200), st.integers(-200, 200))
@PROPERTY
def test_a_sum_of_floors(count, divisor, step, first):
    assert floor_sum(count, divisor, step, first) == sum((first + i * step) // divisor for i in range(count))


def test_counts_of_very_many_phases_take_no_time():
    axis = Axis.resize(9, Fraction(10**8, 1), start=0)
    window = Window(Fraction(3), True)
    counts = counts_of(axis, window)
    assert counts.phases == 10**8
    assert counts.offsets == 3 * 10**8 + 1  # the first phase has its edges on pixels
    assert counts.reach == (-1, 10)
