"""An implementation of the user's own."""

import pytest
import torch

from cclib import CCConv2d, cc_conv2d, explain
from cclib.filters import MLPFilter
from cclib.functional import IMPLEMENTATIONS
from cclib.functional.registry import Cost, Speed, implementation


@pytest.fixture
def mine(monkeypatch):
    """The reference plus one, for next to no time; gone when the test ends."""
    monkeypatch.setitem(IMPLEMENTATIONS, "mine", None)

    @implementation("mine", lambda problem: Cost(problem.convolution, 0, problem.images, calls=1), Speed(1e15, 1, 0))
    def compute(x, bias, problem):
        return IMPLEMENTATIONS["reference"].compute(x, bias, problem) + 1


@pytest.mark.usefixtures("mine")
def test_it_is_called_by_name_and_by_auto():
    x, filter = torch.randn(1, 2, 6, 6), MLPFilter(2, 2, 3)
    expected = cc_conv2d(x, filter, implementation="reference") + 1
    assert torch.equal(cc_conv2d(x, filter, implementation="mine"), expected)
    assert torch.equal(cc_conv2d(x, filter), expected)
    assert torch.equal(CCConv2d(2, 2, 3, filter=filter, bias=False, implementation="mine")(x), expected)
    assert explain(x.shape, filter).implementation == "mine"
    assert "mine" in str(explain(x.shape, filter))
    with pytest.raises(ValueError, match=r"implementation must be one of auto, .*, mine, got 'yours'"):
        cc_conv2d(x, filter, implementation="yours")
