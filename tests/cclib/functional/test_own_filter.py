"""A filter of the user's own is cached in inference and saves memory in training as those of cclib do; never stale."""

import gc
import math
import weakref
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from functional_cases import count_evaluations
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.utils import parametrize

from cclib import CCConv2d
from cclib.filters import Filter, MLPFilter
from cclib.functional import cache

# An implementation and a scale for each: one convolution, a transposed one, the compiled sums, line by line.
PATHS = (("phases", 1), ("phases", 2), ("phases", 0.75), ("basis", 0.75))
every_path = pytest.mark.parametrize(("implementation", "scale"), PATHS)
IMAGE = torch.randn(2, 2, 8, 12, generator=torch.Generator().manual_seed(0))


class Waves(Filter):
    """As in a notebook: it says nothing of caching or memory."""

    def __init__(self, factor=1.0):
        super().__init__(3, vanishes=False)
        self.factor = factor
        self.directions = nn.Parameter(torch.randn(2, 8))
        self.weight = nn.Parameter(torch.randn(8, 2, 2))

    def basis(self, offsets):
        return self.number() * torch.sin(offsets @ self.directions).cos().exp()

    def coefficients(self):
        return self.weight

    def number(self):
        return self.factor


class Undeclared(Waves):
    self_contained = False


def layer_of(filter, implementation="phases", scale=0.75):
    return CCConv2d(2, 2, 3, scale=scale, filter=filter, bias=False, implementation=implementation)


def inferred(layer, x=IMAGE):
    with torch.no_grad():
        return layer(x)


@pytest.fixture
def evaluations(monkeypatch):
    """Grows by one whenever a filter of this file is evaluated."""
    return count_evaluations(monkeypatch, Waves)


@every_path
def test_it_is_evaluated_once_in_inference(evaluations, implementation, scale):
    layer = layer_of(Waves(), implementation, scale)
    first = inferred(layer)
    assert torch.equal(inferred(layer), first)
    assert len(evaluations) == 1
    undeclared = layer_of(Undeclared(), implementation, scale)
    undeclared.load_state_dict(layer.state_dict())
    assert all(torch.equal(inferred(undeclared), first) for _ in range(2))
    assert len(evaluations) == 3


def kept_for_backward(layer, x):
    """The output, its gradients, and the bytes that wait for them."""
    sizes = {}

    def note(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        y = layer(x)
    total = sum(sizes.values())
    return y.detach(), torch.autograd.grad(y.square().sum(), list(layer.parameters())), total


@pytest.mark.parametrize("implementation", ["phases", "basis"])
def test_its_activations_are_computed_again_for_the_gradient(evaluations, implementation):
    torch.manual_seed(0)
    x = torch.randn(1, 2, 64, 64)
    spared = layer_of(Waves(), implementation, 0.7071)
    y, gradients, spared_bytes = kept_for_backward(spared, x)
    assert len(evaluations) == 2
    stored = layer_of(Undeclared(), implementation, 0.7071)
    stored.load_state_dict(spared.state_dict())
    expected_y, expected, stored_bytes = kept_for_backward(stored, x)
    assert len(evaluations) == 3
    assert torch.equal(y, expected_y)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected, strict=True))
    assert spared_bytes < stored_bytes / 2


class Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.by = 2

    def forward(self, value):
        return self.by * value


def double_data(filter):
    filter.weight.data *= 2


def double_in_place(filter):
    with torch.no_grad():
        filter.weight *= 2


class Twice(Waves):
    def number(self):
        return 2 * self.factor


class Held(Waves):
    """Its factor is read from an attribute by a function."""

    def __init__(self, held, number_of):
        super().__init__()
        self.held = held
        self.number_of = number_of

    def number(self):
        return self.number_of(self.held)


CHANGES = {
    "parameter": (Waves, double_in_place),
    "data": (Waves, double_data),
    "number": (Waves, lambda filter: setattr(filter, "factor", 2)),
    "numpy number": (lambda: Waves(np.float64(1)), lambda filter: setattr(filter, "factor", np.float64(2))),
    "tensor": (lambda: Waves(torch.ones(())), lambda filter: filter.factor.mul_(2)),
    "array": (lambda: Held(np.ones(1), lambda held: float(held[0])), lambda filter: filter.held.put(0, 2)),
    "list": (lambda: Held([1.0], lambda held: sum(held)), lambda filter: filter.held.append(1.0)),
    "dictionary": (lambda: Held({"a": 1.0}, lambda held: held["a"]), lambda filter: filter.held.update(a=2.0)),
    "nested": (lambda: Held([(1.0, [1.0])], lambda held: held[0][1][0]), lambda f: f.held[0][1].insert(0, 2.0)),
    "set": (lambda: Held({1.0}, lambda held: len(held)), lambda filter: filter.held.add(2.0)),
    "object": (lambda: Held(SimpleNamespace(a=1), lambda held: held.a), lambda f: setattr(f.held, "a", 2)),
    "submodule": (lambda: Held(Doubled(), lambda held: held(0.5)), lambda f: setattr(f.held, "by", 4)),
    "function": (lambda: Held(lambda: 1.0, lambda held: held()), lambda f: setattr(f, "held", lambda: 2.0)),
    "partial": (
        lambda: Held(partial(max, 1.0), lambda held: held(0.0)),
        lambda filter: setattr(filter, "held", partial(max, 2.0)),
    ),
    "parametrized": (Waves, lambda f: parametrize.register_parametrization(f, "weight", Doubled())),
    "class": (Waves, lambda filter: setattr(filter, "__class__", Twice)),
    "method": (Waves, lambda filter: setattr(filter, "number", lambda: 2)),
}


