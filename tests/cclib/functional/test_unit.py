"""The filter's unit, and partitions of unity: what constant images give, limits, and values worked out by hand.

Random geometries are compared with slow loops in test_reference.py and test_gradients.py.
"""

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from functional_cases import PROPERTY, every_fast_path, every_implementation
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_way import axes, lengths, slow_integral, some_filters
from torch import nn

from cclib import CCConv2d, cc_conv2d, explain
from cclib.filters import ClassicalFilter, Filter, MLPFilter, SplineFilter
from cclib.functional import IMPLEMENTATIONS, cache
from cclib.functional.call import place

UNITS = (0.75, 1, 10 / 7, 2, math.sqrt(2), (1, 1.5))
every_unit = pytest.mark.parametrize("unit", UNITS)


def test_a_value_worked_out_by_hand():
    # Outputs fall at 0.5 and 2.5; at unit 2 the tent reads 0 … 2 about 0.5 with weights 3, 3, 1 and −1 with weight 1.
    x = torch.tensor([0.0, 8.0, 16.0, 24.0]).reshape(1, 1, 4)
    tent = ClassicalFilter("linear", 1)
    y = cc_conv2d(x, tent, size=(1, 2), unit=(1, 2), padding_mode="replicate")
    assert y.tolist() == [[[5.0, 19.0]]]
    assert cc_conv2d(x, tent, size=(1, 2), unit=Fraction(2), padding_mode="replicate").tolist() == [[[5.0, 19.0]]]


@every_implementation
@pytest.mark.parametrize("kind", ["linear", "cubic", "box"])
def test_stretching_is_a_unit_of_one_over_the_scale(implementation, kind):
    x = torch.randn(1, 1, 12, 11, dtype=torch.float64)
    filter = ClassicalFilter(kind, 1)
    root = math.sqrt(0.5)
    for scale, unit in ((0.5, 2), (0.75, 4 / 3), ((0.6, 1.5), (1 / 0.6, 1)), (root, 1 / Fraction(root))):
        arguments: dict[str, Any] = {"scale": scale, "padding_mode": "replicate", "implementation": implementation}
        stretched = cc_conv2d(x, filter, stretch=True, **arguments)
        torch.testing.assert_close(cc_conv2d(x, filter, unit=unit, **arguments), stretched, rtol=0, atol=1e-12)


def test_a_learned_filter_that_is_stretched_differs_from_its_unit_by_the_mass_at_unit_one():
    torch.manual_seed(0)
    filter = MLPFilter(2, 3, 4).double()
    x = torch.randn(1, 2, 16, 16, dtype=torch.float64)
    stretched = cc_conv2d(x, filter, scale=0.5, stretch=True)  # all outputs fall half-way between pixels
    taps = torch.tensor([-1.5, -0.5, 0.5, 1.5], dtype=torch.float64)
    mass = filter.mass(torch.stack(torch.meshgrid(taps, taps, indexing="ij"), -1)).sum()
    torch.testing.assert_close(cc_conv2d(x, filter, scale=0.5, unit=2), mass * stretched, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1, 0.75, math.sqrt(0.5), 1.5])
@pytest.mark.parametrize("filter", [MLPFilter(2, 3, 3), SplineFilter(2, 3, 3), ClassicalFilter("cubic", 2)])
def test_a_unit_of_one_is_the_plain_layer_to_the_last_bit(filter, scale):
    x, groups = torch.randn(2, 2, 9, 8), 2 if isinstance(filter, ClassicalFilter) else 1
    expected = cc_conv2d(x, filter, scale=scale, groups=groups)
    for unit in (1, 1.0, Fraction(1), (1, 1.0), torch.tensor(1.0)):
        assert torch.equal(cc_conv2d(x, filter, scale=scale, groups=groups, unit=unit), expected)
    keys = {place(x, filter, scale, None, None, groups, "zeros", False, *unit).key for unit in ((), (1,), ((1, 1.0),))}
    assert len(keys) == 1


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", ["siren", "fourier", "spline", "bspline", "boxes"])
def test_the_output_is_a_continuous_function_of_the_unit(kind, whole):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 4, scale=0.75, filter=kind, window=True, partition_of_unity=whole).double()
    x = torch.randn(1, 2, 12, 11, dtype=torch.float64)
    for unit in (1, 1.5):
        y = layer(x, unit=unit)
        for other in (unit * (1 - 1e-7), unit * (1 + 1e-7)):
            torch.testing.assert_close(layer(x, unit=other), y, rtol=0, atol=1e-5 * y.abs().max().item())


