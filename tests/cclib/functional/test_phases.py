"""The convolutions that "phases" runs, and the others do not."""

import pytest
import torch
from functional_cases import Calls

from cclib import cc_conv2d
from cclib.filters import MLPFilter
from cclib.functional import kernels


@pytest.mark.parametrize(
    ("kernel_size", "groups", "padding_mode"), [(3, 1, "zeros"), (4, 2, "circular"), ((2, 5), 1, "reflect")]
)
def test_at_scale_1_phases_is_one_convolution(monkeypatch, kernel_size, groups, padding_mode):
    monkeypatch.setattr(kernels, "library", lambda: None)
    filter = MLPFilter(4, 6, kernel_size, groups=groups)
    for arguments in ({}, {"scale": 1.0}, {"start": (0.3, -0.2)}, {"scale": 0.5}):
        with Calls() as calls:
            cc_conv2d(
                torch.randn(2, 4, 12, 11), filter, groups=groups, padding_mode=padding_mode,
                implementation="phases", **arguments,
            )  # fmt: skip
        assert calls.convolutions == 1


CONVOLUTIONS = [
    (1, 1, 1), (0.5, 1, 1), (2, 1, 1), ((3, 2), 2, 1),
    ((0.75, 1.5), 1, 3 * 3), ((1.5, 0.5), 1, 3), ((0.75, 1.5), 2, 3 * 3), ((1.5, 0.5), 2, 3),
]  # fmt: skip


@pytest.mark.parametrize(("scale", "groups", "convolutions"), CONVOLUTIONS)
def test_how_many_convolutions_phases_runs_without_kernels(monkeypatch, scale, groups, convolutions):
    filter = MLPFilter(2, 2, 3, groups=groups)
    x = torch.randn(1, 2, 12, 24)
    if kernels.library() is not None:
        with Calls() as calls:
            cc_conv2d(x, filter, scale=scale, groups=groups, implementation="phases")
        assert calls.convolutions == 0
    monkeypatch.setattr(kernels, "library", lambda: None)
    with Calls() as calls:
        cc_conv2d(x, filter, scale=scale, groups=groups, implementation="phases")
    assert calls.convolutions == convolutions


@pytest.mark.parametrize("implementation", ["reference", "basis"])
def test_the_others_run_no_convolution(implementation):
    with Calls() as calls:
        cc_conv2d(torch.randn(1, 2, 12, 12), MLPFilter(2, 2, 3), scale=(0.75, 1.5), implementation=implementation)
    assert calls.convolutions == 0
