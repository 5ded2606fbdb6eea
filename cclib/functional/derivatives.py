"""When only operations of torch will do, and the making of tensors that are kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["are_plain", "plain_tensors", "transformed"]

Given = ParamSpec("Given")
Made = TypeVar("Made")


def transformed(*tensors: Tensor) -> bool:
    """Whether tensors are not what they seem: under torch.func (vmap, grad, …), forward-mode AD or batched gradients.

    Then only operations of torch will do.
    """
    return (
        torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or (
            not torch.compiler.is_compiling()
            and any(torch._C._functorch.is_legacy_batchedtensor(tensor) for tensor in tensors)
        )
    )


def are_plain(*tensors: Tensor) -> bool:
    """Whether all are tensors with numbers, that nobody watches or traces."""
    watched = torch._C._len_torch_dispatch_stack() or torch._C._is_tracing()
    return not watched and all(type(tensor) in (Tensor, Parameter) for tensor in tensors) and not transformed(*tensors)


def plain_tensors(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """For a function whose tensors are kept: they are made for real, on the CPU and outside of inference mode, whatever
    holds where it is called first."""

    @wraps(function)
    def plainly(*arguments: Given.args, **named: Given.kwargs) -> Made:
        with (
            _disable_current_modes(),
            temporarily_clear_interpreter_stack(),
            torch.inference_mode(False),
            torch.device("cpu"),
        ):
            return function(*arguments, **named)

    return plainly
