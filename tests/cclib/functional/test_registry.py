"""What an implementation says of itself is all that is needed to call it."""

from dataclasses import replace

import pytest
import torch

from cclib import CCConv2d, cc_conv2d, explain
from cclib.filters import MLPFilter
from cclib.functional import IMPLEMENTATIONS, call, choice
from cclib.functional.implementations import OPERATORS
from cclib.functional.registry import Cost, speeds


@pytest.fixture
def mine(monkeypatch):
    """The implementation "phases" plus one, for next to no time; gone when the test ends."""
    phases = OPERATORS["phases"]
    added = replace(
        phases,
        forward=lambda *arguments: phases.forward(*arguments) + 1,
        cost=lambda work: Cost(work.convolution, 0, work.images, calls=0),
    )
    faster = replace(speeds()["phases"], multiply_adds=1e-15)
    monkeypatch.setitem(OPERATORS, "mine", added)
    monkeypatch.setattr(choice, "speeds", lambda: {**speeds(), "mine": faster})
    monkeypatch.setattr(call, "CHOICES", ("auto", *IMPLEMENTATIONS, "mine"))
    monkeypatch.setattr("cclib.layers.CHOICES", ("auto", *IMPLEMENTATIONS, "mine"))
    choice.pick.cache_clear()
    yield
    choice.pick.cache_clear()


@pytest.mark.usefixtures("mine")
def test_it_is_called_by_name_and_by_auto():
    x, filter = torch.randn(1, 2, 6, 6), MLPFilter(2, 2, 3)
    expected = cc_conv2d(x, filter, implementation="phases") + 1
    assert torch.equal(cc_conv2d(x, filter, implementation="mine"), expected)
    assert torch.equal(cc_conv2d(x, filter), expected)
    with torch.no_grad():
        assert torch.equal(cc_conv2d(x, filter), expected)
    assert torch.equal(CCConv2d(2, 2, 3, filter=filter, bias=False, implementation="mine")(x), expected)
    assert explain(x.shape, filter).implementation == "mine"
    assert "mine" in str(explain(x.shape, filter))
    with pytest.raises(ValueError, match=r"implementation must be one of auto, .*, mine, got 'yours'"):
        cc_conv2d(x, filter, implementation="yours")


def test_the_names():
    assert IMPLEMENTATIONS[0] == "reference"
    assert IMPLEMENTATIONS[1:] == tuple(OPERATORS)
    assert set(speeds()) == set(OPERATORS)
