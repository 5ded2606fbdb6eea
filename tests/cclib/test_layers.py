"""CCConv2d as a layer: conversion from torch's discrete layers, state, compilation and the errors of its constructor.

The values of the convolution itself are tested in test_functional.py.
"""

import copy
import io
import itertools
import math
import pickle
import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import cclib
from cclib import CCConv2d, cc_conv2d
from cclib.filters import ClassicalFilter, MLPFilter
from cclib.functional import IMPLEMENTATIONS

every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


def assert_same(conv: nn.Module, *shapes: tuple[int, int]) -> None:
    """The converted layer gives what the discrete one gives, on each input size and with every implementation."""
    conv.double()
    layer = CCConv2d.from_conv(conv)
    for shape in shapes:
        x = torch.randn(2, conv.in_channels, *shape, dtype=torch.float64)
        expected = conv(x)
        for layer.implementation in ("auto", *IMPLEMENTATIONS):
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, (3, 2), (1, 4)])
@pytest.mark.parametrize("stride", [1, 2, 3, (2, 1)])
@pytest.mark.parametrize("padding", [0, 1, (2, 0), "valid"])
def test_equal_to_conv2d(kernel_size, stride, padding):
    torch.manual_seed(0)
    assert_same(nn.Conv2d(2, 3, kernel_size, stride, padding), (7, 6))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # torch's own advice
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, (3, 2), (5, 4)])
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate", "circular"])
def test_equal_to_conv2d_with_same_padding(kernel_size, padding_mode):
    torch.manual_seed(0)
    assert_same(nn.Conv2d(2, 3, kernel_size, padding="same", padding_mode=padding_mode), (7, 6))


@pytest.mark.parametrize("padding_mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding"), [(3, 1, 1), (4, 2, (1, 2)), ((5, 2), (3, 2), (2, 1)), (2, 3, 3)]
)
def test_equal_to_conv2d_with_padding_modes(padding_mode, kernel_size, stride, padding):
    torch.manual_seed(0)
    assert_same(nn.Conv2d(2, 3, kernel_size, stride, padding, padding_mode=padding_mode), (7, 6), (4, 8))


@pytest.mark.parametrize(("groups", "channels"), [(2, (4, 6)), (3, (3, 3)), (3, (3, 6)), (4, (8, 4))])
def test_equal_to_grouped_layers(groups, channels):
    torch.manual_seed(0)
    assert_same(nn.Conv2d(*channels, 3, 2, 1, groups=groups), (7, 6))
    assert_same(nn.Conv2d(*channels, (2, 3), groups=groups, bias=False), (7, 6))
    assert_same(nn.ConvTranspose2d(*channels, 4, 2, 1, groups=groups), (5, 4))
    assert_same(nn.ConvTranspose2d(*channels, (3, 2), (2, 3), groups=groups, bias=False), (5, 4))


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, (3, 2), (1, 4)])
@pytest.mark.parametrize("stride", [1, 2, 3, (3, 2)])
@pytest.mark.parametrize("padding", [0, 1, (0, 2)])
def test_equal_to_conv_transpose2d(kernel_size, stride, padding):
    torch.manual_seed(0)
    strides = (stride, stride) if isinstance(stride, int) else stride
    for extra in {(0, 0), (0, strides[1] - 1), (strides[0] - 1, 0)}:
        conv = nn.ConvTranspose2d(2, 3, kernel_size, stride, padding, output_padding=extra)
        assert_same(conv, (5, 6))


@pytest.mark.parametrize(
    "conv",
    [nn.Conv2d(2, 3, 4, 2, 1), nn.Conv2d(2, 3, 3, 1, 1, padding_mode="reflect"), nn.ConvTranspose2d(2, 3, 3, 2, 1, 1)],
    ids=["strided", "reflect", "transposed"],
)
def test_a_converted_layer_serves_any_input_size_and_keeps_its_gradients(conv):
    assert_same(conv, *itertools.product((4, 5, 9), (6, 7)))
    layer = CCConv2d.from_conv(conv)
    x = torch.randn(1, 2, 6, 7, dtype=torch.float64, requires_grad=True)
    found, expected = (torch.autograd.grad(m(x).square().sum(), (x, m.bias)) for m in (layer, conv))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert layer(x[0]).shape == conv(x[0]).shape


