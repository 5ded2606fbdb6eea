"""What functions with hand-written gradients need: when they cannot serve, their second derivatives, and the making of
tensors that are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

__all__ = ["apply", "differentiable_gradients", "plain_tensors", "transformed"]

Given = ParamSpec("Given")
Made = TypeVar("Made")


def transformed(*tensors: Tensor) -> bool:
    """Whether tensors are not what they seem: under torch.func (vmap, grad, …), forward-mode AD or batched gradients.

    Then only operations of torch will do.
    """
    return (
        torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or any(torch._C._functorch.is_legacy_batchedtensor(tensor) for tensor in tensors)
    )


def differentiable_gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], wanted: Sequence[bool], gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients of ``function`` with respect to the ``wanted`` of its inputs, for double backward.

    ``function`` is made of operations of torch; ``gradient`` is that of its output.
    """
    with torch.enable_grad():
        y = function(*inputs)
        chosen = [value for value, want in zip(inputs, wanted, strict=True) if want]
        gradients = iter(torch.autograd.grad(y, chosen, gradient, create_graph=True))
    return tuple(next(gradients) if want else None for want in wanted)


def apply(function: type[Function], *inputs: object) -> Tensor:
    """``function.apply``, of one output."""
    output: Tensor = function.apply(*inputs)
    return output


def plain_tensors(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """For a function whose tensors are kept: they are made on the CPU and outside of inference mode, whatever holds
    where it is called first."""

    @wraps(function)
    def plainly(*arguments: Given.args, **named: Given.kwargs) -> Made:
        with torch.inference_mode(False), torch.device("cpu"):
            return function(*arguments, **named)

    return plainly
