"""``cc_conv2d``: extreme geometries, threads, and bad input."""

import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
import torch
from functional_cases import Calls, every_fast_path, every_implementation

from cclib import CCConv2d, cc_conv2d
from cclib.filters import MLPFilter, make
from cclib.functional import IMPLEMENTATIONS


def test_the_input_is_left_alone():
    layer = CCConv2d(2, 2, 3)
    x = torch.randn(1, 2, 6, 6)
    before = x.clone()
    layer(x, scale=0.7)
    assert torch.equal(x, before)


@every_fast_path
def test_threads_share_a_layer(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, implementation=implementation)
    images = [torch.randn(1, 2, 8 + i % 3, 9) for i in range(12)]

    def training(image):
        y = layer(image, scale=scale)
        return y.detach(), *torch.autograd.grad(y.sum(), list(layer.parameters()))

    def inference(image):
        with torch.no_grad():
            return (layer(image, scale=scale),)

    for run in (training, inference):
        expected = [run(image) for image in images]
        with ThreadPoolExecutor(6) as pool:
            for results, alone in zip(pool.map(run, images * 4), expected * 4, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(results, alone, strict=True))


@every_fast_path
def test_inference_mode_equals_training(implementation, scale):
    layer = CCConv2d(2, 3, 3, implementation=implementation)
    x = torch.randn(2, 2, 8, 9)
    expected = layer(x, scale=scale)
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(layer(x, scale=scale), expected)


@every_implementation
@pytest.mark.parametrize("padding_mode", ["zeros", "replicate", "circular"])
def test_a_far_start_needs_no_memory(implementation, padding_mode):
    torch.manual_seed(0)
    filter = MLPFilter(2, 2, 3).double()
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    for far in (10**9, -(10**9), 10**300):
        with Calls() as calls:
            y = cc_conv2d(x, filter, start=(far, 0), padding_mode=padding_mode, implementation=implementation)
        assert calls.largest < 2**18
        near = {"zeros": None, "replicate": 100 if far > 0 else -100, "circular": far % 8}[padding_mode]
        if near is None:
            assert not y.any()
        else:
            close = cc_conv2d(x, filter, start=(near, 0), padding_mode=padding_mode, implementation=implementation)
            torch.testing.assert_close(y, close, rtol=0, atol=1e-13)


@every_implementation
@pytest.mark.parametrize("scale", [1e-3, 1e-9, 1e-300, Fraction(1, 10**30)])
def test_a_tiny_scale_gives_one_output(implementation, scale):
    torch.manual_seed(0)
    filter = MLPFilter(2, 2, 3).double()
    x = torch.randn(1, 2, 7, 6, dtype=torch.float64)
    y = cc_conv2d(x, filter, scale=scale, implementation=implementation)
    torch.testing.assert_close(y, cc_conv2d(x, filter, scale=0.1, implementation="reference"), rtol=0, atol=1e-13)


@every_implementation
def test_a_huge_scale_with_a_size(implementation):
    filter = MLPFilter(2, 2, 3).double()
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    y = cc_conv2d(x, filter, scale=1e30, size=3, implementation=implementation)  # all outputs fall on the centre
    centre = cc_conv2d(x, filter, size=1, scale=1, implementation="reference")
    torch.testing.assert_close(y, centre.expand_as(y), rtol=0, atol=1e-12)


@every_implementation
def test_a_filter_narrower_than_a_pixel_reads_nothing_between_the_pixels(implementation):
    filter = MLPFilter(1, 1, Fraction(1, 3)).double()
    x = torch.randn(1, 1, 3, 3, dtype=torch.float64)
    bias = torch.tensor([0.5], dtype=torch.float64)
    y = cc_conv2d(x, filter, bias, scale=2, start=0, implementation=implementation)
    assert (y[..., 1::2, :] == 0.5).all()
    assert (y[..., ::2, ::2] != 0.5).all()
    assert (cc_conv2d(x, filter, bias, start=0.5, implementation=implementation) == 0.5).all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for start in (0, 0.5):
            y = cc_conv2d(x.float(), filter.float(), bias.float(), scale=2, start=start, implementation=implementation)
            assert y.dtype == torch.bfloat16