def test_a_converted_layer_is_a_copy_of_its_own():
    conv = nn.Conv2d(2, 3, 3).double().eval()
    layer = CCConv2d.from_conv(conv)
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    before = layer(x)
    with torch.no_grad():
        conv.weight.zero_()
    assert torch.equal(layer(x), before)
    assert not layer.training
    assert all(parameter.dtype == torch.float64 and parameter.requires_grad for parameter in layer.parameters())
    assert sum(p.numel() for p in layer.parameters()) == sum(p.numel() for p in conv.parameters())


def test_a_converted_layer_can_be_called_at_any_other_geometry():
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1).double()
    layer = CCConv2d.from_conv(conv)
    x = torch.randn(1, 2, 9, 9, dtype=torch.float64)
    assert layer(x).shape == (1, 3, 5, 5)
    assert layer(x, size=(7, 4)).shape == (1, 3, 7, 4)
    dense = nn.functional.conv2d(x, conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(layer(x, scale=1), dense, rtol=0, atol=1e-12)
    # moved by one input pixel, the strided outputs are the odd ones of the dense layer
    torch.testing.assert_close(layer(x, start=1)[..., :4, :4], dense[..., 1::2, 1::2], rtol=0, atol=1e-12)
    torch.testing.assert_close(layer(x, start=(None, 1))[..., :4], dense[..., ::2, 1::2], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("conv", "error", "words"),
    [
        (nn.Conv2d(2, 2, 3, dilation=2), ValueError, r"conv must have dilation 1, got \(2, 2\)"),
        (nn.ConvTranspose2d(2, 2, 3, dilation=(1, 3)), ValueError, r"conv must have dilation 1, got \(1, 3\)"),
        (nn.Conv1d(2, 2, 3), TypeError, "conv must be a Conv2d or ConvTranspose2d, got Conv1d"),
        (nn.Linear(2, 2), TypeError, "conv must be a Conv2d or ConvTranspose2d, got Linear"),
        (CCConv2d(2, 2, 3), TypeError, "conv must be a Conv2d or ConvTranspose2d, got CCConv2d"),
    ],
    ids=["dilated", "dilated transposed", "one axis", "linear", "continuous"],
)
def test_what_cannot_be_converted(conv, error, words):
    with pytest.raises(error, match=words):
        CCConv2d.from_conv(conv)


def test_a_converted_layer_without_output():
    with pytest.raises(ValueError, match=r"input size 4 with padding \(0, 0\) is smaller than kernel_size 5"):
        CCConv2d.from_conv(nn.Conv2d(2, 2, (3, 5)))(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match=r"x must have 2 channels .*, got 3"):
        CCConv2d.from_conv(nn.Conv2d(2, 2, 3))(torch.zeros(1, 3, 8, 8))


def test_the_promises_of_the_api_page():
    layer = cclib.CCConv2d(16, 32, kernel_size=4, scale=3 / 4)
    x = torch.randn(2, 16, 28, 28)
    assert layer(x).shape == (2, 32, 21, 21)
    assert layer(x, size=(20, 25)).shape == (2, 32, 20, 25)
    assert layer(x, scale=(0.9, 1.3)).shape == (2, 32, 26, 37)
    assert layer(x, scale=0.5, size=(15, 15)).shape == (2, 32, 15, 15)
    assert layer(x, start=(0.25, 0.25)).shape == (2, 32, 21, 21)
    assert layer(x, scale=Fraction(1, 3)).shape == (2, 32, 10, 10)
    assert layer(x, size=(np.int64(5), 6)).shape == (2, 32, 5, 6)
    assert layer(x, scale=np.float64(0.5)).shape == (2, 32, 14, 14)
    assert layer(x, scale=np.int64(1), start=np.float32(0.5)).shape == (2, 32, 28, 28)


def test_a_layer_is_the_function_with_its_own_settings():
    torch.manual_seed(0)
    filter = MLPFilter(4, 6, 3, groups=2)
    layer = CCConv2d(4, 6, 3, scale=(0.5, 1.5), groups=2, padding_mode="circular", filter=filter, stretch=True)
    x = torch.randn(1, 4, 7, 6)
    settings = {"groups": 2, "padding_mode": "circular", "stretch": True}
    for call in ({}, {"scale": 0.7}, {"size": 5}, {"start": 1}, {"scale": 0.5, "size": (3, 4)}):
        geometry = call if "scale" in call or "size" in call else {"scale": (0.5, 1.5), **call}
        assert torch.equal(layer(x, **call), cc_conv2d(x, filter, layer.bias, **geometry, **settings))
    assert "kernel_size=3, scale=(0.5, 1.5), groups=2, padding_mode='circular', stretch=True" in repr(layer)


def test_the_bias_is_added_once_and_can_be_left_out():
    layer = CCConv2d(2, 3, 3).double()
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    bare = cc_conv2d(x, layer.filter)
    torch.testing.assert_close(layer(x) - bare, layer.bias.detach()[:, None, None].expand(1, 3, 5, 5))
    assert layer.bias.any()
    without = CCConv2d(2, 3, 3, bias=False)
    assert without.bias is None
    assert not without(torch.zeros(1, 2, 5, 5)).any()


def layers() -> dict[str, CCConv2d]:
    torch.manual_seed(0)
    return {
        "siren": CCConv2d(2, 4, 3, scale=(0.75, Fraction(3, 2))),
        "fourier": CCConv2d(2, 4, (3, 4), filter="fourier", groups=2, stretch=True, scale=0.6),
        "silu": CCConv2d(2, 4, 3, filter="silu", padding_mode="reflect"),
        "spline": CCConv2d(2, 4, 4, filter="spline", bias=False),
        "cubic": CCConv2d(2, 2, 4, filter="cubic", groups=2, stretch=True, scale=0.5),
        "converted": CCConv2d.from_conv(nn.Conv2d(2, 4, 3, 2, 1, padding_mode="circular")),
        "converted transposed": CCConv2d.from_conv(nn.ConvTranspose2d(2, 4, 4, 2, 1)),
    }


@pytest.mark.parametrize("name", layers())
def test_copies_and_pickles_compute_the_same(name):
    layer = layers()[name]
    x = torch.randn(1, 2, 8, 7)
    expected = layer(x)
    saved = io.BytesIO()
    torch.save(layer.state_dict(), saved)
    saved.seek(0)
    restored = another(layer)
    restored.load_state_dict(torch.load(saved, weights_only=True))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), restored):
        assert other is not layer
        assert torch.equal(other(x), expected)
        assert torch.equal(other(x, size=(5, 6)), layer(x, size=(5, 6)))
        for parameter in other.parameters():
            with torch.no_grad():
                parameter.add_(1)
    assert torch.equal(layer(x), expected)


