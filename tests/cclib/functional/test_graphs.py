"""Importing cclib costs little; torch.compile and torch.export see the layer as a few operators of one graph."""

import ast
import copy
import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import cclib
from cclib import CCConv2d
from cclib.filters import MLPFilter
from cclib.functional import IMPLEMENTATIONS, PADDING_MODES
from cclib.models.classifier import Classifier, ClassifierConfig


def compiler(test):
    """Of a test that compiles: torch's compiler runs into warnings of its own, and would hide the second."""
    for words in ("ignore::DeprecationWarning", "ignore:The .grad attribute:UserWarning"):
        test = pytest.mark.filterwarnings(words)(test)
    return test


def test_neither_the_import_nor_a_call_brings_the_compiler():
    # But torch's checkpoint does, which spares memory in training on small images.
    code = """
import sys, torch
before = set(sys.modules)
import cclib
print([name for name in sorted(set(sys.modules) - before) if name.split(".")[0] not in ("cclib", "fractions")])
layer = cclib.CCConv2d(2, 2, 3, scale=0.75)
layer(torch.zeros(1, 2, 160, 160)).sum().backward()
with torch.no_grad():
    cclib.cc_conv2d(torch.zeros(1, 2, 8, 8), layer.filter)
print("torch._dynamo" in sys.modules, "torch._dynamo" in before)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, compiler = result.stdout.splitlines()
    assert set(ast.literal_eval(imported)) <= {"_decimal", "decimal", "numbers"}
    assert compiler == "False False"


def compiled(module, backend="aot_eager", **options):
    """The module in one graph, compiled anew."""
    torch._dynamo.reset()
    return torch.compile(module, fullgraph=True, backend=backend, **options)


def results(module, x, **arguments):
    """The output and the gradients of the image and of the parameters."""
    x = x.clone().requires_grad_()
    y = module(x, **arguments)
    inputs = [x, *module.parameters()]
    return y, *torch.autograd.grad(y.square().sum(), inputs, allow_unused=True, materialize_grads=True)


def assert_same(computed, expected, error=1e-6):
    for a, b in zip(computed, expected, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=0, atol=error * max(1.0, b.abs().max().item()))


def classifier():
    torch.manual_seed(0)
    return Classifier(ClassifierConfig("cc", channels=(4, 4, 6, 6)))


@compiler
def test_a_compiled_classifier():
    network, x = classifier(), torch.randn(4, 1, 28, 28)
    state = copy.deepcopy(network.state_dict())  # its batch norms count
    expected = results(network, x)
    network.load_state_dict(state)
    assert_same(results(compiled(network), x), expected)


@compiler
def test_inductor():
    torch.manual_seed(0)
    layer, x = CCConv2d(2, 3, 3, scale=0.75, padding_mode="reflect"), torch.randn(2, 2, 9, 8)
    assert_same(results(compiled(layer, "inductor"), x), results(layer, x), 1e-5)


@compiler
@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_classifier(strict):
    network, x = classifier().eval(), torch.randn(4, 1, 28, 28)
    expected = network(x)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (x,), strict=strict, dynamic_shapes=({0: batch},)).module()
    for images, y in ((x, expected), (torch.cat([x, x]), torch.cat([expected, expected])), (x[:1], expected[:1])):
        torch.testing.assert_close(program(images), y, rtol=0, atol=1e-5)


@compiler
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("options", [{}, {"unit": 1.25}, {"partition_of_unity": True, "stretch": True}])
def test_an_exported_layer_holds_no_tensors_but_its_own(tmp_path, options, strict):
    layer, x = CCConv2d(3, 4, 3, scale=0.75, padding_mode="reflect", **options), torch.randn(2, 3, 9, 8)
    program = torch.export.export(layer, (x,), strict=strict)
    assert set(program.state_dict) == set(layer.state_dict())
    assert sum(constant.numel() for constant in program.constants.values()) <= 8  # the half-widths of the filter
    modules = [module for module in program.graph_module.modules() if isinstance(module, torch.fx.GraphModule)]
    targets = [str(node.target) for module in modules for node in module.graph.nodes]
    assert targets.count("cclib.continuous_convolution.default") == 1
    torch.export.save(program, tmp_path / "layer.pt2")
    loaded = torch.export.load(tmp_path / "layer.pt2").module()
    torch.testing.assert_close(loaded(x), layer(x), rtol=0, atol=1e-6)


GEOMETRIES: tuple[dict[str, Any], ...] = (
    {},
    {"scale": 0.5},
    {"scale": Fraction(2, 3)},
    {"scale": (Fraction(2, 3), 0.5)},
    {"size": 9},
    {"size": (7, 12)},
    {"start": 0.25},
    {"scale": 1.3, "start": (0, 1)},
)


@compiler
def test_geometries_at_the_call():
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 4, scale=0.75)
    graph, x = compiled(layer), torch.randn(2, 2, 12, 11)
    for arguments in GEOMETRIES:
        assert_same(results(graph, x, **arguments), results(layer, x, **arguments))


@compiler
def test_units_at_the_call():
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 4, scale=0.75, unit=1.25)
    graph, x = compiled(layer), torch.randn(2, 2, 12, 11)
    for unit in (None, 1, 1.5, (1, Fraction(10, 7))):
        assert_same(results(graph, x, unit=unit), results(layer, x, unit=unit))
    layer.unit = 2
    layer.filter.partition_of_unity = True
    assert_same(results(graph, x), results(layer, x))


@compiler
def test_the_scale_of_a_compiled_layer_can_be_set():
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 4, scale=0.75)
    graph, x = compiled(layer), torch.randn(2, 2, 12, 11)
    for scale in (0.75, 0.5, Fraction(1, 3), (0.5, 2), 1):
        layer.scale = scale
        y = graph(x)
        torch.testing.assert_close(y, layer(x), rtol=0, atol=1e-6)
        vertical = scale[0] if isinstance(scale, tuple) else scale
        assert y.shape[2] == math.ceil(12 * vertical)


@compiler
@pytest.mark.parametrize("dynamic", [None, False, True])
def test_input_sizes_may_change(dynamic):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 4, scale=0.75)
    graph = compiled(layer, dynamic=dynamic)
    for batch, height, width in ((2, 12, 12), (3, 12, 12), (2, 13, 12), (2, 15, 20), (5, 12, 12)):
        x = torch.randn(batch, 2, height, width)
        torch.testing.assert_close(graph(x), layer(x), rtol=0, atol=1e-6)


LAYERS: dict[str, Callable[[], CCConv2d]] = {
    **{mode: partial(CCConv2d, 2, 4, 4, scale=0.75, padding_mode=mode) for mode in PADDING_MODES},
    "stretch": lambda: CCConv2d(2, 4, 4, scale=0.75, stretch=True, padding_mode="replicate"),
    "unit": lambda: CCConv2d(2, 4, 4, scale=0.75, unit=(1.5, 10 / 7), padding_mode="replicate"),
    "partition of unity": lambda: CCConv2d(2, 4, 4, scale=0.75, partition_of_unity=True, unit=1.5),
    "partition of unity, stretched": lambda: CCConv2d(2, 4, 4, scale=0.75, partition_of_unity=True, stretch=True),
    "groups": lambda: CCConv2d(2, 4, 3, scale=0.75, groups=2, filter="spline"),
    "classical": lambda: CCConv2d(2, 2, 4, scale=0.6, groups=2, filter="cubic", stretch=True),
    **{name: partial(CCConv2d, 2, 4, 3, scale=0.75, implementation=name) for name in IMPLEMENTATIONS},
    "from Conv2d": lambda: CCConv2d.from_conv(nn.Conv2d(2, 4, 3, stride=2, padding=1)),
    "from ConvTranspose2d": lambda: CCConv2d.from_conv(nn.ConvTranspose2d(2, 4, 3, stride=2)),
    "reads nothing at its edges": lambda: CCConv2d(2, 4, Fraction(1, 3), scale=2),
}


@compiler
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_a_compiled_layer(make):
    torch.manual_seed(0)
    layer, x = make(), torch.randn(2, 2, 9, 8)
    graph = compiled(layer)
    assert_same(results(graph, x), results(layer, x))
    with torch.no_grad():
        torch.testing.assert_close(graph(x), layer(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(graph(x[0]), layer(x[0]), rtol=0, atol=1e-6)
    stored = x.contiguous(memory_format=torch.channels_last)
    assert layer.implementation == "reference" or graph(stored).is_contiguous(memory_format=torch.channels_last)


@compiler
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_compiled_under_autocast(implementation):
    torch.manual_seed(0)
    layer, x = CCConv2d(2, 4, 3, scale=0.75, implementation=implementation), torch.randn(2, 2, 9, 8)
    graph = compiled(layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        computed, expected = results(graph, x), results(layer, x)
    assert computed[0].dtype == torch.bfloat16
    assert_same(computed, expected, 1e-2)


@compiler
def test_the_function_in_a_graph():
    torch.manual_seed(0)
    filter, x = MLPFilter(2, 3, 3), torch.randn(2, 2, 9, 8)

    def function(x, scale):
        return cclib.cc_conv2d(x.relu(), filter, scale=scale, padding_mode="circular").sum((2, 3))

    graph = compiled(function)
    for scale in (0.75, Fraction(4, 3)):
        torch.testing.assert_close(graph(x, scale), function(x, scale), rtol=0, atol=1e-5)


@compiler
def test_a_bad_argument_is_refused_when_it_is_compiled():
    layer = CCConv2d(2, 3, 3)
    with pytest.raises(Exception, match="scale must be greater than 0"):
        compiled(layer)(torch.randn(1, 2, 6, 6), scale=-1)


@pytest.mark.parametrize("package", ["filters", "functional", "functional/implementations"])
def test_a_package_only_gathers_names(package):
    """Code that uses some of its modules then depends on those alone."""
    source = (Path(cclib.__file__).parent / package / "__init__.py").read_text()
    nodes = [node for node in ast.parse(source).body if not isinstance(node, ast.Import | ast.ImportFrom)]
    docstring, names = nodes
    assert isinstance(docstring, ast.Expr)
    assert isinstance(names, ast.Assign)
    assert [ast.unparse(target) for target in names.targets] == ["__all__"]
