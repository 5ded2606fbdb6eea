"""Geometries at which a call is quick and small, or refused with the number of what it would hold."""

import re
from fractions import Fraction

import pytest
import torch
from functional_cases import Calls, every_implementation

from cclib import CCConv2d, cc_conv2d, explain
from cclib.filters import MLPFilter
from cclib.functional import problem
from cclib.functional.call import part_that_reads
from cclib.geometry import Axis, Window, counts_of, taps_of

REFUSED = (
    r"this call would hold \d\.\de\+\d+ numbers for \d\.\de\+\d+ of input and output"
    r"|this call would list \d\.\de\+\d+ taps one by one"
    "|scale or size asks for .* outputs"
)


@pytest.fixture(autouse=True)
def short_lists(monkeypatch):
    """No list of taps is made that would be long."""

    def watched(axis, window, by_phase=True):
        assert counts_of(axis, window).offsets <= 2**16
        return taps_of(axis, window, by_phase)

    monkeypatch.setattr(problem, "taps_of", watched)


@every_implementation
@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": 1e-4, "size": 3},
        {"scale": 1e-4, "stretch": True},
        {"scale": 1e-7, "stretch": True},
        {"scale": 1e-9, "stretch": True},
        {"scale": 1e-4, "size": 3, "padding_mode": "replicate"},
        {"scale": 5e-324, "size": 3},
        {"scale": 5e-324, "size": 3, "padding_mode": "circular"},
        {"scale": 1e-300, "stretch": True},
        {"scale": 1e-300, "size": 3, "stretch": True, "padding_mode": "replicate"},
        {"scale": 1e300, "size": 3, "start": -1e300},
        {"start": 1e300, "padding_mode": "circular"},
        {"size": 2**31 - 1},
        {"size": (2**31 - 1, 1)},
        {"scale": (1e8, 1)},
        {"unit": 1e300},
        {"unit": 1e-300},
    ],
)
def test_a_call_is_small_or_refused(implementation, arguments):
    if implementation == "reference" and arguments.get("scale") in (1e-4, 1e-7):
        pytest.skip("the definition may hold more")
    filter, x = MLPFilter(2, 2, 3), torch.randn(1, 2, 8, 8)
    refused = ""
    with torch.no_grad(), Calls() as calls:
        try:
            cc_conv2d(x, filter, implementation=implementation, **arguments)
        except ValueError as error:
            refused = str(error)
    assert not refused or re.match(REFUSED, refused)
    assert calls.largest <= 2**29


@pytest.mark.parametrize("scale", [(1e6, 1), (1e7, 1), (1e-9, 1e-9), 1e-300, 5e-324])
@pytest.mark.parametrize("stretch", [False, True])
def test_explain_lists_no_taps(scale, stretch):
    explain((1, 2, 8, 8), MLPFilter(2, 2, 3), scale=scale, stretch=stretch)


@every_implementation
def test_far_outside_there_is_bias_and_no_gradient(implementation):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, scale=0.75, implementation=implementation)
    x = torch.randn(2, 2, 8, 9, requires_grad=True)
    for far in (1e3, -1e3, 1e15):
        y = layer(x, start=(far, 0))
        assert torch.equal(y, layer.bias.reshape(-1, 1, 1).expand_as(y))
        gradients = torch.autograd.grad(
            y.sum(), [x, *layer.filter.parameters()], allow_unused=True, materialize_grads=True
        )
        assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("scale", [5e-324, 1e-300])
@pytest.mark.parametrize("padding_mode", ["zeros", "circular", "replicate"])
def test_outputs_far_apart_freeze(scale, padding_mode):
    """Nothing is copied of what lies between them."""
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, padding_mode=padding_mode).double()
    frozen = layer.freeze((8, 9), scale=scale, size=3)
    assert max(len(frozen.rows), len(frozen.columns)) <= 9
    x = torch.randn(1, 2, 8, 9, dtype=torch.float64)
    if padding_mode == "zeros":
        torch.testing.assert_close(frozen(x), layer(x, scale=scale, size=3), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "geometry", [{"size": 2**31 - 1}, {"size": (2**22, 1)}, {"unit": 1e300}, {"scale": 2e4, "size": (20_011, 20_011)}]
)
def test_a_geometry_with_very_many_weights_does_not_freeze(geometry):
    with pytest.raises(ValueError, match=r"(size|scale)"):
        CCConv2d(2, 2, 3).freeze(8, **geometry)


def test_outputs_between_pixels_are_not_searched_one_by_one(monkeypatch):
    """Of a filter much narrower than a pixel millions of outputs in a row may read nothing."""
    looked = []
    taps = Window.taps

    def counted(*arguments):
        looked.append(arguments)
        return taps(*arguments)

    monkeypatch.setattr(Window, "taps", counted)
    axis = Axis(8, 10**7, Fraction(1, 2), Fraction(1, 10**8))
    outputs = part_that_reads(axis, Window(Fraction(1, 10**9), True))
    assert len(looked) < 5000
    assert len(outputs) > 10**6


@pytest.mark.parametrize("kernel_size", [5e-324, 1e-300, 1e10, 1e18, 1e300, 10**400, (3, 1e9)])
@pytest.mark.parametrize("filter", ["siren", "silu", "fourier", "spline", "bspline", "boxes"])
def test_extreme_kernels_are_refused(kernel_size, filter):
    with pytest.raises(ValueError, match="kernel_size"):
        CCConv2d(2, 2, kernel_size, filter=filter)


def test_extreme_supports_are_refused_or_computed():
    x = torch.randn(1, 2, 8, 8)
    assert cc_conv2d(x, MLPFilter(2, 2, 1e-17, features=4)).isfinite().all()
    wide = MLPFilter(2, 2, 1e17, features=4)
    with pytest.raises(ValueError, match="this call would hold"):
        cc_conv2d(x, wide)
    with pytest.raises(ValueError, match=r"partition_of_unity needs the filter at 1\.6e\+07 points"):
        cc_conv2d(x, MLPFilter(2, 2, 1e3, features=4, partition_of_unity=True))
    for sizes in ((2**20, 2**20), (10**30, 10**30)):
        with pytest.raises(ValueError, match="kernel_size, in_channels and out_channels ask for a parameter of more"):
            CCConv2d(*sizes, 3)
    with pytest.raises(ValueError, match="hidden and features ask for a parameter of more"):
        MLPFilter(2, 2, 3, hidden=10**12)
    with pytest.raises(ValueError, match=r"MLPFilter must give functions whose mean square is .* got nan"):
        MLPFilter(2, 2, 3, frequency=1e300)
