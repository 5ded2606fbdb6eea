"""Functions that torch.compile leaves alone, without importing the compiler, which takes seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch._compile import _disable_dynamo

__all__ = ["outside_of_graphs"]

Given = ParamSpec("Given")
Made = TypeVar("Made")


def outside_of_graphs(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """The function, which runs eagerly inside a compiled network: ``torch.compiler.disable``.

    For the geometry, which is exact arithmetic of Python that the compiler cannot trace. ``torch.compiler.disable``
    imports the compiler where it decorates, and what torch decorates its own functions with (``_disable_dynamo``) at
    the first call; here it is imported by whoever compiles.
    """
    disabled = _disable_dynamo(function)

    @wraps(function)
    def call(*arguments: Given.args, **named: Given.kwargs) -> Made:
        may_be_compiling = torch.compiler.is_compiling() or "torch._dynamo" in sys.modules
        return (disabled if may_be_compiling else function)(*arguments, **named)

    return call
