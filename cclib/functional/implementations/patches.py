"""Patches: the phases as ``phases`` has them, with the taps of neighbouring phases copied side by side and multiplied in
one batched product.

Pays where phases are many and each has few outputs, too few to be worth a convolution of its own. It has no groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from cclib.functional.patches import correlate, gradients, weights
from cclib.functional.plans import Plan, plan_of
from cclib.functional.problem import Problem, Work
from cclib.functional.registry import Cost, Gradients, Implementation
from cclib.geometry import input_runs, output_runs

__all__ = ["PATCHES"]


def prepare(functions: Tensor, coefficients: Tensor, problem: Problem, dtype: torch.dtype) -> Iterator[Tensor]:
    """The weights of each vertical phase."""
    plan = output_plan(problem)
    return weights(plan, functions.flatten(0, 1), coefficients.mT, dtype)


def forward(x: Tensor, prepared: Iterable[Tensor], bias: Tensor | None, problem: Problem) -> Tensor:
    """Some neighbouring phases at a time."""
    plan = output_plan(problem)
    y = correlate(x, plan, prepared)
    return y if bias is None else y.add_(bias.reshape(-1, 1, 1))


def backward(
    gradient: Tensor, x: Tensor, functions: Tensor, coefficients: Tensor, problem: Problem, wanted: Sequence[bool]
) -> Gradients:
    """On the grid of the image's own pixels."""
    vertical, horizontal = (input_runs(taps, 0, taps.axis.n_in) for taps in problem.grid)
    plan = plan_of(vertical, horizontal, len(problem.grid[1].offsets))
    dx, dfunctions, dcoefficients = gradients(gradient, plan, x, functions.flatten(0, 1), coefficients, wanted)
    return dx, None if dfunctions is None else dfunctions.view_as(functions), dcoefficients


def output_plan(problem: Problem) -> Plan:
    """What every output reads."""
    vertical, horizontal = (output_runs(taps, 0) for taps in problem.grid)
    return plan_of(vertical, horizontal, len(problem.grid[1].offsets))


def cost(work: Work) -> Cost | None:
    """Some neighbouring phases at a time; none with groups."""
    if work.problem.groups > 1:
        return None
    vertical = work.problem.counts[0]
    return Cost(
        work.convolution + work.offsets * work.weight_multiply_adds,
        moved=work.patches + work.images,
        temporary=work.extended + 2 * work.images + 2 * work.offsets * work.matrix // vertical.phases + work.listed,
        calls=20 + 8 * vertical.phases + 3 * work.phases,
        pieces=work.shape[0] * work.pixels * vertical.most,
    )


PATCHES = Implementation(prepare, forward, backward, cost)
