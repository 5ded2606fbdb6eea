"""How ``auto`` chooses, and what ``explain`` says of it."""

import math
from fractions import Fraction

import pytest
import torch
from functional_cases import PROPERTY, Calls, count_forwards
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_way import scales

from cclib import cc_conv2d, explain
from cclib.filters import ClassicalFilter, MLPFilter
from cclib.functional import kernels, sums
from cclib.functional.choice import MEMORY_LIMIT
from cclib.functional.implementations import OPERATORS


@given(
    st.integers(1, 32), st.sampled_from([1, 16, 64, 256]), st.tuples(st.integers(1, 160), st.integers(1, 160)),
    st.sampled_from([2, 4, 7]), scales, st.booleans(),
)  # fmt: skip
@settings(PROPERTY, max_examples=80)
def test_auto_keeps_within_the_memory_limit(batch, channels, shape, kernel_size, scale, stretch):
    filter = ClassicalFilter("cubic", channels) if stretch else MLPFilter(channels, channels, kernel_size)
    choice = explain((batch, channels, *shape), filter, scale=scale, stretch=stretch)
    offered = {candidate.implementation for candidate in choice.candidates}
    assert offered == set(OPERATORS)
    picked, others = choice.candidates[0], choice.candidates[1:]
    assert picked.implementation == choice.implementation
    if any(candidate.bytes <= MEMORY_LIMIT for candidate in choice.candidates):
        assert picked.bytes <= MEMORY_LIMIT
        assert all(picked.seconds <= other.seconds for other in others if other.bytes <= MEMORY_LIMIT)
    else:
        assert all(picked.bytes <= other.bytes for other in others)


@pytest.mark.parametrize("scale", [1, 0.75, math.sqrt(0.5), 1.9])
@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (1, 32, 64, 64), (64, 32, 256, 256)])
def test_the_reference_is_no_candidate(scale, shape):
    choice = explain(shape, MLPFilter(shape[1], 32, 4), scale=scale)
    assert "reference" not in {candidate.implementation for candidate in choice.candidates}


def test_where_all_are_large_the_smallest_comes_first():
    choice = explain((128, 32, 512, 512), MLPFilter(32, 32, 2), scale=0.1)
    assert min(candidate.bytes for candidate in choice.candidates) > MEMORY_LIMIT
    assert list(choice.candidates) == sorted(choice.candidates, key=lambda candidate: candidate.bytes)


@pytest.mark.parametrize("scale", [Fraction(1, 300), Fraction(3, 1000)])
def test_the_counted_bytes_cover_pixels_between_the_taps(scale):
    filter, x = MLPFilter(2, 2, 3), torch.randn(1, 2, 8, 8)
    for candidate in explain(x.shape, filter, scale=scale, size=3).candidates:
        with torch.no_grad(), Calls() as calls:
            cc_conv2d(x, filter, scale=scale, size=3, implementation=candidate.implementation)
        assert calls.largest <= candidate.bytes + 2**16, candidate.implementation


@pytest.mark.parametrize("scale", [1, 0.75, math.sqrt(0.5)])
def test_the_counted_bytes_cover_every_temporary_tensor(scale):
    vars(kernels.KEPT).clear()  # larger buffers of earlier calls
    filter, x = MLPFilter(16, 16, 4), torch.randn(2, 16, 40, 40)
    output = 2 * 16 * 40 * 40 * 4
    for candidate in explain(x.shape, filter, scale=scale).candidates:
        with torch.no_grad(), Calls() as calls:
            cc_conv2d(x, filter, scale=scale, implementation=candidate.implementation)
        assert calls.largest <= candidate.bytes + output, candidate.implementation


@pytest.mark.skipif(kernels.library() is None, reason="no kernels for this processor")
@pytest.mark.parametrize(
    ("shape", "out_channels", "groups", "kernel_size", "dtype"),
    [
        ((1, 64, 8, 8), 1, 1, 64, torch.float32),  # one channel fills a panel of eight
        ((1, 256, 8, 8), 64, 64, 32, torch.float32),
        ((1, 5, 40, 40), 5, 5, 4, torch.float32),
        ((16, 16, 128, 128), 16, 1, 4, torch.bfloat16),  # summed in float32
        ((2, 16, 40, 40), 16, 1, 4, torch.float64),
    ],
)
def test_the_counted_bytes_cover_the_buffers_of_the_kernels(
    monkeypatch, shape, out_channels, groups, kernel_size, dtype
):
    held: dict[str, int] = {}

    def noted(name, numbers, dtype):
        held[name] = max(held.get(name, 0), numbers * dtype.itemsize)
        return kernels.scratch(name, numbers, dtype)

    monkeypatch.setattr(sums, "scratch", noted)
    filter = MLPFilter(shape[1], out_channels, kernel_size, features=8, groups=groups).to(dtype)
    x = torch.randn(shape, dtype=dtype)
    with torch.no_grad():
        y = cc_conv2d(x, filter, groups=groups, scale=0.75, implementation="phases")
    choice = explain(shape, filter, scale=0.75, element_size=dtype.itemsize)
    (counted,) = (c.bytes for c in choice.candidates if c.implementation == "phases")
    spare = kernels.SPARE * 8 * torch.get_num_threads()
    assert sum(held.values()) <= counted + y.numel() * dtype.itemsize + spare


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((1, 4, 6, 6), {"scale": 1}),
        ((2, 4, 24, 24), {"scale": 0.75}),
        ((2, 4, 24, 24), {"scale": math.sqrt(0.5)}),
        ((1, 4, 12, 12), {"scale": 0.5, "size": (5, 7), "start": (0.1, 2)}),
        ((1, 4, 20, 12), {"size": (7, 13), "stretch": True}),
    ],
)
def test_auto_runs_what_explain_names(monkeypatch, shape, arguments):
    ran = count_forwards(monkeypatch)
    filter = MLPFilter(4, 6, 3)
    y = cc_conv2d(torch.randn(shape), filter, **arguments)
    choice = explain(shape, filter, **arguments)
    assert ran == [choice.implementation]
    text = str(choice)
    assert repr(choice) == text
    heading = "implementation multiply-adds moved MiB temporary MiB calls pieces estimate ms"
    assert text.splitlines()[0].split() == heading.split()
    assert [line.split()[0] for line in text.splitlines()[1:-1]] == [c.implementation for c in choice.candidates]
    assert text.splitlines()[-1] == f"auto picks {choice.implementation}"
    assert y.shape[0] == shape[0]


