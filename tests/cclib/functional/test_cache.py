"""What is cached of a filter in inference: never stale, computed once, bounded, and gone with the filter."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from functional_cases import count_evaluations
from torch import nn
from torch.nn.utils import parametrize

from cclib import CCConv2d
from cclib.filters import Filter, MLPFilter
from cclib.functional import cache

# An implementation and a scale for each: one convolution, a transposed one, the compiled sums, line by line.
PATHS = (("phases", 1), ("phases", 2), ("phases", 0.75), ("basis", 0.75))
every_path = pytest.mark.parametrize(("implementation", "scale"), PATHS)
IMAGE = torch.randn(2, 2, 8, 12, generator=torch.Generator().manual_seed(0))


def make(implementation="phases", scale=0.75, filter="siren"):
    torch.manual_seed(0)
    return CCConv2d(2, 2, 3, scale=scale, filter=filter, implementation=implementation)


def inferred(layer, x=IMAGE, **arguments):
    with torch.no_grad():
        return layer(x, **arguments)


def assert_current(layer):
    """The output in inference is that of the present parameters, in both calls: the second may come from the cache."""
    dtype = next(layer.filter.parameters()).dtype
    x = IMAGE.to(dtype)
    expected = layer(x.clone().requires_grad_())
    assert expected.requires_grad
    error = 4 * torch.finfo(dtype).eps * expected.abs().max().item()
    for _ in range(2):
        torch.testing.assert_close(inferred(layer, x), expected.detach(), rtol=0, atol=error)


@pytest.fixture
def evaluations(monkeypatch):
    """Grows by one whenever a network filter is evaluated."""
    return count_evaluations(monkeypatch, MLPFilter)


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1),
    "SGD, foreach": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, foreach=True),
    "SGD, fused": lambda p: torch.optim.SGD(p, 0.1, fused=True),
    "Adam": lambda p: torch.optim.Adam(p, 0.1, foreach=False),
    "Adam, foreach": lambda p: torch.optim.Adam(p, 0.1, foreach=True),
    "Adam, fused": lambda p: torch.optim.Adam(p, 0.1, fused=True),
    "AdamW, fused": lambda p: torch.optim.AdamW(p, 0.1, fused=True),
    "Adagrad, fused": lambda p: torch.optim.Adagrad(p, 0.1, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.1),
    "LBFGS": lambda p: torch.optim.LBFGS(p, 0.1, max_iter=2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@every_path
def test_a_step_of_training_is_seen(name, implementation, scale):
    layer = make(implementation, scale)
    optimizer = OPTIMIZERS[name](layer.parameters())
    for _ in range(2):
        before = inferred(layer)

        def closure():
            optimizer.zero_grad()
            loss = layer(IMAGE).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        assert not torch.equal(inferred(layer), before)
        assert_current(layer)


def load(layer, **options):
    state = {name: value + 0.5 for name, value in layer.state_dict().items()}
    layer.load_state_dict(state, **options)


def write_data(layer):
    for value in layer.filter.parameters():
        value.data.mul_(1.5)


def write_numpy(layer):
    for value in layer.filter.parameters():
        value.detach().numpy()[...] *= 1.5


def write_a_view(layer):
    with torch.no_grad():
        layer.filter.weight.view(-1)[:3] = 7


def replace_data(layer):
    layer.filter.weight.data = torch.ones_like(layer.filter.weight)


def replace(layer):
    layer.filter.weight = nn.Parameter(torch.ones_like(layer.filter.weight))


def swap(layer):
    torch.utils.swap_tensors(layer.filter.weight, nn.Parameter(torch.ones_like(layer.filter.weight)))


class Doubled(nn.Module):
    def forward(self, value):
        return 2 * value


CHANGES = {
    "load_state_dict": load,
    "load_state_dict, assign": lambda layer: load(layer, assign=True),
    "half and float": lambda layer: layer.half().float(),
    "to bfloat16": lambda layer: layer.bfloat16(),
    "to float64": lambda layer: layer.double(),
    "written through data": write_data,
    "written through numpy": write_numpy,
    "written through a view": write_a_view,
    "data replaced": replace_data,
    "parameter replaced": replace,
    "tensors swapped": swap,
    "parametrized": lambda layer: parametrize.register_parametrization(layer.filter, "weight", Doubled()),
    "weight norm": lambda layer: nn.utils.parametrizations.weight_norm(layer.filter, "weight"),
    "initialised": lambda layer: nn.init.normal_(layer.filter.weight),
}


@pytest.mark.parametrize("name", CHANGES)
@every_path
def test_a_changed_filter_is_seen(name, implementation, scale):
    layer = make(implementation, scale)
    for _ in range(2):
        inferred(layer)
    CHANGES[name](layer)
    assert_current(layer)


@every_path
def test_a_removed_parametrization_is_seen(implementation, scale):
    layer = make(implementation, scale)
    before = inferred(layer)
    parametrize.register_parametrization(layer.filter, "weight", Doubled())
    doubled = inferred(layer)
    parametrize.remove_parametrizations(layer.filter, "weight", leave_parametrized=False)
    assert not torch.allclose(doubled, before)
    torch.testing.assert_close(inferred(layer), before)


@every_path
def test_a_changed_buffer_is_seen(implementation, scale):
    layer = make(implementation, scale, filter="fourier")
    (frequencies,) = layer.filter.buffers()
    inferred(layer)
    for change in (lambda: frequencies.mul_(2), lambda: frequencies.data.mul_(2)):
        change()
        assert_current(layer)


@every_path
def test_copies_share_no_cache(implementation, scale):
    layer = make(implementation, scale)
    before = inferred(layer)
    other = copy.deepcopy(layer)
    assert torch.equal(inferred(other), before)
    for changed, kept in ((other, layer), (layer, None)):
        with torch.no_grad():
            changed.filter.weight.mul_(2)
        assert_current(changed)
        if kept is not None:
            assert torch.equal(inferred(kept), before)


def test_a_pickle_holds_nothing_cached():
    layer = make()
    fresh = len(pickle.dumps(layer))
    before = inferred(layer, size=37)
    assert layer.filter in cache.CACHES
    saved = pickle.dumps(layer)
    assert len(saved) == fresh
    assert torch.equal(inferred(pickle.loads(saved), size=37), before)


@every_path
def test_functional_calls_see_their_own_parameters(implementation, scale):
    layer = make(implementation, scale)
    other = {name: value.detach() * 2 for name, value in layer.named_parameters()}
    before = inferred(layer)
    for _ in range(2):
        with torch.no_grad():
            output = torch.func.functional_call(layer, other, (IMAGE,))
        assert not torch.allclose(output, before)
        assert torch.equal(inferred(layer), before)
    changed = copy.deepcopy(layer)
    changed.load_state_dict(other)
    torch.testing.assert_close(output, inferred(changed))


@every_path
def test_a_filter_is_evaluated_once_for_each_grid(evaluations, implementation, scale):
    layer = make(implementation, scale)
    evaluations.clear()  # of the initialisation
    for _ in range(3):
        inferred(layer)
    assert len(evaluations) == 1
    inferred(layer, IMAGE[:1])
    assert len(evaluations) == 1
    for _ in range(2):
        inferred(layer, size=(5, 7))
    assert len(evaluations) == 2
    inferred(layer, start=0.3)
    assert len(evaluations) == 3
    inferred(layer)
    assert len(evaluations) == 3


@every_path
def test_a_filter_frozen_after_inference_serves_training_of_the_image(implementation, scale):
    layer = make(implementation, scale)
    layer.filter.requires_grad_(False)
    x = IMAGE.clone().requires_grad_()
    with torch.inference_mode():
        inferred = layer(IMAGE)
    y = layer(x)
    y.sum().backward()
    torch.testing.assert_close(y.detach(), inferred.clone())
    assert x.grad.any()
    layer.filter.requires_grad_()
    layer(x).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


@every_path
def test_nothing_is_cached_where_the_filter_can_get_gradients(evaluations, implementation, scale):
    layer = make(implementation, scale)
    for number in range(3):
        layer(IMAGE).sum().backward()
        assert len(evaluations) >= number + 1
    assert layer.filter not in cache.CACHES
    layer.filter.requires_grad_(False)
    layer.filter.weight.requires_grad_()
    layer(IMAGE)
    assert layer.filter not in cache.CACHES


@every_path
def test_nothing_is_cached_of_tensors_that_do_not_count_their_changes(implementation, scale):
    with torch.inference_mode():
        layer = make(implementation, scale)
        before = layer(IMAGE)
        assert layer.filter not in cache.CACHES
        layer.filter.weight.mul_(2)
        assert not torch.allclose(layer(IMAGE), before)


@every_path
def test_stretched_and_plain_are_cached_apart(implementation, scale):
    """Also where nothing is scaled down, so that both read the same taps at the same offsets."""
    filter = make().filter
    layers = [
        CCConv2d(2, 2, 3, scale=max(scale, 1.5), filter=filter, stretch=stretch, implementation=implementation)
        for stretch in (False, True)
    ]
    outputs = [inferred(layer) for layer in (*layers, *layers)]
    for layer, first, second in zip(layers, outputs[:2], outputs[2:], strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first, layer(IMAGE.clone().requires_grad_()).detach(), rtol=0, atol=1e-5)
    assert not torch.allclose(outputs[0], outputs[1], atol=1e-2)


def test_types_are_cached_apart():
    layer = make()
    expected = inferred(layer)
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert inferred(layer).dtype == torch.bfloat16
        assert torch.equal(inferred(layer), expected)


@every_path
def test_the_memory_is_bounded(monkeypatch, evaluations, implementation, scale):
    monkeypatch.setattr(cache, "BYTES", 40_000)
    layer = make(implementation, scale)
    sizes = [(8, n) for n in range(4, 40)]
    expected = [inferred(layer, size=size) for size in sizes]
    kept = cache.CACHES[layer.filter].kept
    assert 0 < sum(map(cache.size, kept.values())) <= 40_000
    before = len(evaluations)
    assert torch.equal(inferred(layer, size=sizes[-1]), expected[-1])
    assert len(evaluations) == before
    for size, y in zip(sizes, expected, strict=True):
        assert torch.equal(inferred(layer, size=size), y)


@every_path
def test_what_exceeds_the_bound_is_not_cached(monkeypatch, implementation, scale):
    monkeypatch.setattr(cache, "BYTES", 10)
    layer = make(implementation, scale)
    expected = inferred(layer)
    assert not cache.CACHES[layer.filter].kept
    assert torch.equal(inferred(layer), expected)


def reference_to_cached(filter):
    """A weak reference to the first tensor that is cached of a filter."""
    cached = next(iter(cache.CACHES[filter].kept.values()))
    return weakref.ref(cached[0] if isinstance(cached, list) else cached)


@every_path
def test_what_is_cached_dies_with_the_filter(implementation, scale):
    layer = make(implementation, scale)
    inferred(layer)
    filter, cached = weakref.ref(layer.filter), reference_to_cached(layer.filter)
    assert cached() is not None
    del layer
    gc.collect()
    assert filter() is None
    assert cached() is None


class Scaled(Filter):
    """A filter with state that is neither parameter nor buffer."""

    def __init__(self, factor):
        super().__init__((3, 3), vanishes=False)
        self.factor = factor

    def basis(self, offsets):
        return self.factor * torch.ones_like(offsets[..., :1])

    def coefficients(self):
        return torch.ones(1, 2, 2)


@every_path
def test_filters_of_one_class_are_cached_apart(implementation, scale):
    filters = [Scaled(1), Scaled(2)]
    layers = [CCConv2d(2, 2, 3, scale=scale, filter=f, bias=False, implementation=implementation) for f in filters]
    plain, doubled = (inferred(layer) for layer in layers)
    torch.testing.assert_close(doubled, 2 * plain)
    filters[0].factor = 2
    torch.testing.assert_close(inferred(layers[0]), doubled)
