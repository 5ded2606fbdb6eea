"""Phases: at a rational scale M / N the sub-pixel offsets repeat every M outputs, while the input advances by N.

So only M filters exist per axis. One phase on both axes is a convolution and an advance of one on both is a transposed
convolution; torch has both. Else there is one strided convolution for each pair of phases, of views of one image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from cclib.functional.convolutions import Convolution, convolution_of
from cclib.functional.images import padded
from cclib.functional.problem import Problem, Work
from cclib.functional.registry import Cost, Gradients, Implementation
from cclib.functional.views import correlate, strip_gradient
from cclib.functional.weights import FilterGradients, kernels, strips, whole
from cclib.geometry import Runs, input_runs, output_runs

__all__ = ["PHASES"]


def prepare(functions: Tensor, coefficients: Tensor, problem: Problem, dtype: torch.dtype) -> Iterator[Tensor]:
    """The kernel of the one convolution, or those of each pair of phases."""
    single = convolution_of(problem.grid)
    if single is not None:
        yield single.kernel(whole(functions, coefficients, dtype), problem.groups)
        return
    vertical, horizontal = output_axes(problem)
    for strip in strips(functions, coefficients, vertical, dtype):
        for kernel in kernels(strip, horizontal, problem.groups):
            yield kernel.contiguous()


def forward(x: Tensor, prepared: Iterable[Tensor], bias: Tensor | None, problem: Problem) -> Tensor:
    """One convolution, or one for each pair of phases."""
    single = convolution_of(problem.grid)
    if single is not None:
        (kernel,) = prepared
        return single.forward(x, kernel, bias, problem.groups)
    vertical, horizontal = output_axes(problem)
    return correlate(padded(x, vertical, horizontal), vertical, horizontal, prepared, bias, x)


def backward(
    gradient: Tensor, x: Tensor, functions: Tensor, coefficients: Tensor, problem: Problem, wanted: Sequence[bool]
) -> Gradients:
    """The gradient of the filter phase by phase, that of the image on the grid of its own pixels."""
    single = convolution_of(problem.grid)
    if single is not None:
        return backward_of_single(single, gradient, x, functions, coefficients, problem.groups, wanted)
    dx = dfunctions = dcoefficients = None
    vertical, horizontal = output_axes(problem)
    read_by = input_axes(problem)
    filled = vertical.count * len(vertical.runs), horizontal.count * len(horizontal.runs)
    of_filter = wanted[1] or wanted[2]
    source = padded(gradient, *read_by, least=filled if of_filter else None)
    if of_filter:
        image = padded(x, vertical, horizontal)
        gradients = FilterGradients(functions, coefficients)
        for row, run in enumerate(vertical.runs):
            shape = gradients.strip(len(run.slots))
            gradients.add(run.slots, strip_gradient(image, source, vertical, horizontal, row, shape, problem.groups))
        dfunctions, dcoefficients = gradients.result()
        del image, gradients
    if wanted[0]:
        prepared = (
            kernel
            for strip in strips(functions, coefficients, read_by[0], x.dtype)
            for kernel in kernels(strip, read_by[1], problem.groups, of_inputs=True)
        )
        dx = correlate(source, *read_by, prepared, None, x)
    return dx, dfunctions, dcoefficients


def backward_of_single(
    single: Convolution,
    gradient: Tensor,
    x: Tensor,
    functions: Tensor,
    coefficients: Tensor,
    groups: int,
    wanted: Sequence[bool],
) -> Gradients:
    weights = whole(functions, coefficients, x.dtype)
    of_filter = wanted[1] or wanted[2]
    dx, dkernel = single.backward(gradient, x, single.kernel(weights, groups), groups, (wanted[0], of_filter))
    if dkernel is None:
        return dx, None, None
    gradients = FilterGradients(functions, coefficients)
    gradients.add(range(len(functions)), single.weights(dkernel, groups, weights))
    return dx, *gradients.result()


def output_axes(problem: Problem) -> tuple[Runs, Runs]:
    """What the outputs read."""
    vertical, horizontal = (output_runs(taps, 0) for taps in problem.grid)
    return vertical, horizontal


def input_axes(problem: Problem) -> tuple[Runs, Runs]:
    """Which outputs read each pixel of the image."""
    vertical, horizontal = (input_runs(taps, 0, taps.axis.n_in) for taps in problem.grid)
    return vertical, horizontal


def cost(work: Work) -> Cost:
    """One convolution, or one for each pair of phases."""
    multiply_adds = work.convolution + work.offsets * work.weight_multiply_adds
    weights = work.offsets * work.matrix
    vertical, horizontal = work.problem.counts
    if work.phases == 1:
        return Cost(multiply_adds, 0, work.images + 2 * weights + work.output, calls=10)
    return Cost(
        multiply_adds,
        moved=work.extended + 2 * work.output,
        temporary=work.extended + 2 * work.images + 2 * weights // vertical.phases + work.listed,
        calls=10 + 4 * vertical.phases + work.phases,
    )


PHASES = Implementation(prepare, forward, backward, cost)