def another(layer: CCConv2d) -> CCConv2d:
    """A layer of the same kind with other parameters."""
    other = copy.deepcopy(layer)
    with torch.no_grad():
        for value in (*other.parameters(), *other.buffers()):
            value.normal_()
    return other


@pytest.mark.parametrize("name", ["siren", "spline", "fourier", "silu"])
def test_a_step_of_training_lowers_the_loss(name):
    layer = layers()[name]
    x = torch.randn(4, 2, 8, 7)
    target = torch.randn_like(layer(x))
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3)
    before = nn.functional.mse_loss(layer(x), target)
    before.backward()
    optimizer.step()
    assert nn.functional.mse_loss(layer(x), target) < before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler meets its own
@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_compiled_networks_give_the_same_output(backend):
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler here")
    torch.manual_seed(0)
    network = nn.Sequential(
        CCConv2d(2, 4, 3, scale=0.75), nn.ReLU(), CCConv2d(4, 3, 4, filter="spline", scale=1.5), nn.Tanh(),
        CCConv2d.from_conv(nn.Conv2d(3, 2, 3, 2, 1)),
    )  # fmt: skip
    torch._dynamo.reset()
    compiled = torch.compile(network, backend=backend)
    for shape in ((2, 2, 8, 8), (1, 2, 7, 9)):
        x = torch.randn(shape)
        torch.testing.assert_close(compiled(x), network(x), rtol=1e-5, atol=1e-6)
        found, expected = (torch.autograd.grad(f(x).sum(), list(network.parameters())) for f in (compiled, network))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"in_channels": 0}, ValueError, "in_channels must be at least 1, got 0"),
        ({"out_channels": 2.0}, TypeError, r"out_channels must be an integer, got 2\.0"),
        ({"groups": 3}, ValueError, "groups=3 must divide in_channels=4 and out_channels=6"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": True}, TypeError, "groups must be an integer, got True"),
        ({"kernel_size": 0}, ValueError, "(kernel_size|support) must be greater than 0"),
        ({"kernel_size": (3, -1)}, ValueError, "(kernel_size|support) must be greater than 0"),
        ({"kernel_size": "3"}, TypeError, "kernel_size must be a number, got '3'"),
        ({"scale": 0}, ValueError, "scale must be greater than 0, got 0"),
        ({"scale": (1, -2)}, ValueError, "scale must be greater than 0, got -2"),
        ({"scale": math.nan}, ValueError, "scale must be finite, got nan"),
        ({"scale": math.inf}, ValueError, "scale must be finite, got inf"),
        ({"scale": "1"}, TypeError, "scale must be a number, got '1'"),
        ({"scale": None}, TypeError, "scale must be a number, got None"),
        ({"scale": True}, TypeError, "scale must be a number, got True"),
        ({"scale": (1, 2, 3)}, ValueError, "scale must be a number or a pair"),
        ({"scale": torch.tensor(1.0)}, TypeError, "scale must be a number, got tensor"),
        ({"padding_mode": "constant"}, ValueError, "padding_mode must be one of zeros, .*, got 'constant'"),
        ({"filter": "gauss"}, ValueError, "filter must be a Filter or one of siren, .*, got 'gauss'"),
        ({"filter": None}, TypeError, "filter must be a name or a cclib.filters.Filter, got NoneType"),
        ({"filter": "cubic"}, ValueError, "in_channels=4, out_channels=6 and groups=1 must be equal"),
        ({"filter": MLPFilter(4, 5, 3)}, ValueError, r"filter must give \(6, 4\) matrices .* it gives \(5, 4\)"),
        ({"filter": ClassicalFilter("box", 6)}, ValueError, r"filter must give \(6, 4\) matrices .* it gives \(6, 1\)"),
        ({"implementation": "gpu"}, ValueError, "implementation must be one of auto, .*, got 'gpu'"),
        ({"implementation": None}, ValueError, "implementation must be one of auto, .*, got None"),
    ],
)
def test_wrong_layers(changes, error, words):
    with pytest.raises(error, match=words):
        CCConv2d(**{"in_channels": 4, "out_channels": 6, "kernel_size": 3, **changes})


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ({"scale": -1}, ValueError, "scale must be greater than 0, got -1"),
        ({"scale": "1"}, TypeError, "scale must be a number, got '1'"),
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": (2.5, 1)}, TypeError, r"size must be an integer, got 2\.5"),
        ({"start": math.nan}, ValueError, "start must be finite, got nan"),
        ({"start": (0, 1, 2)}, ValueError, "start must be a number or a pair"),
    ],
)
@pytest.mark.parametrize("name", ["siren", "converted"])
def test_wrong_calls(name, call, error, words):
    with pytest.raises(error, match=words):
        layers()[name](torch.zeros(1, 2, 6, 6), **call)


@every_implementation
@pytest.mark.parametrize("kernel_size", [13, (3, 14)])
def test_a_reflection_wider_than_the_image(implementation, kernel_size):
    layer = CCConv2d(2, 2, kernel_size, padding_mode="reflect", implementation=implementation)
    with pytest.raises(ValueError, match=r"padding_mode 'reflect' allows a pad of at most 5 on 6 pixels, got 6"):
        layer(torch.zeros(1, 2, 6, 6))
    assert layer(torch.zeros(1, 2, 8, 8)).shape == (1, 2, 8, 8)
