"""Frozen layers and networks compute what they were made from, also after export."""

import math
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import cclib
from cclib import CCConv2d
from cclib.filters import MLPFilter
from cclib.models.classifier import Classifier, ClassifierConfig

ROOT = Path(__file__).resolve().parents[2]
SCALES = (None, 1, 0.5, 0.75, 1.5, 2, 7 / 6, math.sqrt(0.5), (2, 0.5), (1, 1.25))


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel_size=st.sampled_from((0.5, 1, 2.5, 3, (4, 2))),
    scale=st.sampled_from(SCALES),
    size=st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9)),
    start=st.none() | st.sampled_from((0.25, (-3, 1.5), 40)),
    padding_mode=st.sampled_from(("zeros", "replicate", "circular")),
    groups=st.sampled_from((1, 2, 4)),
    filter=st.sampled_from(("siren", "spline")),
    unit=st.none() | st.sampled_from((1, 1.5, (10 / 7, 0.8))),
    stretch=st.booleans(),
    bias=st.booleans(),
    partition_of_unity=st.booleans(),
)
@settings(max_examples=80, deadline=None, derandomize=True, database=None)
def test_a_frozen_layer_gives_the_same_output(
    shape, kernel_size, scale, size, start, padding_mode, groups, filter, unit, stretch, bias, partition_of_unity
):
    torch.manual_seed(0)
    if filter == "spline" and kernel_size in (0.5, 2.5):
        filter = "silu"
    options = {"groups": groups, "padding_mode": padding_mode, "filter": filter, "bias": bias}
    options |= {"stretch": stretch and unit is None, "partition_of_unity": partition_of_unity}
    layer = CCConv2d(4, 8, kernel_size, **options).double()
    x = torch.randn(2, 4, *shape, dtype=torch.float64)
    geometry = {"scale": scale, "size": size, "start": start, "unit": unit}
    expected = layer(x, **geometry)
    frozen = layer.freeze(shape, **geometry)
    torch.testing.assert_close(frozen(x), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(frozen(x[0], **geometry), expected[0], rtol=0, atol=1e-12)


def test_a_frozen_layer_reflects_too():
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 4, scale=0.75, padding_mode="reflect").double()
    x = torch.randn(1, 2, 12, 9, dtype=torch.float64)
    torch.testing.assert_close(layer.freeze((12, 9))(x), layer(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1, 0.75, 1.5])
def test_a_reflection_wider_than_the_image_is_refused_as_by_the_layer(scale):
    layer = CCConv2d(2, 2, 21, scale=scale, padding_mode="reflect")
    words = re.compile(r"padding_mode 'reflect' allows a pad of at most 5 on 6 pixels, got \d+")
    messages = []
    for call in (lambda: layer(torch.zeros(1, 2, 6, 6)), lambda: layer.freeze(6)):
        with pytest.raises(ValueError, match=words) as caught:
            call()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    "conv", [nn.Conv2d(4, 6, 3, 2, 1), nn.ConvTranspose2d(4, 6, 4, 2, 1), nn.Conv2d(4, 4, 5, padding=2, groups=4)]
)
def test_a_converted_layer_freezes_at_its_own_geometry(conv):
    x = torch.randn(2, 4, 8, 11)
    frozen = CCConv2d.from_conv(conv).freeze((8, 11))
    torch.testing.assert_close(frozen(x), conv(x), rtol=0, atol=1e-6)


def test_freezing_copies_the_weights_and_draws_no_random_numbers():
    layer = CCConv2d(2, 3, 3, scale=1.5)
    state = torch.get_rng_state()
    frozen = layer.freeze(8)
    assert torch.equal(torch.get_rng_state(), state)
    x = torch.randn(1, 2, 8, 8)
    expected = layer(x)
    with torch.no_grad():
        layer.filter.get_parameter("weight").mul_(2)
    torch.testing.assert_close(pickle.loads(pickle.dumps(frozen))(x), expected, rtol=0, atol=1e-6)
    assert not any(isinstance(module, CCConv2d) for module in frozen.modules())


def test_other_sizes_and_geometries_are_refused():
    frozen = CCConv2d(2, 3, 3, scale=0.5).freeze((8, 6))
    x = torch.zeros(1, 2, 8, 6)
    frozen(x, size=(4, 3))
    with pytest.raises(ValueError, match=r"x must have the size \(8, 6\) .* got \(8, 8\)"):
        frozen(torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match=r"another geometry than .*size=5"):
        frozen(x, size=5)
    with pytest.raises(ValueError, match="input_size must be at least 1, got 0"):
        CCConv2d(2, 3, 3).freeze(0)


class Sized(nn.Module):
    def __init__(self, layer, size):
        super().__init__()
        self.layer, self.size = layer, size

    def forward(self, x):
        return self.layer(x, size=self.size)


