"""Conversion of discrete layers and networks: the same output, on every path, and what cannot be converted."""

import copy
import itertools
import pickle
import re
from typing import Any, TypeVar

import pytest
import torch
from torch import nn
from torch.nn.utils import prune, spectral_norm, weight_norm
from torch.nn.utils.parametrizations import orthogonal

import cclib
from cclib import CCConv2d
from cclib.filters import SplineFilter
from cclib.functional import IMPLEMENTATIONS

Layer = TypeVar("Layer", bound=nn.Module)


class Own(nn.Conv2d):
    """A discrete layer that computes something else than its base."""

    def forward(self, x):
        return super().forward(x.flip(-1))


class OwnCall(nn.Conv2d):
    def __call__(self, x):
        return super().__call__(x) + 1


class OwnState(nn.Conv2d):
    def get_extra_state(self):
        return {"calls": 0}


def hooked(layer: nn.Module, kind: str = "forward") -> nn.Module:
    getattr(layer, f"register_{kind}_hook")(lambda *_: None)
    return layer


def altered(layer: Layer, **attributes: object) -> Layer:
    """The layer with attributes set after it was made."""
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


def buffered(layer: nn.Module) -> nn.Module:
    layer.register_buffer("mask", torch.ones(3))
    return layer


def normed(layer: nn.Module) -> nn.Module:
    with pytest.warns(FutureWarning, match="weight_norm"):
        return weight_norm(layer)


def assert_same(conv: nn.Conv2d | nn.ConvTranspose2d, *shapes: tuple[int, int]) -> None:
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


@pytest.mark.parametrize(("groups", "inputs", "outputs"), [(2, 4, 6), (3, 3, 3), (3, 3, 6), (4, 8, 4)])
def test_equal_to_grouped_layers(groups, inputs, outputs):
    torch.manual_seed(0)
    assert_same(nn.Conv2d(inputs, outputs, 3, 2, 1, groups=groups), (7, 6))
    assert_same(nn.Conv2d(inputs, outputs, (2, 3), groups=groups, bias=False), (7, 6))
    assert_same(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, groups=groups), (5, 4))
    assert_same(nn.ConvTranspose2d(inputs, outputs, (3, 2), (2, 3), groups=groups, bias=False), (5, 4))


