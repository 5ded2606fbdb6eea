"""CCConv2d as a layer: its settings, state, compilation and the errors of its constructor.

The values of the convolution are tested with ``cc_conv2d``, conversion in test_conversion.py.
"""

import copy
import io
import math
import pickle
import shutil
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import cclib
from cclib import CCConv2d, cc_conv2d
from cclib.filters import FILTERS, ClassicalFilter, MLPFilter
from cclib.functional import IMPLEMENTATIONS

every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


def test_sizes_and_scales_at_the_call():
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


@pytest.mark.parametrize(
    ("in_tensors", "plain"),
    [
        ({"size": torch.tensor(5)}, {"size": 5}),
        ({"size": torch.tensor([5, 6])}, {"size": (5, 6)}),
        ({"size": (torch.tensor(5), 6)}, {"size": (5, 6)}),
        ({"scale": torch.tensor(0.9)}, {"scale": 0.9}),
        ({"scale": torch.tensor([2 / 3, 1.5])}, {"scale": (2 / 3, 1.5)}),
        ({"start": torch.tensor([0.25, 1])}, {"start": (0.25, 1)}),
        ({"unit": torch.tensor([1.5, 1])}, {"unit": (1.5, 1)}),
    ],
)
def test_geometry_in_tensors(in_tensors, plain):
    layer = layers()["siren"]
    x = torch.randn(1, 2, 8, 7)
    assert torch.equal(layer(x, **in_tensors), layer(x, **plain))
    assert torch.equal(layer.freeze((8, 7), **in_tensors)(x), layer.freeze((8, 7), **plain)(x))


def test_settings_in_tensors():
    layer = CCConv2d(2, 4, torch.tensor([3, 4]), scale=torch.tensor(0.9), unit=torch.tensor(1.2))
    assert layer.unit == (Fraction(6, 5),) * 2
    assert layer.kernel_size == (3, 4)
    assert layer.scale == (Fraction(9, 10),) * 2
    assert "kernel_size=(3, 4), scale=9/10" in repr(layer)


def test_the_scale_can_be_set():
    layer = layers()["siren"]
    x = torch.randn(1, 2, 8, 7)
    expected = layer(x, scale=1.5)
    layer.scale = 1.5
    assert torch.equal(layer(x), expected)
    assert torch.equal(layer.freeze((8, 7))(x), layer.freeze((8, 7), scale=1.5)(x))
    with pytest.raises(ValueError, match=r"scale must be greater than 0, got -1\.0"):
        layer.scale = -1
    assert layer.scale == 1.5


def test_the_unit_can_be_set():
    layer = layers()["siren"]
    x = torch.randn(1, 2, 8, 7)
    expected, plain = layer(x, unit=(1.5, 1)), layer(x)
    layer.unit = [1.5, 1]
    assert layer.unit == (1.5, 1)
    assert torch.equal(layer(x), expected)
    assert torch.equal(layer(x, unit=1), plain)
    assert torch.equal(layer.freeze((8, 7))(x), layer.freeze((8, 7), unit=(1.5, 1))(x))
    assert ", unit=(1.5, 1)" in repr(layer)
    assert "unit=" not in repr(layers()["siren"])


def test_the_unit_leaves_a_converted_layer_its_geometry():
    conv = nn.Conv2d(2, 4, 3, 2, 1)
    layer, x = CCConv2d.from_conv(conv), torch.randn(1, 2, 8, 7)
    torch.testing.assert_close(layer(x, unit=1), conv(x), rtol=0, atol=1e-6)
    expected = cc_conv2d(x, layer.filter, layer.bias, scale=0.5, size=(4, 4), start=0, unit=1.5)
    assert torch.equal(layer(x, unit=1.5), expected)


@pytest.mark.parametrize("filter", ["siren", "silu", "fourier", "spline", "bspline", "boxes"])
def test_a_partition_of_unity_is_a_property_of_the_filter(filter):
    layer = CCConv2d(2, 4, 3, filter=filter, partition_of_unity=True)
    assert layer.filter.partition_of_unity
    assert "partition_of_unity=True" in repr(layer)
    assert CCConv2d(2, 4, 3, filter=layer.filter).filter.partition_of_unity
    assert not CCConv2d(2, 4, 3, filter=filter).filter.partition_of_unity
    plain = CCConv2d(2, 4, 3, filter=filter)
    plain.load_state_dict(layer.state_dict())  # it has no parameters of its own
    offsets = torch.rand(5, 2)
    assert torch.equal(plain.filter(offsets), layer.filter(offsets))


def test_a_registered_filter_may_be_a_partition_of_unity_of_its_own(monkeypatch):
    monkeypatch.setitem(FILTERS, "whole", partial(MLPFilter, partition_of_unity=True))
    assert CCConv2d(2, 4, 3, filter="whole").filter.partition_of_unity


@pytest.mark.parametrize("filter", ["siren", "spline", "cubic", MLPFilter(4, 4, 3)])
def test_device_and_type_of_the_parameters(filter):
    kernel_size, groups = (4, 4) if filter == "cubic" else (3, 1)
    layer = CCConv2d(4, 4, kernel_size, groups=groups, filter=filter, dtype=torch.float64)
    assert {value.dtype for value in layer.parameters()} == {torch.float64}
    assert layer(torch.zeros(1, 4, 5, 5, dtype=torch.float64)).dtype == torch.float64
    assert CCConv2d(4, 4, 3, device="meta", dtype=torch.float16).bias.device.type == "meta"


