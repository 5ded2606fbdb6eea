"""Matrix products inside the operators, where no gradient is recorded: large ones through oneDNN where it has them.

oneDNN is as fast as MKL on Intel processors and up to three times as fast on others, and its bits depend on the
instruction set, not on the vendor. A call of it takes longer, so small products and batches of them stay with torch's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["linear"]

LARGE = 2**22  # multiply-adds
ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """(samples, in) times the transpose of (out, in): (samples, out)."""
    large = x.numel() * weight.shape[0] >= LARGE
    if not (large and ONEDNN and x.dtype == torch.float32 and x.device.type == "cpu"):
        return F.linear(x, weight)
    # of transposed operands it takes a slow way
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight.contiguous(), None, "none", [], "")
    return y
