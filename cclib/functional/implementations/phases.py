"""Phases: at a rational scale M / N the sub-pixel offsets repeat every M outputs, while the input advances by N.

So only M filters exist per axis. One phase on both axes is a convolution and an advance of one on both is a transposed
convolution; torch has both. Else the taps of neighbouring phases are copied side by side for one batched product; with
groups, which such products do not know, there is one strided convolution of a view for each pair of phases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from cclib.functional import patches, views
from cclib.functional.convolutions import Convolution, convolution_of
from cclib.functional.images import padded
from cclib.functional.plans import Plan, plan_of
from cclib.functional.problem import Problem, Work
from cclib.functional.registry import Cost, Gradients, Implementation, of_bias
from cclib.functional.weights import FilterGradients, adjoint, kernels, strips, whole
from cclib.geometry import Runs, input_runs, output_runs

__all__ = ["PHASES", "multiply_adds"]

FEW_NUMBERS = 2**16  # of a geometry that may be listed to count a cost


def prepare(functions: Tensor, coefficients: Tensor, problem: Problem, dtype: torch.dtype) -> Iterator[Tensor]:
    """The kernel of the one convolution, those of each pair of phases, or the weights of each vertical phase."""
    single = convolution_of(problem.grid)
    vertical, horizontal = output_axes(problem)
    if single is not None:
        yield single.kernel(whole(functions, coefficients, dtype), problem.groups)
    elif by_patches(problem):
        read = plan(problem, vertical, horizontal, functions.device)
        yield from patches.weights(read, functions.flatten(0, 1), coefficients.mT, dtype)
    else:
        for strip in strips(functions, coefficients, vertical, dtype):
            yield from kernels(strip, horizontal)


def forward(x: Tensor, prepared: Iterable[Tensor], bias: Tensor | None, problem: Problem) -> Tensor:
    """One convolution, one for each pair of phases, or some neighbouring phases at a time."""
    single = convolution_of(problem.grid)
    vertical, horizontal = output_axes(problem)
    if single is not None:
        (kernel,) = prepared
        return single.forward(x, kernel, bias, problem.groups)
    if by_patches(problem):
        y = patches.correlate(x, plan(problem, vertical, horizontal, x.device), prepared)
        return y if bias is None else y.add_(bias.reshape(-1, 1, 1))
    return views.correlate(padded(x, vertical, horizontal), vertical, horizontal, prepared, bias, x)


def backward(
    gradient: Tensor, x: Tensor, functions: Tensor, coefficients: Tensor, problem: Problem, wanted: Sequence[bool]
) -> Gradients:
    """The gradient of the image is the same sum on the grid of its own pixels."""
    single = convolution_of(problem.grid)
    if single is not None:
        return backward_of_single(single, gradient, x, functions, coefficients, problem.groups, wanted)
    if by_patches(problem):
        read_by = plan(problem, *input_axes(problem), x.device)
        dx, dfunctions, dcoefficients = patches.gradients(
            gradient, read_by, x, functions.flatten(0, 1), coefficients, wanted
        )
        of_functions = None if dfunctions is None else dfunctions.view_as(functions)
        return dx, of_functions, dcoefficients, of_bias(gradient, wanted)
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
        prepared = (k for strip in strips(functions, matrices, read_by[0], x.dtype) for k in kernels(strip, read_by[1]))
        dx = views.correlate(source, *read_by, prepared, None, x)
    return dx, dfunctions, dcoefficients, of_bias(gradient, wanted)


def by_patches(problem: Problem) -> bool:
    """Whether more phases than one go by patches, whose products know no groups.

    Convolutions of views would copy nothing, but on the processors measured so far (an Intel Xeon, an AMD EPYC of the
    third generation) a strided one is too slow for that to pay.
    """
    return problem.groups == 1


def output_axes(problem: Problem) -> tuple[Runs, Runs]:
    """What the outputs read."""
    vertical, horizontal = (output_runs(taps, 0) for taps in problem.grid)
    return vertical, horizontal


def input_axes(problem: Problem) -> tuple[Runs, Runs]:
    """Which outputs read each pixel of the image."""
    vertical, horizontal = (input_runs(taps, 0, taps.axis.n_in) for taps in problem.grid)
    return vertical, horizontal


def plan(problem: Problem, vertical: Runs, horizontal: Runs, device: torch.device) -> Plan:
    """What the patches hold."""
    return plan_of(vertical, horizontal, len(problem.grid[1].offsets), device)


def cost(work: Work) -> Cost:
    """One convolution, one for each pair of phases, or some neighbouring phases at a time."""
    multiply_adds = work.convolution + work.offsets * work.weight_multiply_adds
    weights = work.offsets * work.matrix
    vertical = work.problem.counts[0]
    if work.phases == 1 or (work.listed <= FEW_NUMBERS and convolution_of(work.problem.grid) is not None):
        return Cost(multiply_adds, 0, work.images + 2 * weights + work.output, calls=20)
    temporary = work.extended + 2 * work.images + 2 * weights // vertical.phases + work.listed
    if by_patches(work.problem):
        pieces = work.shape[0] * work.pixels * vertical.most
        calls = 20 + 8 * vertical.phases + 3 * work.phases
        return Cost(multiply_adds, work.patches + work.images, temporary, calls, pieces)
    return Cost(
        multiply_adds, work.extended + 2 * work.output, temporary, calls=20 + 8 * vertical.phases + 5 * work.phases
    )


def multiply_adds(work: Work) -> int:
    """As they are done: runs are filled up to the same number of samples, and the weights are made of the functions."""
    batch, _, height, width = work.shape
    grid, of_weights = work.problem.grid, work.offsets * work.weight_multiply_adds
    single = convolution_of(grid)
    if single is not None and single.transposed:
        return of_weights + batch * height * width * work.matrix * prod(map(len, single.slots))
    samples = prod(runs.count for runs in output_axes(work.problem))
    return of_weights + batch * samples * work.offsets * work.matrix


PHASES = Implementation(prepare, forward, backward, cost)
