"""What the tests of cc_conv2d share: its implementations, the fast paths through them, a counter of convolutions."""

import math

import pytest
import torch
from hypothesis import settings
from torch.utils._python_dispatch import TorchDispatchMode

from cclib.functional import IMPLEMENTATIONS

PROPERTY = settings(derandomize=True, deadline=None, database=None)


every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


class Calls(TorchDispatchMode):
    """Counts the convolutions that run inside, and the bytes of the largest tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.convolutions += func is torch.ops.aten.convolution.default
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        return result


# An implementation and a scale for every fast path: one convolution, a transposed one, patches, line by line.
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
