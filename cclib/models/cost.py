"""What a network costs: parameters, and multiply-adds of a forward pass."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from cclib.functional.operator import multiply_adds_of
from cclib.layers import CCConv2d

__all__ = ["multiply_adds", "parameter_count"]


def parameter_count(model: nn.Module) -> int:
    """How many numbers a network holds in its parameters, those of frozen layers included."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model: nn.Module, *inputs: Tensor, **options: object) -> float:
    """Multiply-adds of a forward pass, per item of the batch, counted by torch as it runs.

    ``inputs`` are batched; ``options`` go to the model as they are. Counted are convolutions and matrix products; a
    continuous filter is evaluated once for the whole batch, so its share falls with the batch size. Continuous layers
    are counted with the implementation "phases": the others may trade more multiply-adds for less time.
    """
    counted = copy.deepcopy(model).eval()
    for layer in counted.modules():
        if isinstance(layer, CCConv2d):
            layer.implementation = "phases"
    # With gradients, so that no filter kept from an earlier inference is used, which would count as nothing.
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        counted(*inputs, **options)
    flops: int = counter.get_total_flops()
    return flops / 2 / inputs[0].shape[0]


@register_flop_formula(torch.ops.cclib.continuous_convolution)
def flops(
    x: torch.Size,
    functions: torch.Size,
    coefficients: torch.Size,
    bias: torch.Size | None,
    problem: str,
    implementation: str,
    **_: object,
) -> int:
    """Of the operator, which the counter does not look into, by "phases"."""
    return 2 * multiply_adds_of(x, coefficients, problem)
