"""The definition of the continuous convolution, against which the fast ways are tested."""

from __future__ import annotations

import torch
from torch import Tensor

from cclib.filters import Filter
from cclib.functional.sampling import Axes, extend, grid_of, membership, sample
from cclib.geometry import Taps


def reference(
    x: Tensor, filter: Filter, bias: Tensor | None, axes: Axes, groups: int, padding_mode: str, stretch: bool
) -> Tensor:
    """A weight matrix for every output pixel and tap, and one einsum."""
    grid = grid_of(axes, filter, stretch, by_phase=False)
    rows, columns = (torch.tensor(tap_index(taps), dtype=torch.long, device=x.device) for taps in grid)
    taken = extend(x, grid, padding_mode).index_select(-2, rows).index_select(-1, columns)
    taken = taken.unflatten(1, (groups, -1))  # (batch, group, in / groups, all vertical taps, all horizontal taps)
    weights = sample(filter, filter, grid, stretch, x).to(x.dtype).unflatten(2, (groups, -1))
    vertical, horizontal = (membership(taps, x) for taps in grid)  # (outputs, all taps)
    y = torch.einsum("bgcst,stgoc,hs,wt->bgohw", taken, weights, vertical, horizontal).flatten(1, 2)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def tap_index(taps: Taps) -> list[int]:
    """For every tap of every output, its index in the extended image."""
    low = taps.reach[0]
    return [phase.first - low + tap for phase in taps.phases for tap in range(len(phase.offsets))]
