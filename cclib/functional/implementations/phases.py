"""Phases: at a rational scale M / N the sub-pixel offsets repeat every M outputs, while the input advances by N.

So only M filters exist per axis. One phase on both axes is a convolution and an advance of one on both is a transposed
convolution; torch has both. Else the phases are summed one by one: on the CPU by the engine of ``gather``, whose
gradients are written by hand, and elsewhere by one strided convolution for each.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cclib.functional import gather
from cclib.functional.cache import needs_gradient, remembered
from cclib.functional.convolutions import (
    as_kernel,
    as_transposed_kernel,
    convolution,
    convolutions,
    is_convolution,
    transposed_axes,
    transposed_convolution,
)
from cclib.functional.derivatives import apply, differentiable_gradients, transformed
from cclib.functional.plans import Plan, plan_of
from cclib.functional.problem import Problem
from cclib.functional.registry import Cost, Speed, implementation
from cclib.functional.sampling import Grid, extend, sample
from cclib.functional.state import state_of
from cclib.geometry import input_runs, output_runs

__all__ = ["phases"]


def cost(problem: Problem) -> Cost:
    """One convolution of torch, or all pairs of phases, where the padding is of zeros."""
    grid = problem.grid
    per_offset = problem.weight_multiply_adds + problem.basis_multiply_adds
    multiply_adds = problem.convolution + problem.offsets * per_offset
    rows, columns = (len(taps.phases) for taps in grid)
    if is_convolution(grid) or transposed_axes(grid, "zeros") is not None:
        return Cost(multiply_adds, 0, problem.images + 2 * problem.weights + problem.output, calls=20)
    if not problem.by_hand:
        return Cost(
            multiply_adds,
            moved=problem.extended + 2 * problem.output,
            temporary=problem.extended + 2 * problem.weights + 2 * problem.output,
            calls=20 + 4 * rows * columns,
        )
    return Cost(
        multiply_adds,
        moved=problem.patches + problem.images,
        temporary=problem.extended + 2 * problem.images + 2 * problem.weights,
        calls=20 + 8 * rows + 3 * rows * columns,
        pieces=problem.shape[0] * problem.pixels * grid[0].most,
    )


@implementation("phases", cost, Speed(9.1e9, 8.0e9, 1.1e-5, piece=1.1e-7))
def phases(x: Tensor, bias: Tensor | None, problem: Problem) -> Tensor:
    """The sum, phase by phase."""
    filter, grid, groups, padding_mode = problem.filter, problem.grid, problem.groups, problem.padding_mode
    with torch.autocast(x.device.type, enabled=False):
        transposed = transposed_axes(grid, padding_mode)
        one_by_one = not is_convolution(grid) and transposed is None
        if one_by_one and problem.by_hand and len(x) and problem.taps and not transformed():
            return gathered(x, bias, problem)

        def kernel(arrange: Callable[[Tensor], Tensor], *arranged_as: Hashable) -> Tensor:
            """The weights (vertical offsets, horizontal offsets, out, in / groups), arranged for a convolution."""

            def make() -> Tensor:
                return arrange(sample(filter, filter, grid, problem.stretch, x).to(x.dtype)).contiguous()

            return remembered(filter, (*arranged_as, grid, problem.stretch, x.dtype, x.device), make)

        if is_convolution(grid):
            return convolution(x, kernel(as_kernel, "kernel"), bias, grid, groups, padding_mode)
        if transposed is not None:
            x = x if padding_mode == "zeros" else extend(x, grid, padding_mode)
            weights = kernel(partial(as_transposed_kernel, axes=transposed, groups=groups), transposed, groups)
            return transposed_convolution(x, weights, bias, transposed, groups)
        return convolutions(extend(x, grid, padding_mode), kernel(as_kernel, "kernel"), bias, grid, groups)


def gathered(x: Tensor, bias: Tensor | None, problem: Problem) -> Tensor:
    """The phases on the CPU, without groups."""
    filter, grid = problem.filter, problem.grid
    extended = problem.padding_mode != "zeros"
    if extended:
        x = extend(x, grid, problem.padding_mode)

    def functions() -> Tensor:
        return sample(filter.basis, filter, grid, problem.stretch, x).flatten(0, 1)

    if may_need_gradient(x, bias, problem):
        return apply(Gathered, x, functions(), filter.coefficients(), bias, grid, extended)

    def make() -> list[Tensor]:
        return list(gather.weights(plan, functions(), filter.coefficients().mT, x))

    plan = output_plan(grid, extended)
    weights = remembered(filter, ("gathered", grid, problem.stretch, x.dtype, x.device), make)
    y = gather.correlate(x, plan, weights, problem.matrices[1])
    return y if bias is None else y.add_(bias.reshape(-1, 1, 1))


def may_need_gradient(x: Tensor, bias: Tensor | None, problem: Problem) -> bool:
    """Whether a gradient can be asked for, of what is seen or of what the filter may have hidden."""
    if not torch.is_grad_enabled():
        return False
    state = state_of(problem.filter)
    return state is None or needs_gradient((x, bias, problem.filter.coefficients(), *state.tensors))


def output_plan(grid: Grid, extended: bool) -> Plan:
    """What every output reads from the image, or from the extended image."""
    vertical, horizontal = (output_runs(taps, taps.reach[0] if extended else 0) for taps in grid)
    return plan_of(vertical, horizontal, len(grid[1].offsets))


def input_plan(grid: Grid, extended: bool, shape: torch.Size) -> Plan:
    """Which outputs read each pixel of the image, or of the extended image."""
    vertical, horizontal = (
        input_runs(taps, taps.reach[0] if extended else 0, n) for taps, n in zip(grid, shape[2:], strict=True)
    )
    return plan_of(vertical, horizontal, len(grid[1].offsets))


class Gathered(torch.autograd.Function):
    """The engine of ``gather`` as a function of x (batch, in, height, width), of the filter's basis ``functions``
    (offsets, features), of its ``coefficients`` (features, out, in) and of the bias."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        functions: Tensor,
        coefficients: Tensor,
        bias: Tensor | None,
        grid: Grid,
        extended: bool,
    ) -> Tensor:
        ctx.save_for_backward(x, functions, coefficients)
        ctx.grid, ctx.extended = grid, extended
        plan = output_plan(grid, extended)
        y = gather.correlate(x, plan, gather.weights(plan, functions, coefficients.mT, x), coefficients.shape[1])
        return y if bias is None else y.add_(bias.reshape(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, functions, coefficients = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        grid, extended = ctx.grid, ctx.extended
        with torch.autocast("cpu", enabled=False):
            if not any(wanted):
                gradients: tuple[Tensor | None, ...] = (None, None, None)
            elif torch.is_grad_enabled() or transformed(gradient):

                def composed(x: Tensor, functions: Tensor, coefficients: Tensor) -> Tensor:
                    return composed_of(x, functions, coefficients, grid, extended)

                gradients = differentiable_gradients(composed, ctx.saved_tensors, wanted, gradient)
            else:
                plan = input_plan(grid, extended, x.shape)
                gradients = gather.gradients(gradient, plan, x, functions, coefficients, wanted)
        dbias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[3] else None
        return *gradients, dbias, None, None


def composed_of(x: Tensor, functions: Tensor, coefficients: Tensor, grid: Grid, extended: bool) -> Tensor:
    """What ``Gathered`` computes, by operations of torch."""
    weights = torch.einsum("sh,hoc->soc", functions, coefficients.to(functions.dtype)).to(x.dtype)
    weights = as_kernel(weights.unflatten(0, (-1, len(grid[1].offsets))))
    return convolutions(x if extended else extend(x, grid, "zeros"), weights, None, grid, groups=1)