@every_implementation
@pytest.mark.parametrize("kind", ["linear", "cubic", "box"])
def test_a_constant_image_stays_as_it_is_at_every_unit(implementation, kind):
    x = torch.full((1, 1, 9, 8), 3.0, dtype=torch.float64)
    for unit in (1, 10 / 7, 2, math.sqrt(2), (1, 1.5)):
        for scale in (1, 0.75, 1.5):
            arguments: dict[str, Any] = {"scale": scale, "padding_mode": "replicate", "implementation": implementation}
            y = cc_conv2d(x, ClassicalFilter(kind, 1), unit=unit, **arguments)
            torch.testing.assert_close(y, torch.full_like(y, 3.0), rtol=0, atol=1e-12)


@every_unit
def test_a_filter_that_is_its_own_mass_gives_a_constant_image_the_same_at_every_unit(unit):
    class Taper(Filter):
        def __init__(self):
            super().__init__(4, vanishes=True)
            self.inner = MLPFilter(1, 1, 4)

        def mass(self, offsets):
            return self.inner.mass(offsets)

        def basis(self, offsets):
            return self.mass(offsets).unsqueeze(-1)

        def coefficients(self):
            return torch.ones(1, 1, 1)

    x = torch.ones(1, 1, 12, 12, dtype=torch.float64)
    expected = cc_conv2d(x, Taper().double(), scale=0.75, padding_mode="circular")
    y = cc_conv2d(x, Taper().double(), scale=0.75, unit=unit, padding_mode="circular")
    assert expected.max() - expected.min() > 0.01  # it is no partition of unity
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)


def test_the_support_grows_and_shrinks_with_the_unit():
    filter = SplineFilter(1, 1, 3)
    impulse = torch.zeros(1, 1, 1, 21)
    impulse[..., 10] = 1
    for unit, read in ((1, 3), (2, 7), (5, 15), (0.5, 1)):
        assert cc_conv2d(impulse, filter, unit=(1, unit)).count_nonzero() == read  # closed: 7 at a support of 6


def test_a_small_unit_loses_taps_but_stays_finite():
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    bias = torch.tensor([0.5], dtype=torch.float64)
    between: dict[str, Any] = {"scale": 1, "size": 7}  # outputs half-way between pixels
    for kind in ("linear", "cubic"):
        filter = ClassicalFilter(kind, 1)  # at unit 1/2 they are read at their zeros, or nowhere
        for implementation in IMPLEMENTATIONS:
            y = cc_conv2d(x, filter, bias, unit=0.5, implementation=implementation, **between)
            assert (y == 0.5).all()
    learned = MLPFilter(1, 1, 3).double()
    for start in (0, 0.25, 0.5, 0.499):
        assert cc_conv2d(x, learned, unit=0.4, start=start).isfinite().all()
    assert not cc_conv2d(x, learned, unit=0.3, **between).any()  # a support of less than a pixel


@pytest.mark.parametrize("unit", [0.75, 2])
def test_two_units_share_nothing_that_is_kept(unit):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, scale=0.75)
    x = torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        for _ in range(2):
            for other in (1, unit, (unit, 1), (1, unit)):
                expected = layer(x, unit=other)
                fresh = CCConv2d(2, 3, 3, scale=0.75, unit=other)
                fresh.load_state_dict(layer.state_dict())
                assert torch.equal(fresh(x), expected)
    assert len(cache.CACHES[layer.filter].kept) == 4