@pytest.mark.parametrize("kernel_size", [2, 3, (1, 4)])
@pytest.mark.parametrize("dilation", [2, 3, (1, 2)])
@pytest.mark.parametrize("stride", [1, 2, (3, 1)])
def test_equal_to_dilated_layers(kernel_size, dilation, stride):
    torch.manual_seed(0)
    assert_same(nn.Conv2d(2, 3, kernel_size, stride, 2, dilation), (9, 10))
    assert_same(nn.Conv2d(2, 4, kernel_size, stride, 1, dilation, groups=2, padding_mode="reflect"), (9, 10))
    assert_same(nn.ConvTranspose2d(2, 3, kernel_size, stride, 1, dilation=dilation), (5, 6))
    layer = CCConv2d.from_conv(conv := nn.Conv2d(2, 3, kernel_size, stride, dilation=dilation))
    assert layer.filter.get_parameter("weight").numel() == conv.weight.numel()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_equal_to_dilated_layers_with_same_padding(kernel_size):
    assert_same(nn.Conv2d(2, 3, kernel_size, padding="same", dilation=(2, 3)), (9, 10))


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
    gradients, expected = (
        torch.autograd.grad(m(x).square().sum(), (x, m.get_parameter("bias"))) for m in (layer, conv)
    )
    for a, b in zip(gradients, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert layer(x[0]).shape == conv(x[0]).shape


@pytest.mark.parametrize("padding", [6, 7, 12, (7, 6)])
def test_a_circular_padding_goes_around_once_as_in_torch(padding):
    conv = nn.Conv2d(2, 3, 3, padding=padding, padding_mode="circular")
    layer, x = CCConv2d.from_conv(conv), torch.randn(1, 2, 6, 6)
    if padding == 6:
        torch.testing.assert_close(layer(x), conv(x), rtol=0, atol=1e-6)
        return
    with pytest.raises(RuntimeError, match="wrapping around more than once"):
        conv(x)
    for call in (lambda: layer(x), lambda: layer.freeze(6)):
        with pytest.raises(ValueError, match=r"padding_mode 'circular' .* allows a pad of at most 6 on 6 pixels, got"):
            call()
    assert layer(x, scale=1).shape == (1, 3, 6, 6)  # no geometry of a discrete layer


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
        (nn.LazyConv2d(2, 3), ValueError, "cannot be converted: LazyConv2d has no weights before its first call"),
        (Own(2, 2, 3), ValueError, "cannot be converted: Own has a forward of its own"),
        (orthogonal(nn.Conv2d(2, 2, 3)), ValueError, "cannot be converted: its weight is computed"),
        (hooked(nn.Conv2d(2, 2, 3)), ValueError, "cannot be converted: it has hooks"),
        (hooked(nn.Conv2d(2, 2, 3), "state_dict_pre"), ValueError, "cannot be converted: it has hooks"),
        (hooked(nn.Conv2d(2, 2, 3), "load_state_dict_post"), ValueError, "cannot be converted: it has hooks"),
        (OwnCall(2, 2, 3), ValueError, "cannot be converted: OwnCall has a __call__ of its own"),
        (OwnState(2, 2, 3), ValueError, "cannot be converted: OwnState has a get_extra_state of its own"),
        (altered(nn.Conv2d(2, 2, 3), forward=torch.relu), ValueError, "its forward was replaced"),
        (altered(nn.Conv2d(2, 2, 3), _conv_forward=torch.relu), ValueError, "its _conv_forward was replaced"),
        (buffered(nn.Conv2d(2, 2, 3)), ValueError, "it holds 'mask' besides weight and bias"),
        (altered(nn.Conv2d(2, 2, 3), gain=nn.Parameter(torch.ones(1))), ValueError, "it holds 'gain' besides"),
        (altered(nn.Conv2d(2, 2, 3), act=nn.ReLU()), ValueError, "it holds 'act' besides weight and bias"),
        (spectral_norm(nn.Conv2d(2, 2, 3)), ValueError, "its weight is computed"),
        (prune.identity(nn.Conv2d(2, 2, 3), "bias"), ValueError, "its bias is computed"),
        (nn.ConvTranspose2d(2, 2, 3, 2, output_padding=2), ValueError, r"its output_padding \(2, 2\) must be smaller"),
        (nn.Conv2d(2, 2, 3, padding=-1), ValueError, r"its padding is \(-1, -1\)"),
        (altered(nn.Conv2d(2, 2, 3), stride=0), ValueError, r"its stride is \(0, 0\)"),
        (altered(nn.Conv2d(2, 2, 3), dilation=(1, 2, 3)), ValueError, r"dilation must be a number or a pair"),
        (altered(nn.Conv2d(2, 2, 3, padding="same"), stride=2), ValueError, r"stride is \(2, 2\) with padding='same'"),
        (altered(nn.Conv2d(2, 2, 3), padding_mode="constant"), ValueError, "its padding_mode is 'constant'"),
        (altered(nn.Conv2d(2, 2, 3), groups=2), ValueError, r"has shape \(2, 2, 3, 3\), not \(2, 1, 3, 3\)"),
        (nn.Conv2d(2, 2, 3, dtype=torch.complex64), ValueError, r"its weights are of type torch\.complex64"),
        (nn.Conv1d(2, 2, 3), TypeError, "conv must be a Conv2d or ConvTranspose2d, got Conv1d"),
        (nn.Linear(2, 2), TypeError, "conv must be a Conv2d or ConvTranspose2d, got Linear"),
        (CCConv2d(2, 2, 3), TypeError, "conv must be a Conv2d or ConvTranspose2d, got CCConv2d"),
    ],
)
def test_what_cannot_be_converted(conv, error, words):
    with pytest.raises(error, match=words):
        CCConv2d.from_conv(conv)


def test_a_converted_layer_without_output():
    with pytest.raises(
        ValueError, match=r"x must have at least 5 pixels .* kernel_size 5 and padding \(0, 0\), got an input size of 4"
    ):
        CCConv2d.from_conv(nn.Conv2d(2, 2, (3, 5)))(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match=r"x must have 2 channels .*, got 3"):
        CCConv2d.from_conv(nn.Conv2d(2, 2, 3))(torch.zeros(1, 3, 8, 8))


def test_a_converted_layer_leaves_the_discrete_geometry_when_its_scale_is_set():
    torch.manual_seed(0)
    layer = CCConv2d.from_conv(nn.Conv2d(2, 3, 3, stride=2, padding=1))
    assert "scale=1/2, geometry of a discrete layer" in repr(layer)
    x = torch.randn(1, 2, 9, 9)
    expected = layer(x, scale=0.7)
    layer.scale = 0.7
    assert torch.equal(layer(x), expected)
    assert "scale=0.7\n" in repr(layer)
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x), expected)


