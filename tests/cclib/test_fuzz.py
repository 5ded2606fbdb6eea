"""Random calls of the public face, sane and insane: the answer of the slow way, or an error that names an argument.

``make test`` tries the same 200 calls every time, ``make fuzz`` as many other ones as ``CALLS`` says.
"""

import math
import os
import re
import warnings
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import cclib
from cclib import CCConv2d, Frame, cc_conv2d, convert, explain
from cclib.filters import BoxFilter, BSplineFilter, ClassicalFilter, Filter, MLPFilter, SplineFilter

CALLS = int(os.environ.get("FUZZ_CALLS", "0"))
KINDS = 4  # of calls, tests below
FUZZ = settings(
    max_examples=(CALLS or 200) // KINDS,
    derandomize=not CALLS,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# What an error may call the arguments by; "input size" is that of x, or what freeze is given.
NAMES = (
    "x", "filter", "bias", "scale", "size", "start", "groups", "padding_mode", "stretch", "unit", "implementation",
    "x_shape", "element_size", "in_channels", "out_channels", "kernel_size", "window", "partition_of_unity", "dtype",
    "input_size", "input size", "kind", "channels", "trunk", "features", "hidden", "frequency", "spacing", "dilation",
    "conv", "network", "by must",
)  # fmt: skip
NAMED = re.compile(rf"(?<![a-z_])({'|'.join(NAMES)})(?![a-z_])")


def outcome(call: Any) -> Any:
    """What the call gives, or None where it is refused with an error that names an argument."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # freezing of very many numbers
            return call()
    except (TypeError, ValueError) as error:
        words = str(error)
    assert NAMED.search(words), f"names no argument: {words}"
    assert len(words) < 2000
    return None


numbers = st.one_of(
    st.sampled_from([0.5, 0.75, 1, 1.5, 2, Fraction(2, 3), math.sqrt(0.5), torch.tensor(0.9)]),
    st.floats(0.2, 4),
    st.fractions(Fraction(1, 4), 4, max_denominator=9),
)
strange = st.sampled_from(
    [5e-324, 1e-300, 1e-18, 1e-9, 1e9, 1e18, 1e300, 10**400, -(10**4000), Fraction(1, 10**400), Fraction(1, 10**4000),
     0, -1, math.nan, math.inf, "2", b"2", None, True, 1j, [], [1], (1, 2, 3), {}, {1, 2}, object(), torch.zeros(3),
     torch.tensor(1.0, device="meta"), torch.ones(2, device="meta"), torch.ones(2).to_sparse(), torch.ones(2, 2),
     torch.tensor(1.0, dtype=torch.complex64), torch.tensor(math.nan), (None, None), (1, "a"), [[1], [2]], range(2)]
)  # fmt: skip
kinds = st.sampled_from([["cubic"], {"a": 1}, None, 3, "none", torch.zeros(2), ("siren",)])


def mostly(sane: Any, insane: Any = strange) -> Any:
    """Mostly what is usual, or a pair of it."""
    return st.one_of(sane, sane, sane, st.tuples(sane, sane), insane, st.tuples(sane, insane))


sizes = st.sampled_from([1, 2, 3, 5, 8, 11, 2**31 - 1, 2**31, 10**12])


def some(**options: Any) -> Any:
    """Some of the arguments."""
    return st.fixed_dictionaries({}, optional=options)


geometries = some(
    scale=mostly(numbers), size=mostly(sizes), start=mostly(st.floats(-4, 9)), unit=mostly(numbers),
)  # fmt: skip
switches = mostly(st.booleans(), st.sampled_from([0, 1, None, "yes", [True], torch.tensor(True)]))
padding_modes = st.one_of(st.sampled_from(["zeros", "reflect", "replicate", "circular"]), kinds)
implementations = st.one_of(st.sampled_from(["auto", "phases", "basis"]), kinds)

FILTERS: list[Any] = [
    MLPFilter(2, 3, 3),
    MLPFilter(2, 3, (2, 2.5), trunk="silu", window=False),
    MLPFilter(2, 3, 0.4),
    SplineFilter(2, 3, 4),
    BSplineFilter(2, 3, 4),
    BoxFilter(2, 3, (2, 3.5)),
    MLPFilter(2, 3, 3, partition_of_unity=True),
    MLPFilter(2, 2, 3, groups=2),
    ClassicalFilter("cubic", 2),
    ClassicalFilter("box", 2),
]
for each in FILTERS:
    each.double()
OTHERS = ["siren", None, 3, nn.Linear(2, 2), MLPFilter, MLPFilter(2, 3, 3), MLPFilter(2, 3, 3).to("meta")]
filters = st.one_of(st.sampled_from(FILTERS), st.sampled_from(FILTERS), st.sampled_from(OTHERS))

X = torch.randn(2, 2, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
IMAGES = [X, X[0], X[:, :, :1], X[:0], X[..., :3].to(memory_format=torch.channels_last)]
NO_IMAGES = [
    X.float(), X.half(), X.to("meta"), X.to_sparse(), X.to(torch.complex64), X.long(), X[:, :1], X[:, :, :0], X[0, 0],
    X.to(torch.float8_e4m3fn), X.numpy(), None, 3,
]  # fmt: skip
images = st.one_of(st.sampled_from(IMAGES), st.sampled_from(IMAGES), st.sampled_from(NO_IMAGES))
BIASES = [
    None, torch.ones(3), torch.ones(3, dtype=torch.complex64), torch.ones(3, device="meta"), torch.ones(3).to_sparse(),
    torch.ones(3, dtype=torch.int), torch.ones(4), [1.0] * 3,
]  # fmt: skip


def assert_right(y: torch.Tensor, x: torch.Tensor, filter: Filter, bias: Any, arguments: dict[str, Any]) -> None:
    """By the definition, where it does not refuse; and the second time as the first."""
    again = cc_conv2d(x, filter, bias, **arguments)
    assert torch.equal(y, again)
    assert y.isfinite().all()
    expected = outcome(lambda: cc_conv2d(x, filter, bias, **{**arguments, "implementation": "reference"}))
    if expected is not None:
        scale = max(1.0, expected.abs().max().item()) if expected.numel() else 1.0
        torch.testing.assert_close(y, expected, rtol=0, atol=1e-9 * scale)


@given(
    images, filters, st.sampled_from(BIASES), geometries,
    some(stretch=switches, padding_mode=padding_modes, implementation=implementations,
         groups=st.sampled_from([1, 2, 0, 1.5])),
)  # fmt: skip
@FUZZ
def test_calls_of_the_function(x, filter, bias, geometry, options):
    arguments = {**geometry, **options}
    y = outcome(lambda: cc_conv2d(x, filter, bias, **arguments))
    if y is not None:
        assert_right(y, x, filter, bias, arguments)


shapes = st.one_of(
    st.tuples(*[st.sampled_from([1, 2, 4, 9, 10**6])] * 4),
    st.sampled_from(
        [(1, 2, 8), (1, 2, 0, 8), (1, 2, 8, -8), (1, 2.0, 8, 8), (1, 2, 8, 10**400), "abcd", 4, None, {}, X]
    ),
)


@given(
    shapes, filters, geometries,
    some(stretch=switches, element_size=st.sampled_from([1, 2, 4, 8, 10**30, 0, -4, 1.5, "4", None, True])),
)  # fmt: skip
@FUZZ
def test_explanations(x_shape, filter, geometry, options):
    explanation = outcome(lambda: explain(x_shape, filter, **geometry, **options))
    if explanation is not None:
        assert all(candidate.bytes >= 0 and candidate.seconds >= 0 for candidate in explanation.candidates)
        assert explanation.implementation in str(explanation)


@given(
    mostly(st.sampled_from([0.5, 1, 2, 3, 4])), geometries, images, st.sampled_from([6, (6, 7), 0, "6", 10**400, (3,)]),
    some(filter=st.one_of(st.sampled_from(["siren", "spline", "cubic", "fourier"]), kinds), stretch=switches,
         window=switches, partition_of_unity=switches, padding_mode=padding_modes, scale=mostly(numbers),
         unit=mostly(numbers), groups=st.sampled_from([1, 2, 3]), implementation=implementations,
         dtype=st.sampled_from([torch.float64, torch.complex64, torch.int32, "float64"])),
)  # fmt: skip
@FUZZ
def test_layers_and_what_is_frozen(kernel_size, geometry, x, input_size, options):
    layer = outcome(lambda: CCConv2d(2, 2, kernel_size, **options))
    if layer is None:
        return
    y = outcome(lambda: layer.double()(x, **geometry))
    frozen = outcome(lambda: layer.freeze(input_size, **geometry))
    if frozen is not None and y is not None:
        again = outcome(lambda: frozen(x))
        if again is not None:
            largest = max([1.0, *y.abs().flatten().tolist()])  # it may be empty
            torch.testing.assert_close(again, y.to(again), rtol=0, atol=1e-9 * largest)
    frame = outcome(lambda: Frame.of(input_size).resized(geometry.get("size", 3)).moved(geometry.get("start", 0)))
    if frame is not None and y is not None:
        outcome(lambda: layer(x, **Frame.of((6, 7)).to(frame)))
    for wrong in (kernel_size, x):
        outcome(lambda wrong=wrong: convert(wrong))
        outcome(lambda wrong=wrong: cclib.freeze(wrong, x))


@given(
    st.integers(0, 6), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(0, 8), st.integers(1, 2),
    st.sampled_from(["zeros", "reflect", "replicate", "circular"]), st.booleans(), st.integers(0, 2),
)  # fmt: skip
@FUZZ
def test_converted_layers(height, width, kernel, stride, padding, dilation, padding_mode, transposed, extra):
    """They answer where torch answers, with the same, and refuse where it does."""
    if transposed:
        conv: Any = nn.ConvTranspose2d(2, 3, kernel, stride, padding, min(extra, stride - 1), dilation=dilation)
    else:
        conv = nn.Conv2d(2, 3, kernel, stride, padding, dilation, padding_mode=padding_mode)
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    try:
        expected = conv.double()(x)
    except RuntimeError:
        expected = None
    y = outcome(lambda: CCConv2d.from_conv(conv)(x))
    assert (y is None) == (expected is None)
    if y is not None:
        torch.testing.assert_close(y, expected, rtol=0, atol=1e-11)


def test_the_names_of_arguments_are_words():
    assert NAMED.search("size must be")
    assert not NAMED.search("unhashable type: 'list'; resize")
    with pytest.raises(AssertionError, match="names no argument"):
        outcome(lambda: {}[[]])  # type: ignore[index]