def test_a_seed_gives_the_same_layer_in_every_type():
    states = []
    for dtype in (None, torch.float64):
        torch.manual_seed(3)
        states.append(CCConv2d(2, 4, 3, dtype=dtype).float().state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_layer_is_the_function_with_its_own_settings():
    torch.manual_seed(0)
    filter = MLPFilter(4, 6, 3, groups=2)
    settings: dict[str, Any] = {"groups": 2, "padding_mode": "circular", "unit": (1.5, 0.8)}
    layer = CCConv2d(4, 6, 3, scale=(0.5, 1.5), filter=filter, **settings)
    x = torch.randn(1, 4, 7, 6)
    assert torch.equal(layer(x), cc_conv2d(x, filter, layer.bias, scale=(0.5, 1.5), **settings))
    settings = {"groups": 2, "padding_mode": "circular", "stretch": True}
    layer = CCConv2d(4, 6, 3, scale=(0.5, 1.5), filter=filter, **settings)
    calls: list[dict[str, Any]] = [{}, {"scale": 0.7}, {"size": 5}, {"start": 1}, {"scale": 0.5, "size": (3, 4)}]
    for call in calls:
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
        "bspline": CCConv2d(2, 4, 4, filter="bspline", scale=0.75),
        "boxes": CCConv2d(2, 4, 4, filter="boxes", scale=0.75),
        "cubic": CCConv2d(2, 2, 4, filter="cubic", groups=2, stretch=True, scale=0.5),
        "partition of unity": CCConv2d(2, 4, 3, partition_of_unity=True, scale=0.75, unit=1.5),
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


@pytest.mark.parametrize("name", ["siren", "spline", "bspline", "boxes", "fourier", "silu"])
def test_a_step_of_training_lowers_the_loss(name):
    layer = layers()[name]
    x = torch.randn(4, 2, 8, 7)
    target = torch.randn_like(layer(x))
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3)
    before = nn.functional.mse_loss(layer(x), target)
    before.backward()
    optimizer.step()
    assert nn.functional.mse_loss(layer(x), target) < before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler runs into its own
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # and would hide this one
@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_networks_compiled_without_a_break_give_the_same_output(backend):
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler here")
    torch.manual_seed(0)
    network = nn.Sequential(
        CCConv2d(2, 4, 3, scale=0.75), nn.ReLU(), CCConv2d(4, 3, 4, filter="spline", scale=1.5), nn.Tanh(),
        CCConv2d.from_conv(nn.Conv2d(3, 2, 3, 2, 1)),
    )  # fmt: skip
    torch._dynamo.reset()
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    for shape in ((2, 2, 8, 8), (1, 2, 7, 9)):
        x = torch.randn(shape)
        torch.testing.assert_close(compiled(x), network(x), rtol=1e-5, atol=1e-6)
        gradients, expected = (torch.autograd.grad(f(x).sum(), list(network.parameters())) for f in (compiled, network))
        torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-5)


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
        ({"scale": torch.tensor(True)}, TypeError, "scale must be a number, got tensor"),
        ({"scale": torch.ones(2, 2)}, ValueError, r"scale must be a number or a pair .* a tensor of shape \(2, 2\)"),
        ({"kernel_size": torch.ones(3)}, ValueError, r"kernel_size must be .* a tensor of shape \(3,\)"),
        ({"stride": 2}, TypeError, "stride is an argument of discrete layers: a stride of t is scale=1/t.*from_conv"),
        ({"padding": 1}, TypeError, "padding is an argument of discrete layers: the output has the size .* start"),
        ({"output_padding": 1}, TypeError, "output_padding is an argument of discrete layers: .* size, at the call"),
        ({"dilation": 2}, TypeError, r"dilation is an argument of discrete layers: .*d \* \(k - 1\) \+ 1, dilation=d"),
        ({"windows": True}, TypeError, "CCConv2d has no argument 'windows'"),
        ({"padding_mode": "constant"}, ValueError, "padding_mode must be one of zeros, .*, got 'constant'"),
        ({"filter": "gauss"}, ValueError, "filter must be a Filter or one of .*siren.*, got 'gauss'"),
        ({"filter": None}, TypeError, "filter must be a name or a cclib.filters.Filter, got NoneType"),
        ({"filter": "cubic"}, ValueError, "in_channels=4, out_channels=6 and groups=1 must be equal"),
        ({"filter": MLPFilter(4, 5, 3)}, ValueError, r"filter must give \(6, 4\) matrices .* it gives \(5, 4\)"),
        ({"filter": ClassicalFilter("box", 6)}, ValueError, r"filter must give \(6, 4\) matrices .* it gives \(6, 1\)"),
        (
            {"filter": MLPFilter(4, 6, 3), "partition_of_unity": True},
            ValueError,
            "partition_of_unity must be set on the",
        ),
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
        ({"size": torch.tensor([4.0, 4.0])}, TypeError, r"size must be an integer, got tensor\(4\.\)"),
        ({"size": torch.ones(2, 1)}, ValueError, r"size must be a number or a pair .* a tensor of shape \(2, 1\)"),
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


def test_a_list_given_as_scale_is_not_kept():
    scale = [0.5, 0.5]
    layer = CCConv2d(2, 2, 3, scale=scale)
    scale[0] = 2.0
    assert layer(torch.zeros(1, 2, 8, 8)).shape == (1, 2, 4, 4)
