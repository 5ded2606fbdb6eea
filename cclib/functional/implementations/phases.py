"""Phases: at a rational scale M / N the sub-pixel offsets repeat every M outputs, while the input advances by N.

So only M filters exist per axis, and compiled kernels sum them. Where these do not serve, torch's convolutions do: one
phase on both axes is a convolution, an advance of one on both is a transposed convolution, and else there is one
strided convolution of a view for each pair of phases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import prod

import torch
from torch import Tensor

from cclib.functional import kernels, sums, views
from cclib.functional.convolutions import Convolution, convolution_of
from cclib.functional.images import padded
from cclib.functional.problem import Problem, Work, problem_of
from cclib.functional.registry import Cost, Gradients, Implementation, of_bias
from cclib.functional.weights import FilterGradients, adjoint, convolution_kernels, strips, whole
from cclib.geometry import Runs, input_runs, output_runs

__all__ = ["PHASES", "multiply_adds"]

FEW_NUMBERS = 2**16  # of a geometry that may be listed to count a cost


def prepare(functions: Tensor, coefficients: Tensor, problem: Problem, dtype: torch.dtype) -> Iterator[Tensor]:
    """The tables of the compiled kernels, the kernel of the one convolution, or that of each pair of phases."""
    if kernels.serve(functions.device):
        sizes = sums.Sizes(0, problem.groups, coefficients.shape[2], coefficients.shape[1] // problem.groups)
        values = functions.to(summed_as(dtype))
        yield from sums.weights_of(values, coefficients, reads_of_outputs(problem.key), sizes)
    elif (single := convolution_of(problem.grid)) is not None:
        yield single.kernel(whole(functions, coefficients, dtype), problem.groups)
    else:
        vertical, horizontal = output_axes(problem)
        for strip in strips(functions, coefficients, vertical, dtype):
            yield from convolution_kernels(strip, horizontal)


def forward(x: Tensor, prepared: Iterable[Tensor], bias: Tensor | None, problem: Problem, out_channels: int) -> Tensor:
    """The compiled sums, one convolution, or one for each pair of phases."""
    if kernels.serve(x.device):
        reads, sizes = reads_of_outputs(problem.key), sizes_of(x, out_channels, problem)
        dtype, weights = summed_as(x.dtype), [*prepared]
        if dtype == x.dtype:
            return sums.correlate(x, weights, bias, reads, sizes)
        bias = None if bias is None else bias.to(dtype)
        return sums.correlate(x.to(dtype), weights, bias, reads, sizes).to(x.dtype)
    if (single := convolution_of(problem.grid)) is not None:
        (kernel,) = prepared
        return single.forward(x, kernel, bias, problem.groups)
    vertical, horizontal = output_axes(problem)
    return views.correlate(padded(x, vertical, horizontal), vertical, horizontal, prepared, bias, x)


def backward(
    gradient: Tensor, x: Tensor, functions: Tensor, coefficients: Tensor, problem: Problem, wanted: Sequence[bool]
) -> Gradients:
    """The gradient of the image is the same sum on the grid of its own pixels."""
    if kernels.serve(x.device):
        return backward_of_sums(gradient, x, functions, coefficients, problem, wanted)
    if (single := convolution_of(problem.grid)) is not None:
        return backward_of_single(single, gradient, x, functions, coefficients, problem.groups, wanted)
    return backward_of_views(gradient, x, functions, coefficients, problem, wanted)


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
    kernel = single.kernel(weights, groups)
    dx, dkernel, dbias = single.backward(gradient, x, kernel, groups, (wanted[0], of_filter, wanted[3]))
    if dkernel is None:
        return dx, None, None, dbias
    gradients = FilterGradients(functions, coefficients)
    gradients.add(range(len(functions)), single.weights(dkernel, groups, weights))
    return dx, *gradients.result(), dbias


def backward_of_sums(
    gradient: Tensor, x: Tensor, functions: Tensor, coefficients: Tensor, problem: Problem, wanted: Sequence[bool]
) -> Gradients:
    dx = dfunctions = dcoefficients = None
    dtype, sizes = summed_as(x.dtype), sizes_of(x, gradient.shape[1], problem)
    x, source, values = x.to(dtype), gradient.to(dtype), functions.to(dtype)
    if wanted[0]:
        read_by = reads_of_inputs(problem.key)
        weights = sums.weights_of(values, adjoint(coefficients, problem.groups), read_by, sizes.adjoint)
        dx = sums.correlate(source, weights, None, read_by, sizes.adjoint).to(gradient.dtype)
    if wanted[1] or wanted[2]:
        reads = reads_of_outputs(problem.key)
        dfunctions, dcoefficients = sums.filter_gradients(x, source, values, coefficients, reads, sizes)
        dfunctions = dfunctions.to(functions.dtype)
    return dx, dfunctions, dcoefficients, of_bias(gradient, wanted)


def summed_as(dtype: torch.dtype) -> torch.dtype:
    """The type in which the compiled kernels sum numbers of this one."""
    return torch.promote_types(dtype, torch.float32)


def sizes_of(x: Tensor, out_channels: int, problem: Problem) -> sums.Sizes:
    groups = problem.groups
    return sums.Sizes(len(x), groups, x.shape[1] // groups, out_channels // groups)


def backward_of_views(
    gradient: Tensor, x: Tensor, functions: Tensor, coefficients: Tensor, problem: Problem, wanted: Sequence[bool]
) -> Gradients:
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
            strip = views.strip_gradient(image, source, vertical, horizontal, row, shape, problem.groups)
            gradients.add(run.slots, strip)
        dfunctions, dcoefficients = gradients.result()
        del image, gradients
    if wanted[0]:
        matrices = adjoint(coefficients, problem.groups)
        prepared = (
            k
            for strip in strips(functions, matrices, read_by[0], x.dtype)
            for k in convolution_kernels(strip, read_by[1])
        )
        dx = views.correlate(source, *read_by, prepared, None, x)
    return dx, dfunctions, dcoefficients, of_bias(gradient, wanted)


@lru_cache(maxsize=1024)
def reads_of_outputs(key: str) -> sums.Reads:
    """What the outputs of the problem ``key`` read, as the kernels take it."""
    return sums.reads_of(*output_axes(problem_of(key)))


@lru_cache(maxsize=1024)
def reads_of_inputs(key: str) -> sums.Reads:
    """Which of its outputs read each pixel of the image."""
    return sums.reads_of(*input_axes(problem_of(key)))


def output_axes(problem: Problem) -> tuple[Runs, Runs]:
    """What the outputs read."""
    vertical, horizontal = (output_runs(taps, 0) for taps in problem.grid)
    return vertical, horizontal


def input_axes(problem: Problem) -> tuple[Runs, Runs]:
    """Which outputs read each pixel of the image."""
    vertical, horizontal = (input_runs(taps, 0, taps.axis.n_in) for taps in problem.grid)
    return vertical, horizontal


def cost(work: Work) -> Cost:
    """The compiled sums, one convolution, or one for each pair of phases."""
    if work.compiled:
        return cost_of_sums(work)
    multiply_adds = work.convolution + work.offsets * work.weight_multiply_adds
    weights = work.offsets * work.matrix
    vertical = work.problem.counts[0]
    if work.phases == 1 or (work.listed <= FEW_NUMBERS and convolution_of(work.problem.grid) is not None):
        return Cost(multiply_adds, 0, work.images + 2 * weights + work.output, calls=20)
    temporary = work.extended + 2 * work.images + 2 * weights // vertical.phases + work.listed
    return Cost(
        multiply_adds, work.extended + 2 * work.output, temporary, calls=20 + 8 * vertical.phases + 5 * work.phases
    )


def cost_of_sums(work: Work) -> Cost:
    """Of the compiled kernels; ``temporary`` is in numbers of the image, which may be shorter than those summed."""
    features, out_channels, in_per_group = work.matrices
    dtype = torch.float64 if work.element_size > torch.float32.itemsize else torch.float32
    sizes = sums.Sizes(work.shape[0], work.problem.groups, in_per_group, out_channels // work.problem.groups)
    of_weight = sizes.numbers(dtype)  # with those that fill the panels
    vertical, horizontal = work.problem.counts
    tables = work.offsets * of_weight
    if sums.made_by_pairs(work.phases, tables):  # for the gradient some lines at a time
        tables = min(tables, max(sums.TABLE_NUMBERS, vertical.most * horizontal.offsets * of_weight))
    temporary = work.extended + work.output + tables + work.functions + 5 * features * of_weight + work.listed
    if work.element_size < dtype.itemsize:
        temporary = (temporary + work.images) * dtype.itemsize // work.element_size
    return Cost(
        work.convolution + work.offsets * work.weight_multiply_adds,
        moved=work.images + work.extended,
        temporary=temporary,
        calls=28,
        pieces=work.phases * vertical.most,
    )


def multiply_adds(work: Work) -> int:
    """Of the taps that each output reads, zeros about the image included, and of making the weights."""
    taps = prod(sum(phase.count * len(phase.offsets) for phase in axis.phases) for axis in work.problem.grid)
    return work.offsets * work.weight_multiply_adds + work.shape[0] * taps * work.matrix


PHASES = Implementation(prepare, forward, backward, cost)