@every_path
@pytest.mark.parametrize(("make", "change"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(implementation, scale, make, change):
    layer = layer_of(make(), implementation, scale)
    before = [inferred(layer) for _ in range(2)][1]
    change(layer.filter)
    torch.testing.assert_close(inferred(layer), 2 * before)
    torch.testing.assert_close(layer(IMAGE).detach(), 2 * before)


OUTSIDE = {"factor": 1.0}


class Outside(Undeclared):
    """Reads what it does not hold, and says so."""

    def number(self):
        return OUTSIDE["factor"]


@every_path
def test_a_filter_declared_not_self_contained_is_never_cached(monkeypatch, implementation, scale):
    layer = layer_of(Outside(), implementation, scale)
    before = inferred(layer)
    monkeypatch.setitem(OUTSIDE, "factor", 2.0)
    torch.testing.assert_close(inferred(layer), 2 * before)


class Random(Waves):
    def number(self):
        return torch.rand(())


@every_path
def test_a_filter_that_draws_random_numbers_draws_at_every_call(implementation, scale):
    layer = layer_of(Random(), implementation, scale)
    assert not torch.equal(inferred(layer), inferred(layer))


@pytest.mark.parametrize("implementation", ["phases", "basis"])
def test_its_gradient_is_that_of_the_numbers_drawn(implementation):
    layer = layer_of(Random(), implementation, 0.7071)
    y = layer(torch.randn(1, 2, 40, 40)).sum()
    (gradient,) = torch.autograd.grad(y, layer.filter.weight)
    linear = (gradient * layer.filter.weight).sum()  # as the output is in the weights
    torch.testing.assert_close(linear, y, rtol=1e-4, atol=1e-3)


class Counting(Waves):
    calls = 0

    def number(self):
        self.calls += 1
        return self.calls


@every_path
def test_a_filter_that_changes_itself_is_evaluated_at_every_call(implementation, scale):
    layer = layer_of(Counting(), implementation, scale)
    first, second = inferred(layer), inferred(layer)
    torch.testing.assert_close(second, 2 * first)


@pytest.mark.parametrize("change", [double_in_place, lambda filter: setattr(filter, "factor", 2)])
@pytest.mark.parametrize("implementation", ["phases", "basis"])
def test_it_may_not_change_between_forward_and_backward(implementation, change):
    layer = layer_of(Waves(), implementation, 0.7071)
    y = layer(torch.randn(1, 2, 64, 64))
    change(layer.filter)
    with pytest.raises(RuntimeError, match=r"Waves was changed between forward and backward|modified by an inplace"):
        y.sum().backward()


@every_path
def test_a_hidden_tensor_gets_its_gradient(implementation, scale):
    factor = torch.ones(1, requires_grad=True)
    for filter in (Waves(factor), Held(SimpleNamespace(a=factor), lambda held: held.a)):
        layer = layer_of(filter, implementation, scale).requires_grad_(False)
        (gradient,) = torch.autograd.grad(layer(IMAGE).sum(), factor)
        torch.testing.assert_close(gradient.squeeze(), layer(IMAGE).detach().sum(), rtol=1e-4, atol=1e-4)


class Enclosing(Waves):
    """Holds a function that holds the filter."""

    def __init__(self):
        super().__init__()
        self.held = lambda: self.factor

    def number(self):
        return self.held()


@every_path
def test_the_cache_does_not_keep_the_filter_alive(implementation, scale):
    layer = layer_of(Enclosing(), implementation, scale)
    inferred(layer)
    assert layer.filter in cache.CACHES
    alive = weakref.ref(layer.filter)
    del layer
    gc.collect()
    assert alive() is None


def test_a_change_of_a_subclass_of_a_built_in_filter_is_seen():

    class Scaled(MLPFilter):
        factor = 1.0

        def coefficients(self):
            return self.factor * self.weight

    layer = layer_of(Scaled(2, 2, 3))
    before = inferred(layer)
    layer.filter.factor = 2.0
    torch.testing.assert_close(inferred(layer), 2 * before)


class Noisy(Waves):
    """Depends on the mode."""

    def number(self):
        return self.factor if self.training else 2 * self.factor


@pytest.mark.parametrize("kind", [Waves, Noisy])
def test_the_mode_may_change_between_forward_and_backward(kind):
    torch.manual_seed(0)
    layer = layer_of(kind(), scale=math.sqrt(0.5))
    expected = torch.autograd.grad(layer(IMAGE).sum(), list(layer.parameters()))
    y = layer(IMAGE)
    layer.eval()
    for gradient, other in zip(torch.autograd.grad(y.sum(), list(layer.parameters())), expected, strict=True):
        assert torch.equal(gradient, other)
    assert not any(module.training for module in layer.modules())
