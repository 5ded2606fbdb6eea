"""The definition of the continuous convolution, against which the fast ways are tested."""

from __future__ import annotations

import torch
from torch import Tensor

from cclib.functional.problem import Problem
from cclib.functional.registry import Cost, Speed, implementation
from cclib.functional.sampling import extend, grid_of, membership, sample
from cclib.geometry import Taps

__all__ = ["reference"]


def cost(problem: Problem) -> Cost:
    """The filter is evaluated for every output pixel and tap."""
    batch, channels, _, _ = problem.shape
    _, out_channels, in_per_group = problem.matrices
    weights = problem.pixels * problem.taps
    per_weight = problem.weight_multiply_adds + problem.basis_multiply_adds
    return Cost(
        problem.convolution + weights * per_weight,
        moved=problem.patches,
        temporary=problem.extended + weights * (2 * out_channels * in_per_group + batch * (channels + out_channels)),
        calls=20,
    )


# The arithmetic is the rate that it reaches with few channels, where the others have little to do.
@implementation("reference", cost, Speed(1.5e8, 3.3e9, 2e-5))
def reference(x: Tensor, bias: Tensor | None, problem: Problem) -> Tensor:
    """A weight matrix for every output pixel and tap, and one einsum."""
    filter, groups = problem.filter, problem.groups
    grid = grid_of(problem.axes, filter, problem.stretch, by_phase=False)
    rows, columns = (torch.tensor(tap_index(taps), dtype=torch.long, device=x.device) for taps in grid)
    taps = extend(x, grid, problem.padding_mode).index_select(-2, rows).index_select(-1, columns)
    taps = taps.unflatten(1, (groups, -1))  # (batch, group, in / groups, all vertical taps, all horizontal taps)
    weights = sample(filter, filter, grid, problem.stretch, x).to(x.dtype).unflatten(2, (groups, -1))
    vertical, horizontal = (membership(axis, x) for axis in grid)  # (outputs, all taps)
    y = torch.einsum("bgcst,stgoc,hs,wt->bgohw", taps, weights, vertical, horizontal).flatten(1, 2)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def tap_index(taps: Taps) -> list[int]:
    """For every tap of every output, its index in the extended image."""
    low = taps.reach[0]
    return [phase.first - low + tap for phase in taps.phases for tap in range(len(phase.offsets))]
