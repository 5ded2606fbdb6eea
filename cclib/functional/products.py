"""Matrix products inside the operators, where no gradient is recorded: through oneDNN where it has them.

oneDNN is as fast as MKL on Intel processors and up to three times as fast on others, and its bits depend on the
instruction set, not on the vendor. Batched products of small matrices stay with ``torch.bmm``: one call of oneDNN for
each takes longer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["linear"]

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """(samples, in) times the transpose of (out, in): (samples, out)."""
    if not ONEDNN or x.dtype != torch.float32 or x.device.type != "cpu" or not x.numel() or not weight.numel():
        return F.linear(x, weight)
    # of transposed operands it takes a slow way
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x.contiguous(), weight.contiguous(), None, "none", [], "")
    return y
