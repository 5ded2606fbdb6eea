"""What the tests of cc_conv2d share: its implementations, the fast paths through them, counters of convolutions
and of evaluations."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import settings
from torch.utils._python_dispatch import TorchDispatchMode

from cclib.filters import Filter
from cclib.functional import IMPLEMENTATIONS
from cclib.functional.operator import backward, forward

PROPERTY = settings(derandomize=True, deadline=None, database=None)


def count_evaluations(monkeypatch: pytest.MonkeyPatch, kind: type[Filter]) -> list[torch.Size]:
    """A list that grows by one, the shape of the offsets, whenever the basis of such a filter is evaluated."""
    calls: list[torch.Size] = []
    basis = kind.basis

    def counted(self: Filter, offsets: torch.Tensor) -> torch.Tensor:
        calls.append(offsets.shape)
        return basis(self, offsets)

    monkeypatch.setattr(kind, "basis", counted)
    return calls


every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


def serving(groups: int) -> tuple[str, ...]:
    """The implementations that have as many groups."""
    return tuple(name for name in IMPLEMENTATIONS if groups == 1 or name != "pixels")


# What runs inside of the operators, which a mode would see as one call.
INSIDE: dict[object, Callable[..., object]] = {
    torch.ops.cclib.continuous_convolution.default: forward,
    torch.ops.cclib.continuous_convolution_backward.default: backward,
}


CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten.conv2d.default)


class Calls(TorchDispatchMode):
    """Counts the convolutions that run inside, and the bytes of the largest tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in INSIDE:
            with self:
                return INSIDE[func](*args, **(kwargs or {}))
        self.convolutions += func in CONVOLUTIONS
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        return result


# An implementation and a scale for every fast path: one convolution, a transposed one, views, patches, line by line.
FAST = {
    "convolution": ("phases", 1),
    "transposed": ("phases", 2),
    "phases": ("phases", 0.75),
    "phases, up": ("phases", (1.5, 0.4)),
    "one phase a pixel": ("phases", math.sqrt(0.5)),
    "basis": ("basis", 0.75),
    "basis, up": ("basis", (1.5, math.sqrt(0.5))),
    "pixels": ("pixels", 0.75),
    "pixels, up": ("pixels", (1.5, math.sqrt(0.5))),
}


every_fast_path = pytest.mark.parametrize(("implementation", "scale"), FAST.values(), ids=FAST)
