"""What the tests of cc_conv2d share: its implementations, the fast paths through them, counters of convolutions
and of evaluations."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import settings
from torch.utils._python_dispatch import TorchDispatchMode

from cclib.filters import Filter
from cclib.functional import IMPLEMENTATIONS, sums
from cclib.functional.implementations import OPERATORS
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


def count_forwards(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by the name of an implementation whenever it computes a forward pass."""
    ran: list[str] = []
    for name, implementation in list(OPERATORS.items()):

        def noted(*arguments, name=name, forward=implementation.forward):
            ran.append(name)
            return forward(*arguments)

        monkeypatch.setitem(OPERATORS, name, replace(implementation, forward=noted))
    return ran


every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


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


# As the fixture ``implementation`` takes them.
WITHOUT_KERNELS, BY_PAIRS = "phases without kernels", "phases with weights made pair by pair"


def make_by_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are made pair by pair of runs, however few they are, and their gradients summed run by run."""
    monkeypatch.setattr(sums, "TABLE_NUMBERS", 0)
    monkeypatch.setattr(sums, "FEW_PAIRS", 1)


# An implementation and a scale for every fast path: the compiled sums; without them one convolution, a transposed one,
# and those of views; line by line.
FAST = {
    "kernels": ("phases", 0.75),
    "kernels, up": ("phases", (1.5, 0.4)),
    "kernels, one phase a pixel": ("phases", math.sqrt(0.5)),
    "kernels, pair by pair": (BY_PAIRS, (0.75, math.sqrt(0.5))),
    "convolution": (WITHOUT_KERNELS, 1),
    "transposed": (WITHOUT_KERNELS, 2),
    "views": (WITHOUT_KERNELS, (0.75, 1.5)),
    "basis": ("basis", 0.75),
    "basis, up": ("basis", (1.5, math.sqrt(0.5))),
}


every_fast_path = pytest.mark.parametrize(
    ("implementation", "scale"), FAST.values(), ids=FAST, indirect=["implementation"]
)