X = torch.zeros(1, 4, 6, 5)
SIREN = MLPFilter(4, 6, 3)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"scale": 0}, ValueError, "scale must be greater than 0, got 0"),
        ({"scale": -1.5}, ValueError, r"scale must be greater than 0, got -1\.5"),
        ({"scale": math.nan}, ValueError, "scale must be finite, got nan"),
        ({"scale": math.inf}, ValueError, "scale must be finite, got inf"),
        ({"scale": "2"}, TypeError, "scale must be a number, got '2'"),
        ({"scale": b"ab"}, TypeError, "scale must be a number, got b'ab'"),
        ({"scale": True}, TypeError, "scale must be a number, got True"),
        ({"scale": (1, False)}, TypeError, "scale must be a number, got False"),
        ({"scale": (1, 2, 3)}, ValueError, r"scale must be a number or a pair \(height, width\), got \(1, 2, 3\)"),
        ({"scale": torch.ones(3)}, ValueError, r"scale must be a number or a pair .*, got a tensor of shape \(3,\)"),
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": (3, -1)}, ValueError, "size must be at least 1, got -1"),
        ({"size": 2.5}, TypeError, r"size must be an integer, got 2\.5"),
        ({"size": True}, TypeError, "size must be an integer, got True"),
        ({"size": (1, 2, 3)}, ValueError, "size must be a number or a pair"),
        ({"start": math.nan}, ValueError, "start must be finite, got nan"),
        ({"start": "0"}, TypeError, "start must be a number, got '0'"),
        ({"start": (0, 0, 0)}, ValueError, "start must be a number or a pair"),
        ({"groups": 4}, ValueError, "groups must divide the filter's 6 out_channels, got 4"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": 1.0}, TypeError, r"groups must be an integer, got 1\.0"),
        ({"groups": 2}, ValueError, "x must have 8 channels .*, got 4"),
        ({"padding_mode": "same"}, ValueError, "padding_mode must be one of zeros, .*, got 'same'"),
        ({"implementation": "fast"}, ValueError, "implementation must be one of auto, .*, got 'fast'"),
        ({"implementation": ["auto"]}, ValueError, r"implementation must be one of auto, .*, got \['auto'\]"),
        ({"padding_mode": "reflect", "start": (-6, 0)}, ValueError, "pad of at most 5 on 6 pixels, got 7"),
        ({"x": torch.zeros(1, 5, 6, 5)}, ValueError, "x must have 4 channels .*, got 5"),
        ({"x": torch.zeros(6, 5)}, ValueError, r"x must have 4 dimensions .*, got shape \(6, 5\)"),
        ({"x": torch.zeros(1, 1, 4, 6, 5)}, ValueError, r"x must have 4 dimensions .*, got shape \(1, 1, 4, 6, 5\)"),
        ({"x": torch.zeros(1, 4, 0, 5)}, ValueError, "height and width of x must be at least 1, got 0"),
        ({"x": torch.zeros(1, 4, 6, 0)}, ValueError, "height and width of x must be at least 1, got 0"),
        ({"x": X.long()}, TypeError, "x must be of a floating-point type, .* got torch.int64"),
        ({"x": X.to(torch.complex64)}, TypeError, "x must be of a floating-point type, .* got torch.complex64"),
        ({"x": X.double()}, TypeError, "x and filter must have the same type, got torch.float64 and torch.float32"),
        ({"x": X.bfloat16()}, TypeError, "x and filter must have the same type, got torch.bfloat16 and torch.float32"),
        ({"x": X.numpy()}, TypeError, "x must be a Tensor, got ndarray"),
        ({"filter": "siren"}, TypeError, "filter must be a cclib.filters.Filter, got str"),
        ({"bias": torch.zeros(5)}, ValueError, r"bias must have shape \(6,\), got \(5,\)"),
        ({"bias": torch.zeros(6, 1, 1)}, ValueError, r"bias must have shape \(6,\), got \(6, 1, 1\)"),
        ({"bias": [0.0] * 6}, TypeError, "bias must be a Tensor.*, got list"),
        ({"bias": torch.zeros(6, dtype=torch.complex64)}, TypeError, "bias must be dense and of a floating.*complex64"),
        ({"bias": torch.zeros(6).to_sparse()}, TypeError, "bias must be dense .*torch.sparse_coo"),
        ({"bias": torch.zeros(6, device="meta")}, ValueError, "bias must be on the device of x, cpu, got meta"),
        ({"x": X.to_sparse()}, TypeError, r"x must be a dense tensor, as x.to_dense\(\) is, got .*torch.sparse_coo"),
        ({"x": X.to("meta")}, ValueError, "filter must be on the device of x, meta, got one on cpu"),
        ({"x": X.to(torch.float8_e4m3fn)}, TypeError, "x must be of a floating-point type, 16 to 64 bits wide, got"),
        ({"stretch": 1}, TypeError, "stretch must be True or False, got 1"),
        ({"stretch": ["yes"]}, TypeError, r"stretch must be True or False, got \['yes'\]"),
        ({"padding_mode": {"zeros": 1}}, ValueError, "padding_mode must be one of zeros, .*, got {'zeros': 1}"),
        ({"scale": 10**400}, ValueError, r"scale must be less than 2\^1023, .* got 1000"),
        ({"start": -(10**4000)}, ValueError, r"start must be less than 2\^1023, .* got an integer of 13288 bits"),
        ({"scale": Fraction(1, 10**400)}, ValueError, r"scale must be greater than 0, got 0\.0"),
        ({"unit": Fraction(1, 10**4000)}, ValueError, r"unit .* Fraction\(1, an integer of 13288 bits\)"),
        ({"scale": torch.tensor(1.0, device="meta")}, TypeError, "scale must be a number, got a tensor without values"),
        ({"size": (2**31 - 1, 8)}, ValueError, r"scale or size asks for 1\.7e\+10 outputs of each channel"),
    ],
)  # fmt: skip
def test_bad_input(changes, error, words):
    for implementation in ("auto", *IMPLEMENTATIONS):
        arguments = {"x": X, "filter": SIREN, "implementation": implementation, **changes}
        with pytest.raises(error, match=words):
            cc_conv2d(**arguments)


def test_make_gives_every_name_to_the_layer():
    for name in ("siren", "silu", "fourier", "spline", "bspline", "boxes", "linear", "cubic", "lanczos3", "box"):
        filter = make(name, 2, 2, 4, groups=2, window=True)
        assert cc_conv2d(torch.ones(1, 2, 5, 5), filter, scale=0.6, groups=2).shape == (1, 2, 3, 3)
