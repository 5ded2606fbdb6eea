"""The sum by operations of torch alone, all pixels at once: for what no operator can be told of, the transforms of
torch.func and forward-mode derivatives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.functional.tables import table

__all__ = ["contract"]


def contract(x: Tensor, functions: Tensor, coefficients: Tensor, bias: Tensor | None, key: str, groups: int) -> Tensor:
    """(batch, in, height, width) -> (batch, out, height, width); ``functions`` and ``coefficients`` as in
    ``registry.Implementation``, of the problem ``key``."""
    index = torch.empty(0, dtype=torch.long, device=x.device)
    slots, pixels = ([table(kind, f"{key} {axis}", index) for axis in (0, 1)] for kind in ("slots", "pixels"))
    # after the last offset and the last pixel comes what is not there: zero
    functions = F.pad(functions.to(x.dtype), (0, 0, 0, 1, 0, 1))[slots[0][:, None, :, None], slots[1][None, :, None, :]]
    patches = F.pad(x, (0, 1, 0, 1))[:, :, pixels[0][:, None, :, None], pixels[1][None, :, None, :]]
    # (batch, in, height, width, taps, taps) and (height, width, taps, taps, features)
    contracted = torch.einsum("bchwst,hwstf->bchwf", patches, functions).unflatten(1, (groups, -1))
    matrices = coefficients.to(x.dtype).unflatten(1, (groups, -1))  # (features, group, out / groups, in / groups)
    y = torch.einsum("bgchwf,fgoc->bgohw", contracted, matrices).flatten(1, 2)
    return y if bias is None else y + bias.reshape(-1, 1, 1)
