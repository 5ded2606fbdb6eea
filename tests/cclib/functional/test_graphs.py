"""Importing cclib costs little, and inside torch.compile the arithmetic of its geometry runs eagerly."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import cclib
from cclib import CCConv2d
from cclib.functional import sampling


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler runs into its own
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # and would hide this one
def test_in_a_compiled_network_the_geometry_is_never_traced(monkeypatch):
    traced = []
    grid_of = sampling.grid_of

    def noted(*arguments, **options):
        traced.append(torch.compiler.is_compiling())
        return grid_of(*arguments, **options)

    monkeypatch.setattr("cclib.functional.problem.grid_of", noted)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(
                CCConv2d(n + 1, n + 1, n % 4 + 2, padding_mode="circular", filter=("siren", "spline")[n % 2])
                for n in range(12)
            )

        def forward(self, x, sizes):
            for layer, size in zip(self.layers, sizes, strict=True):
                assert isinstance(layer, CCConv2d)
                y = cclib.cc_conv2d(layer(x, size=size).relu(), layer.filter, scale=1.2)
                x = torch.cat([y, y[:, :1]], 1)
            return x

    torch._dynamo.reset()
    network = Network()
    compiled = torch.compile(network, backend="eager")
    for first in range(4, 24, 2):  # more sizes than the compiler has patience for
        x, sizes = torch.randn(1, 1, 6, 7), [first + n % 3 for n in range(12)]
        torch.testing.assert_close(compiled(x, sizes), network(x, sizes))
    assert traced
    assert not any(traced)


@pytest.mark.parametrize("package", ["filters", "functional", "functional/implementations"])
def test_a_package_only_gathers_names(package):
    """Code that uses some of its modules then depends on those alone."""
    source = (Path(cclib.__file__).parent / package / "__init__.py").read_text()
    nodes = [node for node in ast.parse(source).body if not isinstance(node, ast.Import | ast.ImportFrom)]
    if package.endswith("implementations"):
        *nodes, discovery = nodes
        assert isinstance(discovery, ast.For)
    docstring, names = nodes
    assert isinstance(docstring, ast.Expr)
    assert isinstance(names, ast.Assign)
    assert [ast.unparse(target) for target in names.targets] == ["__all__"]
