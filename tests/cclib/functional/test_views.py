"""Sums over runs as convolutions of views: equal to the reference for runs of every shape."""

import pytest
import torch
from functional_cases import Calls

from cclib import cc_conv2d
from cclib.filters import MLPFilter
from cclib.functional import kernels

# Sizes leave the runs unequal.
CASES = {
    "ragged": ((2, 2, 9, 21), 3, 1, 3, {"scale": 0.75}),
    "up": ((2, 2, 7, 11), 3, 1, 3, {"scale": (1.5, 1.5), "size": (10, 17)}),
    "off centre": ((2, 2, 9, 21), 3, 1, 3, {"scale": 0.75, "start": (0.3, -1.2)}),
    "groups": ((2, 4, 8, 9), 6, 2, 3, {"scale": 0.75}),
    "many phases, groups": ((1, 4, 7, 6), 4, 4, 3, {"size": (6, 5)}),
    "narrow": ((2, 2, 9, 21), 3, 1, (1, 0.5), {"scale": 0.75}),
    "narrower than a pixel": ((2, 2, 5, 13), 3, 1, 0.3, {"scale": 1.5, "start": 0}),
    "one channel": ((2, 1, 9, 21), 1, 1, 4, {"scale": 0.75}),
    "batch of one": ((1, 3, 9, 21), 2, 1, (2, 5), {"scale": (0.75, 0.5)}),
    "parts of the input": ((2, 2, 9, 40), 3, 1, 3, {"scale": 0.75, "size": (3, 13), "start": (4, 5)}),
}


@pytest.mark.parametrize(("shape", "out", "groups", "kernel_size", "geometry"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
def test_views_equal_the_reference(monkeypatch, stored, shape, out, groups, kernel_size, geometry):
    monkeypatch.setattr(kernels, "library", lambda: None)  # which are used where there are any
    torch.manual_seed(0)
    filter = MLPFilter(shape[1], out, kernel_size, groups=groups).double()
    bias = torch.randn(out, dtype=torch.float64, requires_grad=True)
    x = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=stored).requires_grad_()

    def results(implementation):
        y = cc_conv2d(x, filter, bias, groups=groups, implementation=implementation, **geometry)
        assert implementation == "reference" or y.is_contiguous(memory_format=stored)
        return y, *torch.autograd.grad(y.cos().sum(), [x, bias, *filter.parameters()])

    with torch.no_grad(), Calls() as calls:
        inferred = cc_conv2d(x, filter, bias, groups=groups, implementation="phases", **geometry)
    assert calls.convolutions >= 1
    expected = results("reference")
    torch.testing.assert_close((*results("phases"), inferred), (*expected, expected[0]), rtol=0, atol=1e-11)