@given(some_filters(), axes(), axes(), st.booleans(), st.data())
@settings(PROPERTY, max_examples=150)
def test_a_partition_of_unity_sums_to_the_integral_at_every_phase(
    filter_and_groups, vertical, horizontal, stretch, data
):
    filter, groups = filter_and_groups
    filter.partition_of_unity = True
    unit = data.draw(lengths(filter, stretch))
    (height, width), scale, size, start = zip(vertical, horizontal, strict=True)
    in_per_group = filter.coefficients().shape[2]
    # a constant image for each input channel of each group: what comes out is one weight matrix column
    x = torch.eye(in_per_group, dtype=torch.float64).repeat(1, groups)[..., None, None].expand(-1, -1, height, width)
    y = cc_conv2d(x, filter, scale=scale, size=size, start=start, groups=groups, padding_mode="circular",
                  stretch=stretch, unit=unit)  # fmt: skip
    integral = slow_integral(filter, x.dtype).detach().T[..., None, None]  # (in / groups, out, 1, 1)
    some = (y != 0).any(0).any(0)  # a narrow filter reads nothing between the pixels
    assert some.all() or min(side * length for side, length in zip(filter.support, unit, strict=True)) <= 1
    magnitude = integral.abs().max().clamp_min(1)
    torch.testing.assert_close(
        (y / magnitude)[..., some], (integral / magnitude).expand_as(y)[..., some], rtol=0, atol=1e-12
    )


def test_without_a_partition_of_unity_the_sum_changes_with_the_phase():
    torch.manual_seed(0)
    filter, x = MLPFilter(1, 1, 4).double(), torch.ones(1, 1, 12, 12, dtype=torch.float64)
    arguments: dict[str, Any] = {"scale": 0.75, "padding_mode": "circular"}
    assert (cc_conv2d(x, filter, **arguments).std() > 1e-3).item()
    filter.partition_of_unity = True
    assert (cc_conv2d(x, filter, **arguments).std() < 1e-14).item()


def test_a_partition_of_unity_takes_the_excess_from_each_tap_by_its_mass():
    torch.manual_seed(0)
    filter = MLPFilter(2, 3, 3, partition_of_unity=True).double()
    impulse = torch.zeros(2, 2, 9, 9, dtype=torch.float64)
    impulse[0, 0, 4, 4] = impulse[1, 1, 4, 4] = 1  # one for each input channel
    read = cc_conv2d(impulse, filter)[..., 3:6, 3:6].permute(2, 3, 1, 0).flip(0, 1)  # (taps, taps, out, in)
    taps = torch.arange(-1.0, 2, dtype=torch.float64)
    offsets = torch.stack(torch.meshgrid(taps, taps, indexing="ij"), -1)
    weights, mass = filter(offsets), filter.mass(offsets)
    excess = weights.sum((0, 1)) - slow_integral(filter, torch.float64)
    expected = weights - excess * (mass / mass.sum())[..., None, None]
    torch.testing.assert_close(read, expected, rtol=0, atol=1e-13)


@every_fast_path
@pytest.mark.parametrize("unit", [1, (1.5, 0.8)])
def test_a_partition_of_unity_that_is_kept_is_dropped_when_it_is_switched(implementation, scale, unit):
    torch.manual_seed(0)
    layer, x = CCConv2d(2, 3, 3, scale=scale, implementation=implementation, unit=unit), torch.randn(1, 2, 8, 9)
    for whole in (False, True, False):
        layer.filter.partition_of_unity = whole
        expected = layer(x).detach()
        with torch.no_grad():
            assert all((layer(x) - expected).abs().max() < 1e-5 for _ in range(2))


class Waves(Filter):
    """As in a notebook: it says nothing of mass."""

    def __init__(self):
        super().__init__(3, vanishes=False, partition_of_unity=True)
        self.directions = nn.Parameter(torch.randn(2, 8))
        self.weight = nn.Parameter(torch.randn(8, 2, 2))

    def basis(self, offsets):
        return torch.sin(offsets @ self.directions).cos().exp()

    def coefficients(self):
        return self.weight


class Undeclared(Waves):
    """Of which nothing is computed again."""

    self_contained = False


@every_unit
def test_a_filter_of_the_users_own(unit):
    torch.manual_seed(0)
    filter = Waves().double()
    x = torch.ones(1, 2, 12, 12, dtype=torch.float64)
    y = cc_conv2d(x, filter, scale=0.75, unit=unit, padding_mode="circular")
    expected = slow_integral(filter, x.dtype).sum(1)[:, None, None].expand_as(y)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)


def test_large_evaluations_are_computed_again_with_a_partition_of_unity_too():
    torch.manual_seed(0)
    x, results = torch.randn(1, 2, 40, 40, dtype=torch.float64), []
    state = Waves().state_dict()
    for kind in (Waves, Undeclared):
        filter = kind().double()
        filter.load_state_dict(state)
        y = cc_conv2d(x, filter, scale=0.7071, unit=1.25)
        results.append((y, *torch.autograd.grad(y.square().sum(), list(filter.parameters()))))
    torch.testing.assert_close(*results, rtol=0, atol=0)


