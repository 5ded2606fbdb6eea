"""What torch.compile and torch.export need to be told: which functions give constants, and which numbers are fixed.

Imports no compiler, which would take seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import ParamSpec, TypeVar, cast

import torch

__all__ = ["constant", "fixed"]

Given = ParamSpec("Given")
Made = TypeVar("Made")
Value = TypeVar("Value")


def constant(function: Callable[Given, Made]) -> Callable[Given, Made]:
    """The function, which a compiler calls when it compiles and whose result it takes as a constant of the graph.

    For arithmetic of Python that cannot be traced. This is ``torch.compiler.assume_constant_result`` without its
    import; the arguments must be numbers, strings or tuples of them, the same whenever the graph runs.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def fixed(value: Value) -> Value:
    """``value``; a number that is a symbol of the graph becomes the number that it stands for, so that another one
    compiles another graph."""
    given: object = value
    if torch.compiler.is_compiling():
        if type(given) is float:
            return cast(Value, float.fromhex(given.hex()))
        if type(given) is int or isinstance(given, torch.SymInt):  # the latter where an export is not strict
            return cast(Value, index(given))
    return value
