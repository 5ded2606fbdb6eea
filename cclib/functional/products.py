"""Products of matrices, by torch or on a CPU by numpy.

Where MKL, torch's library, is told to give the same bits on processors of all makers, it takes three times as long as
numpy's OpenBLAS, which gives the same bits on all of them with one kind of core. But OpenBLAS has threads of its own,
which wait for work in a loop: beside those of torch products take up to fifty times as long. So numpy is for one thread
a process, as where many networks are trained side by side, and has to be asked for: ``CCLIB_PRODUCTS=numpy``, with
``OPENBLAS_NUM_THREADS=1``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["SWITCH", "product"]

SWITCH = "CCLIB_PRODUCTS"
LIBRARIES = ("torch", "numpy")
TYPES = (torch.float32, torch.float64)  # that numpy has fast products of


def product(first: Tensor, second: Tensor, out: Tensor | None = None) -> Tensor:
    """The product of two matrices, or of each two of two stacks of as many. It records no gradients.

    For numpy to be fast, the last or the last but one dimension of each must be contiguous, and of ``out`` the last.

    Raises:
        ValueError: ``CCLIB_PRODUCTS`` names another library.
    """
    multiply = numpy_product()
    if multiply is None or first.device.type != "cpu" or first.dtype not in TYPES:
        return torch.matmul(first, second, out=out)
    arrays = first.detach().numpy(), second.detach().numpy()
    if out is None:
        return torch.from_numpy(multiply(*arrays))
    multiply(*arrays, out=out.detach().numpy())
    return out


@lru_cache(maxsize=1)
def numpy_product() -> Callable[..., Any] | None:
    """numpy's, where it was asked for when the process first multiplied."""
    asked = os.environ.get(SWITCH) or "torch"
    if asked not in LIBRARIES:
        raise ValueError(f"{SWITCH} must be one of {', '.join(LIBRARIES)}, got {asked!r}")
    if asked == "torch":
        return None
    import numpy  # the library runs without it

    return numpy.matmul
