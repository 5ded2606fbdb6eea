"""The weights of a grid's runs from the filter's scalar functions and coefficients, and the gradients of these.

One vertical run at a time, so that only a strip of the weights of all phases is held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cclib.geometry import Runs

__all__ = ["FilterGradients", "adjoint", "convolution_kernels", "strips", "whole"]


def strips(functions: Tensor, coefficients: Tensor, vertical: Runs, dtype: torch.dtype) -> Iterator[Tensor]:
    """For each vertical run its weights (taps, horizontal offsets, out, in / groups).

    ``functions`` (vertical offsets, horizontal offsets, features), ``coefficients`` (features, out, in / groups).
    """
    for run in vertical.runs:
        yield whole(chosen(functions, 0, run.slots), coefficients, dtype)


def convolution_kernels(strip: Tensor, horizontal: Runs) -> Iterator[Tensor]:
    """Of a strip for each horizontal run the kernel of a convolution, (out, in / groups, rows, columns), with the
    channels last."""
    for run in horizontal.runs:
        yield chosen(strip, 1, run.slots).permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)


def adjoint(coefficients: Tensor, groups: int) -> Tensor:
    """The coefficients (features, in, out / groups) of the sum that takes gradients of outputs to those of inputs."""
    by_group: Tensor = coefficients.unflatten(1, (groups, -1)).mT
    return by_group.flatten(1, 2)


def whole(functions: Tensor, coefficients: Tensor, dtype: torch.dtype) -> Tensor:
    """All weights, (vertical offsets, horizontal offsets, out, in / groups)."""
    matrices = coefficients.to(functions.dtype).flatten(1)
    weights = torch.matmul(functions.flatten(0, 1), matrices)
    return weights.view(*functions.shape[:2], *coefficients.shape[1:]).to(dtype)


class FilterGradients:
    """Those of ``functions`` and ``coefficients``, gathered strip by strip."""

    def __init__(self, functions: Tensor, coefficients: Tensor) -> None:
        self.functions, self.coefficients = functions, coefficients
        self.matrices = coefficients.to(functions.dtype).flatten(1)
        self.of_functions = torch.zeros_like(functions)
        self.of_matrices = torch.zeros_like(self.matrices)

    def strip(self, rows: int) -> tuple[int, ...]:
        """The shape of the weights of so many vertical offsets."""
        return rows, self.functions.shape[1], *self.coefficients.shape[1:]

    def add(self, slots: Sequence[int], gradient: Tensor) -> None:
        """``gradient`` is that of the weights at these vertical offsets, which come but once."""
        read = chosen(self.functions, 0, slots)
        flat = gradient.to(self.functions.dtype).reshape(-1, self.matrices.shape[1])
        rows = torch.tensor(slots, dtype=torch.long, device=flat.device)
        self.of_functions.index_copy_(0, rows, torch.matmul(flat, self.matrices.t()).view(read.shape))
        self.of_matrices += torch.matmul(read.flatten(0, 1).t(), flat)

    def result(self) -> tuple[Tensor, Tensor]:
        """The gradients of functions and of coefficients."""
        return self.of_functions, self.of_matrices.view_as(self.coefficients).to(self.coefficients.dtype)


def chosen(values: Tensor, dim: int, slots: Sequence[int]) -> Tensor:
    """What stands at these offsets; a view where they are neighbours."""
    first = slots[0] if slots else 0
    if list(slots) == list(range(first, first + len(slots))):
        return values.narrow(dim, first, len(slots))
    return values.index_select(dim, torch.tensor(slots, device=values.device))