@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_what_is_not_trained_stays_so(frozen):
    conv = nn.Conv2d(2, 3, 3)
    getattr(conv, frozen).requires_grad_(False)
    layer = CCConv2d.from_conv(conv)
    assert layer.filter.weight.requires_grad == conv.weight.requires_grad
    assert layer.bias.requires_grad == conv.bias.requires_grad


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(4, 6, (3, 2), 2, 1, groups=2),
        lambda: nn.ConvTranspose2d(4, 6, (3, 4), (2, 1), 1, groups=2),
        lambda: nn.Conv2d(4, 6, 3, dilation=2, bias=False),
    ],
    ids=["conv", "transposed", "dilated"],
)
def test_a_converted_layer_loads_the_state_of_a_discrete_one(make):
    torch.manual_seed(0)
    layer, other = CCConv2d.from_conv(make()), make()
    x = torch.randn(1, 4, 9, 8)
    for converted in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        converted.load_state_dict(other.state_dict())
        torch.testing.assert_close(converted(x), other(x), rtol=0, atol=1e-5)
    layer.load_state_dict(converted.state_dict())  # its own form too
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        layer.load_state_dict(nn.Conv2d(4, 6, 5, groups=2, bias=layer.bias is not None).state_dict())


@pytest.mark.parametrize("make", [lambda: nn.Conv2d(3, 3, 3), lambda: nn.ConvTranspose2d(3, 3, 3, 2)])
@pytest.mark.parametrize("shape", [(3, 3, 1, 9), (3, 3, 9), (3, 3), (81,), ()])
def test_a_weight_of_another_shape_is_not_loaded(make, shape):
    network = cclib.convert(nn.Sequential(make())).network
    before = copy.deepcopy(network.state_dict())
    words = rf"size mismatch for 0\.weight: copying .* {re.escape(str(torch.Size(shape)))} .*\(\[3, 3, 3, 3\]\)\.$"
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=words) as caught:
            network.load_state_dict({"0.weight": torch.zeros(shape), "0.bias": before["0.bias"]}, strict=strict)
        assert "Missing" not in str(caught.value)
    with pytest.raises(RuntimeError, match=r'named "0\.weight", expected torch\.Tensor .* received <class \'str\'>'):
        network.load_state_dict({"0.weight": "none", "0.bias": before["0.bias"]})
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_settings_changed_after_a_layer_was_made_hold():
    torch.manual_seed(0)
    assert_same(altered(nn.Conv2d(2, 3, 3), stride=2, padding=1, dilation=2), (9, 8))
    assert_same(altered(nn.ConvTranspose2d(2, 3, 3, padding=1), stride=2, output_padding=1), (5, 6))
    assert_same(altered(nn.Conv2d(2, 3, 3, padding="same", padding_mode="circular"), stride=2), (9, 8))
    # outside of the image other than zeros, torch pads by what the layer was made with
    assert_same(altered(nn.Conv2d(2, 3, 3, padding=(2, 1)), padding_mode="reflect", padding=0), (9, 8))
    assert_same(nn.Conv2d(2, 3, 3, padding=-1, padding_mode="reflect"), (9, 8))


def test_a_spline_that_dilation_does_not_fit():
    with pytest.raises(ValueError, match=r"dilation=2 must divide kernel_size / spacing − 1, got kernel_size=4"):
        SplineFilter(1, 1, 4, dilation=2)