@pytest.mark.parametrize(
    ("shape", "out_channels", "arguments", "picked", "without_kernels"),
    [
        ((100, 6, 12, 12), 16, {"size": 11}, "phases", "basis"),  # few channels, as many phases as pixels
        ((100, 16, 32, 32), 16, {"size": 24}, "phases", "phases"),  # not so few channels, few phases
        ((16, 64, 32, 32), 64, {"scale": 0.75}, "phases", "phases"),  # many channels, few phases
        ((2, 64, 56, 56), 64, {"scale": math.sqrt(0.5)}, "basis", "basis"),  # many channels, as many phases as pixels
    ],
)
def test_what_auto_picks(monkeypatch, shape, out_channels, arguments, picked, without_kernels):
    filter = MLPFilter(shape[1], out_channels, 3)
    if kernels.library() is not None:
        assert explain(shape, filter, **arguments).implementation == picked
    monkeypatch.setattr(kernels, "library", lambda: None)
    assert explain(shape, filter, **arguments).implementation == without_kernels


def test_a_gpu_is_not_costed_by_the_kernels_of_its_cpu(monkeypatch):
    monkeypatch.setattr(kernels, "library", lambda: pytest.fail("not asked"))
    assert explain((100, 6, 12, 12), MLPFilter(6, 16, 3).to("meta"), size=11).implementation == "basis"


def test_the_counted_operations_of_one_convolution():
    filter = MLPFilter(4, 6, 3, features=5, hidden=7)
    phases = next(c for c in explain((2, 4, 10, 10), filter).candidates if c.implementation == "phases")
    convolution = 2 * 6 * 10 * 10 * 9 * 4
    weights = 9 * (5 * 6 * 4)  # of the filter's functions, whose own are the same for all
    assert phases.multiply_adds == convolution + weights


SIREN = MLPFilter(4, 6, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((4, 6, 5), SIREN), r"x_shape must be \(batch, channels, height, width\), got \(4, 6, 5\)"),
        (((1, 5, 6, 5), SIREN), "x_shape must have a multiple of the filter's 4 channels per group, got 5"),
        (((1, 4, 6, -5), SIREN), "each part of x_shape must be at least 1, got -5"),
        (((1, 4, 0, 5), SIREN), "each part of x_shape must be at least 1, got 0"),
    ],
)
def test_explain_of_bad_input(arguments, words):
    with pytest.raises(ValueError, match=words):
        explain(*arguments)
    with pytest.raises(ValueError, match="scale must be greater than 0"):
        explain((1, 4, 6, 5), SIREN, scale=-1)
    for size in (0, -4):
        with pytest.raises(ValueError, match=f"element_size must be at least 1, got {size}"):
            explain((1, 4, 6, 5), SIREN, element_size=size)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (((1, 4, 6, 5), "siren"), {}, r"filter must be a cclib\.filters\.Filter, got str"),
        (((1, 4, 6, 5.0), SIREN), {}, r"each part of x_shape must be an integer, got 5\.0"),
        ((4, SIREN), {}, "x_shape must be a sequence of integers, got int"),
        (("abcd", SIREN), {}, "x_shape must be a sequence of integers, got str"),
        (((1, 4, 6, 5), SIREN), {"element_size": "4"}, "element_size must be an integer, got '4'"),
        (((1, 4, 6, 5), SIREN), {"stretch": 1}, "stretch must be True or False, got 1"),
    ],
)
def test_explain_of_the_wrong_types(arguments, options, words):
    with pytest.raises(TypeError, match=words):
        explain(*arguments, **options)


def test_costs_larger_than_a_float_are_printed():
    explanation = explain((1, 4, 6, 5), SIREN, scale=1e-300, stretch=True)
    assert all(math.isfinite(candidate.seconds) for candidate in explanation.candidates)
    assert max(map(len, str(explanation).splitlines())) < 100
