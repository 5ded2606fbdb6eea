"""Geometries at which a call is quick and small, or refused with the number of what it would hold."""

import re

import pytest
import torch
from functional_cases import Calls, every_implementation

from cclib import CCConv2d, cc_conv2d, explain
from cclib.filters import MLPFilter
from cclib.functional import problem
from cclib.geometry import counts_of, taps_of

REFUSED = r"this call would hold \d\.\de\+\d+ numbers for \d\.\de\+\d+ of input and output"


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
    ],
)
def test_a_call_is_small_or_refused(implementation, arguments):
    if implementation == "reference":
        pytest.skip("the definition lists all taps")
    filter, x = MLPFilter(2, 2, 3), torch.randn(1, 2, 8, 8)
    refused = ""
    with torch.no_grad(), Calls() as calls:
        try:
            cc_conv2d(x, filter, implementation=implementation, **arguments)
        except ValueError as error:
            refused = str(error)
    assert not refused or re.match(REFUSED, refused)
    assert calls.largest <= 2**29


@pytest.mark.parametrize("scale", [(1e6, 1), (1e7, 1), (1e-9, 1e-9)])
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