@every_fast_path
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch runs into its own
def test_transforms_of_torch_func(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(1, 2, 2, partition_of_unity=True, unit=1.5, implementation=implementation).double()
    parameters = dict(layer.named_parameters())
    x = torch.randn(3, 1, 3, 4, dtype=torch.float64)

    def loss(values, x):
        return torch.func.functional_call(layer, values, (x,), {"scale": scale}).cos().sum()

    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    ensemble = {name: torch.stack([value, value + 0.1, value - 0.1]) for name, value in parameters.items()}
    losses = torch.func.vmap(loss)(ensemble, x)
    for index, image in enumerate(x):
        expected = torch.autograd.grad(loss(parameters, image), list(parameters.values()))
        torch.testing.assert_close([g[index] for g in gradients.values()], list(expected), rtol=0, atol=1e-11)
        own = {name: value[index] for name, value in ensemble.items()}
        torch.testing.assert_close(losses[index], loss(own, image), rtol=0, atol=1e-11)
    expected = torch.autograd.functional.jacobian(lambda x: layer(x, scale=scale), x[:1])
    torch.testing.assert_close(torch.func.jacfwd(lambda x: layer(x, scale=scale))(x[:1]), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@every_implementation
def test_other_types(dtype, implementation):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, scale=0.75, unit=1.25, partition_of_unity=True, implementation=implementation)
    x = torch.randn(1, 2, 9, 8)
    expected = layer.double()(x.double())
    y = layer.to(dtype)(x.to(dtype))
    assert y.dtype == dtype
    error = 0.02 if dtype == torch.bfloat16 else 1e-6
    assert (y.double() - expected).abs().max() < error * expected.abs().max()


def test_explain_knows_the_unit():
    filter = MLPFilter(4, 6, 3)
    counted = [explain((1, 4, 12, 12), filter, unit=unit).candidates[0].multiply_adds for unit in (1, 2)]
    assert counted[1] > 2 * counted[0]


@pytest.mark.parametrize(
    ("unit", "error", "words"),
    [
        (0, ValueError, "unit must be greater than 0, got 0"),
        ((1, -2), ValueError, "unit must be greater than 0, got -2"),
        (math.nan, ValueError, "unit must be finite, got nan"),
        ("1", TypeError, "unit must be a number, got '1'"),
        (True, TypeError, "unit must be a number, got True"),
        ((1, None), TypeError, "unit must be a number, got None"),
        ((1, 2, 3), ValueError, r"unit must be a number or a pair \(height, width\), got \(1, 2, 3\)"),
        (torch.ones(3), ValueError, r"unit must be a number or a pair .*, got a tensor of shape \(3,\)"),
    ],
)
def test_wrong_units(unit, error, words):
    filter, x = MLPFilter(2, 3, 3), torch.zeros(1, 2, 6, 6)
    layer = CCConv2d(2, 3, 3)
    for call in (
        lambda: cc_conv2d(x, filter, unit=unit),
        lambda: layer(x, unit=unit),
        lambda: layer.freeze(6, unit=unit),
        lambda: explain(x.shape, filter, unit=unit),
        lambda: CCConv2d(2, 3, 3, unit=unit),
        lambda: setattr(layer, "unit", unit),
    ):
        with pytest.raises(error, match=words):
            call()
    assert layer.unit == 1


def test_a_unit_beside_stretch_is_refused():
    filter, x, words = MLPFilter(2, 3, 3), torch.zeros(1, 2, 6, 6), r"unit must be 1 with stretch=True, .*got \(1, 2\)"
    layer = CCConv2d(2, 3, 3, stretch=True, unit=1.0)
    for call in (
        lambda: cc_conv2d(x, filter, unit=(1, 2), stretch=True),
        lambda: layer(x, unit=(1, 2)),
        lambda: layer.freeze(6, unit=(1, 2)),
        lambda: explain(x.shape, filter, unit=(1, 2), stretch=True),
        lambda: CCConv2d(2, 3, 3, unit=(1, 2), stretch=True),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    assert layer(x, unit=1).shape == (1, 3, 6, 6)
