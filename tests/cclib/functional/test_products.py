"""Products go through the library that was asked for, and are the same up to rounding."""

from collections.abc import Iterator

import pytest
import torch

import cclib
from cclib.functional import products


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    products.numpy_product.cache_clear()
    yield
    products.numpy_product.cache_clear()


def by(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(products.SWITCH, library)
    products.numpy_product.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("stack", [(), (5,)])
def test_numpy_gives_what_torch_gives(stack: tuple, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = torch.randn(*stack, 30, 20).to(dtype), torch.randn(*stack, 30, 40).to(dtype)
    by("torch", monkeypatch)
    expected = products.product(first.mT, second)
    torch.testing.assert_close(expected, first.mT @ second)
    by("numpy", monkeypatch)
    torch.testing.assert_close(products.product(first.mT, second), expected)
    out = torch.zeros(*stack, 20, 80, dtype=dtype)[..., :40]
    assert products.product(first.mT, second, out=out) is out
    torch.testing.assert_close(out, expected)


def test_numpy_multiplies_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    calls = []

    def matmul(first: object, second: object) -> object:
        calls.append((first, second))
        return numpy.dot(first, second)

    monkeypatch.setattr(numpy, "matmul", matmul)
    x = torch.randn(3, 3)
    for library, count in (("torch", 0), ("numpy", 1)):
        by(library, monkeypatch)
        products.product(x, x)
        assert len(calls) == count


@pytest.mark.parametrize("implementation", ["phases", "basis", "pixels"])
def test_a_layer_gives_the_same_with_both(implementation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = cclib.CCConv2d(3, 5, 4, scale=0.7, implementation=implementation).double()
    x = torch.randn(2, 3, 12, 10, dtype=torch.float64, requires_grad=True)
    found = []
    for library in ("torch", "numpy"):
        by(library, monkeypatch)
        y = layer(x)
        found.append((y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])))
    torch.testing.assert_close(found[0], found[1])


def test_other_libraries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    by("blas", monkeypatch)
    with pytest.raises(ValueError, match="CCLIB_PRODUCTS must be one of torch, numpy, got 'blas'"):
        products.product(torch.ones(2, 2), torch.ones(2, 2))