class Twice(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.layer, self.sizes = CCConv2d(2, 2, 3), sizes

    def forward(self, x):
        for size in self.sizes:
            x = self.layer(x, size=size)
        return x


def test_a_frozen_layer_keeps_what_the_layer_itself_fixed():
    x = torch.randn(1, 2, 8, 8)
    for layer in (CCConv2d(2, 3, 3, scale=0.75, unit=1.5), CCConv2d.from_conv(nn.Conv2d(2, 3, 4, 2, 1))):
        expected = layer(x, start=0.3)
        frozen = layer.freeze(8, start=0.3)
        torch.testing.assert_close(frozen(x, start=0.3), expected, rtol=0, atol=1e-6)
        with pytest.raises(ValueError, match="another geometry"):
            frozen(x, start=0.4)
        with pytest.raises(ValueError, match=r"another geometry .*unit=1\.25"):
            frozen(x, start=0.3, unit=1.25)


def test_a_layer_that_is_reached_with_two_geometries_or_none_is_named():
    x = torch.zeros(1, 2, 6, 6)
    frozen = cclib.freeze(Twice((6, (6, 6))), x)
    assert frozen(x).shape == x.shape
    with pytest.raises(ValueError, match="'layer' is reached with two geometries"):
        cclib.freeze(Twice((5, 4)), x)
    with pytest.raises(ValueError, match="'layer' is not reached"):
        cclib.freeze(Twice(()), x)


def test_freezing_a_network_leaves_it_alone():
    network = nn.Sequential(CCConv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cclib.freeze(network, torch.randn(4, 1, 6, 6))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert isinstance(network[0], CCConv2d)
    assert isinstance(cclib.freeze(CCConv2d(1, 2, 3), torch.zeros(1, 1, 4, 4)), cclib.FrozenConv2d)


def test_a_layer_that_is_a_child_twice_stays_one():
    layer = CCConv2d(2, 2, 3)
    frozen = cclib.freeze(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(1, 2, 6, 6))
    assert frozen.get_submodule("0") is frozen.get_submodule("2")
    assert isinstance(frozen.get_submodule("0"), cclib.FrozenConv2d)


class Aliased(nn.Module):
    """Holds its layer a second time where torch does not look for children."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = CCConv2d(2, 2, 3, scale=1.5)
        self.layers = [self.layer]

    def forward(self, x):
        return self.layers[0](x)


def test_a_layer_in_a_list_is_frozen_with_its_other_names():
    network, x = Aliased(), torch.randn(1, 2, 6, 6)
    frozen = cclib.freeze(network, x)
    assert isinstance(frozen, Aliased)
    assert isinstance(frozen.layer, cclib.FrozenConv2d)
    assert frozen.layers[0] is frozen.layer
    torch.testing.assert_close(frozen(x), network(x), rtol=0, atol=1e-6)


class Negated(CCConv2d):
    def forward(self, x, **geometry):
        return -super().forward(x, **geometry)


def test_layers_that_do_more_than_their_class_are_refused():
    hooked, patched, own = CCConv2d(2, 2, 3), CCConv2d(2, 2, 3), Negated(2, 2, 3)
    hooked.register_forward_hook(lambda layer, inputs, output: -output)
    vars(patched)["forward"] = torch.relu
    x = torch.zeros(1, 2, 6, 6)
    for layer, words in (
        (hooked, "it has hooks, which would be lost"),
        (patched, "its forward was replaced"),
        (own, "Negated has a forward of its own"),
    ):
        with pytest.raises(ValueError, match=f"^layer '0' cannot be frozen: {words}$"):
            cclib.freeze(nn.Sequential(layer), x)
        with pytest.raises(ValueError, match=f"^the layer cannot be frozen: {words}$"):
            layer.freeze(6)
    hooked.register_load_state_dict_post_hook(lambda *_: None)
    hooked._forward_hooks.clear()
    assert isinstance(hooked.freeze(6), cclib.FrozenConv2d)  # what it loads is loaded


def test_arguments_that_are_no_network_or_no_image_are_named():
    layer = CCConv2d(2, 3, 3)
    frozen = layer.freeze(6)
    nothing: Any = None
    with pytest.raises(TypeError, match=r"network must be a torch\.nn\.Module, got NoneType"):
        cclib.freeze(nothing)
    with pytest.raises(TypeError, match="x must be a Tensor, got NoneType"):
        cclib.freeze(layer)
    with pytest.raises(TypeError, match="x must be a Tensor, got int"):
        cclib.freeze(layer, 9)
    with pytest.raises(TypeError, match="x must be a Tensor, got NoneType"):
        frozen(None)
    with pytest.raises(TypeError, match=r"x must be of the type torch\.float32 of the frozen .*float64"):
        frozen(torch.zeros(1, 2, 6, 6).double())
    x = torch.zeros(1, 2, 6, 6)
    for other in (x.to("meta"), x.to_sparse()):
        with pytest.raises(ValueError, match="x must be a dense tensor on the device of the frozen layer, cpu"):
            frozen(other)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert frozen(x.bfloat16()).dtype == torch.bfloat16
    assert frozen.double()(x.double()).dtype == torch.float64
    for shape in ((6, 6), (1, 1, 2, 6, 6), (1, 3, 6, 6)):
        words = rf"x must be \(batch, 2 channels, height, width\), .* got shape {re.escape(str(shape))}"
        with pytest.raises(ValueError, match=words):
            frozen(torch.zeros(shape))


def test_freezing_warns_where_it_makes_very_many_numbers():
    layer = CCConv2d(4, 4, 3)
    x = torch.zeros(1, 4, 24, 32)
    words = r"freezing turned 541 parameters into 5,\d{3},\d{3} numbers.*ratio is one of small integers"
    with pytest.warns(UserWarning, match=words) as caught:
        layer.freeze((24, 32), size=(191, 193))
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match=words) as caught:
        cclib.freeze(Sized(layer, (191, 193)), x)
    assert caught[0].filename == __file__
    cclib.freeze(Sized(layer, (192, 256)), x)  # 8 times, few phases


class Enlarged(nn.Module):
    """The function in a network."""

    def __init__(self):
        super().__init__()
        self.filter = MLPFilter(2, 3, 4)

    def forward(self, x):
        return cclib.cc_conv2d(x, self.filter, scale=0.7)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's exporter runs into its own
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("network", [nn.Sequential(CCConv2d(2, 3, 3, scale=0.75), nn.Tanh()), Enlarged()])
def test_the_export_of_what_is_not_frozen(network, strict):
    x = torch.randn(2, 2, 12, 12)
    batch = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(network.eval(), (x,), dynamic_shapes=batch, strict=strict)
    graphs = [module.graph for module in exported.graph_module.modules() if isinstance(module, torch.fx.GraphModule)]
    nodes = [str(node.target) for graph in graphs for node in graph.nodes]
    assert nodes.count("cclib.continuous_convolution.default") == 1
    for images in (x, torch.randn(5, 2, 12, 12)):
        torch.testing.assert_close(exported.module()(images), network(images), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("strict", [False, True])
def test_the_image_size_of_an_export_is_fixed(strict):
    network, x = Enlarged(), torch.randn(2, 2, 12, 12)
    with pytest.raises(RuntimeError, match=r"marked height as dynamic but your code specialized it .* \(12\)"):
        torch.export.export(network, (x,), dynamic_shapes=({2: torch.export.Dim("height")},), strict=strict)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_export_leaves_no_trace():
    network, x = Enlarged(), torch.randn(1, 2, 12, 12)
    torch.export.export(network, (x,), strict=False)
    expected = cclib.cc_conv2d(x, network.filter, scale=0.7, implementation="reference")
    torch.testing.assert_close(network(x), expected)


@pytest.mark.filterwarnings("ignore:.*treespec.*:FutureWarning")  # of torch's exporter
@pytest.mark.parametrize("sizes", [None, (28, 24, 17, 14, 7)])
def test_the_classifier_of_notebook_03_runs_frozen_exported_and_in_onnxruntime(sizes, tmp_path):
    yaml, onnxruntime = (pytest.importorskip(module) for module in ("yaml", "onnxruntime"))
    for module in ("onnx", "onnxscript"):  # of which torch's exporter makes use
        pytest.importorskip(module)
    section = yaml.safe_load((ROOT / "profiles" / "default.yaml").read_text())["nb-03-drop-in"]
    torch.manual_seed(0)
    classifier = Classifier(
        ClassifierConfig("cc", sizes=tuple(sizes or section["sizes"]), channels=tuple(section["channels"]))
    )
    x = torch.rand(6, 1, 28, 28)
    classifier(x)  # statistics for batch norm
    expected = classifier.eval()(x).detach()
    frozen = cclib.freeze(classifier, x)
    assert not any(isinstance(module, CCConv2d) for module in frozen.modules())
    torch.testing.assert_close(frozen(x), expected, rtol=1e-6, atol=1e-6)
    batch = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(frozen, (x,), dynamic_shapes=batch).module()
    torch.testing.assert_close(exported(x[:3]), expected[:3], rtol=1e-6, atol=1e-6)
    torch.onnx.export(frozen, (x,), tmp_path / "net.onnx", dynamic_shapes=batch, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    output = session.run(None, {session.get_inputs()[0].name: x[:3].numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(output), expected[:3], rtol=1e-5, atol=1e-5)


def test_a_geometry_may_be_given_as_an_array():
    x = torch.randn(1, 2, 8, 8)
    frozen = CCConv2d(2, 3, 3, scale=0.5).freeze(8)
    assert torch.equal(frozen(x, scale=torch.tensor([0.5, 0.5])), frozen(x))