class Network(nn.Module):
    """Residual, depthwise, dilated and transposed layers; one is used twice, two share a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Conv2d(8, 8, 5, padding="same", groups=8, padding_mode="circular")
        self.blocks = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=2, dilation=2), self.depthwise])
        self.own = Own(8, 8, 1)
        self.tied = nn.ModuleList([nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)])
        self.tied[1].weight = self.tied[0].weight
        self.up = nn.ConvTranspose2d(8, 4, 4, 2, 1)
        self.rows = nn.Conv1d(4, 2, 3)

    def forward(self, x):
        x = self.stem(x)
        for block in (*self.blocks, self.own, *self.tied):
            x = x + block(x)
        return self.rows(self.up(self.depthwise(x)).mean(-1))


def test_a_network_keeps_its_output():
    torch.manual_seed(0)
    network = Network().double().eval()
    network.get_parameter("stem.0.weight").requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    x = torch.randn(2, 3, 12, 10, dtype=torch.float64)
    conversion = cclib.convert(network)
    torch.testing.assert_close(conversion.network(x), network(x), rtol=0, atol=1e-12)
    assert conversion.converted == ("stem.0", "depthwise", "blocks.0", "up")
    assert conversion.kept == {
        "own": "Own has a forward of its own",
        "tied.0": "a parameter is shared by 'tied.0' and 'tied.1'",
        "tied.1": "a parameter is shared by 'tied.0' and 'tied.1'",
        "rows": "Conv1d is not a layer of images",
    }
    assert str(conversion).startswith("4 of 8 convolutions are continuous\n  stem.0\n")
    assert "  own is not: Own has a forward of its own" in str(conversion)
    converted = conversion.network
    assert converted.get_submodule("blocks.1") is converted.get_submodule("depthwise")
    assert not converted.training
    assert {p.dtype for p in converted.parameters()} == {torch.float64}
    assert not converted.get_parameter("stem.0.filter.weight").requires_grad
    assert sum(p.numel() for p in converted.parameters()) == sum(p.numel() for p in network.parameters())
    # The network itself is left alone.
    assert isinstance(network.get_submodule("stem.0"), nn.Conv2d)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_converted_network_loads_the_state_of_the_network():
    torch.manual_seed(0)
    network, other = Network().eval(), Network().eval()
    converted = cclib.convert(network).network
    converted.load_state_dict(other.state_dict())
    x = torch.randn(1, 3, 12, 10)
    torch.testing.assert_close(converted(x), other(x), rtol=0, atol=1e-5)


def test_a_converted_network_trains_and_takes_other_scales():
    network = cclib.convert(Network()).network
    stem = network.get_submodule("stem.0")
    assert isinstance(stem, CCConv2d)
    stem.scale = 0.7
    x = torch.randn(2, 3, 12, 10)
    network(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_a_single_layer_is_a_network():
    conversion = cclib.convert(nn.Conv2d(2, 3, 3))
    assert isinstance(conversion.network, CCConv2d)
    assert conversion.converted == ("",)
    assert str(conversion) == "1 of 1 convolutions are continuous\n  the network itself"
    module: Any = torch.nn.functional
    with pytest.raises(TypeError, match=r"network must be a torch\.nn\.Module, got module"):
        cclib.convert(module)


def test_lazy_layers_are_kept_and_named():
    conversion = cclib.convert(nn.Sequential(nn.LazyConv2d(3, 3), nn.Conv2d(3, 4, 3)))
    assert conversion.converted == ("1",)
    assert conversion.kept == {"0": "LazyConv2d has no weights before its first call"}
    assert conversion.network(torch.zeros(1, 2, 8, 8)).shape == (1, 4, 4, 4)


class Aliased(nn.Module):
    """Holds its layer a second time where torch does not look for children."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 3, stride=2)
        self.layers = [self.layer]

    def forward(self, x):
        return self.layers[0](x)


def test_a_layer_in_a_list_is_converted_with_its_other_names():
    network, x = Aliased(), torch.randn(1, 2, 9, 9)
    converted = cclib.convert(network).network
    assert isinstance(converted, Aliased)
    assert isinstance(converted.layer, CCConv2d)
    assert converted.layers[0] is converted.layer
    torch.testing.assert_close(converted(x), network(x), rtol=0, atol=1e-6)
    assert network.layers[0] is network.layer
    assert isinstance(network.layer, nn.Conv2d)


def test_what_is_patched_in_a_network_is_kept():
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1))
    network[0].forward = lambda x: -x
    conversion = cclib.convert(network)
    assert conversion.kept == {"0": "its forward was replaced"}
    x = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(conversion.network(x), network(x), rtol=0, atol=1e-6)


def test_layers_with_computed_weights_are_kept_and_still_train():
    torch.manual_seed(0)
    network = nn.Sequential(
        normed(nn.Conv2d(2, 2, 3)),
        spectral_norm(nn.Conv2d(2, 2, 3)),
        prune.l1_unstructured(nn.Conv2d(2, 2, 3), "weight", 0.5),
        nn.Conv2d(2, 2, 3),
        normed(nn.Linear(4, 2)),
    )
    x = torch.randn(1, 2, 12, 12)
    network(x)  # spectral_norm's weight too is a result now
    network.eval()
    conversion = cclib.convert(network)
    reason = "its weight is computed (as by weight_norm, spectral_norm or pruning)"
    assert conversion.kept == dict.fromkeys("012", reason)
    assert conversion.converted == ("3",)
    torch.testing.assert_close(conversion.network(x), network(x), rtol=0, atol=1e-6)
    conversion.network(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in conversion.network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's, of both
def test_scripted_and_quantised_layers_are_kept_and_named():
    inner = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU())
    scripted = torch.jit.script(inner)
    quantised: Any = torch.ao.nn.quantized.Conv2d(2, 2, 3)
    merged = torch.jit.freeze(torch.jit.script(inner.eval()))
    reason = "it is scripted or traced (torch.jit): convert the network before that"
    conversion = cclib.convert(nn.Sequential(scripted, nn.Conv2d(2, 2, 3), quantised, merged))
    assert conversion.converted == ("1",)
    assert conversion.kept == {"0.0": reason, "2": "it is quantised: convert the network before that", "3": reason}
    assert cclib.convert(scripted).kept == {"0": reason}
    with pytest.raises(TypeError, match="got Conv2d: it is quantised"):
        CCConv2d.from_conv(quantised)
