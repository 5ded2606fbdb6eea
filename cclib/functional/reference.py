"""The definition of the continuous convolution, against which the implementations are tested."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.filters.base import Filter
from cclib.functional.sampling import sample
from cclib.functional.tables import table

__all__ = ["reference"]


def reference(x: Tensor, filter: Filter, bias: Tensor | None, key: str, groups: int) -> Tensor:
    """A weight matrix for every output pixel and tap, and one einsum."""
    with torch.autocast(x.device.type, enabled=False):
        index = torch.empty(0, dtype=torch.long, device=x.device)
        rows, columns = (table("every_pixel", f"{key} {axis}", index) for axis in (0, 1))
        taps = F.pad(x, (0, 1, 0, 1)).index_select(-2, rows).index_select(-1, columns)
        taps = taps.unflatten(1, (groups, -1))  # (batch, group, in / groups, all vertical taps, all horizontal taps)
        weights = sample(filter, filter, key, x, of_phases=False).to(x.dtype)
        vertical, horizontal = (table("membership", f"{key} {axis}", x) for axis in (0, 1))  # (outputs, all taps)
        y = torch.einsum("bgcst,stgoc,hs,wt->bgohw", taps, weights.unflatten(2, (groups, -1)), vertical, horizontal)
    y = y.flatten(1, 2)
    return y if bias is None else y + bias.reshape(-1, 1, 1)
