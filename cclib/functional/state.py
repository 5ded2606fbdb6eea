"""What the values of a filter depend on, so that a change of it is noticed.

That is its parameters and buffers, the tensors among the attributes of its modules, and the other attributes, as far
as they can be compared. Of the classes only the identity: a class attribute or method that changes is not noticed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from numbers import Number
from types import BuiltinFunctionType, FunctionType, NoneType
from weakref import ref

import torch
from torch import Tensor, nn

from cclib.filters.base import Filter

__all__ = ["State", "state_of", "versions"]

VALUES = frozenset(
    (bool, int, float, complex, str, bytes, range, Fraction, NoneType, torch.dtype, torch.device, torch.Size)
)
NAMED = (type, FunctionType, BuiltinFunctionType)  # compared by identity; what a function reads is not followed
SEQUENCES = (list, tuple)
MAPPINGS = (dict, OrderedDict)
SETS = (set, frozenset)
EMPTY = frozenset((*SEQUENCES, *MAPPINGS, *SETS))
TENSORS = ("_parameters", "_buffers", "_modules")  # where a module has its parameters, buffers and submodules


@dataclass(frozen=True, eq=False)
class State:
    """The state of a filter: its tensors, and its other attributes in a form that compares by value."""

    tensors: list[Tensor]
    attributes: list[object]

    @property
    def apart_from_mode(self) -> list[object]:
        """``attributes`` without those that say whether a module is in training."""
        return [part for part in self.attributes if not (isinstance(part, tuple) and part[0] == "training")]


class Unknown(Exception):
    """An attribute that cannot be compared."""


def state_of(filter: Filter) -> State | None:
    """The state of a filter, or None where it cannot be told: its values may then change at any time."""
    if not filter.self_contained:
        return None
    state = State([], [])
    try:
        for module in modules_of(filter):
            state.attributes.append(ref(type(module)))
            state.attributes.extend((name, ref(child)) for name, child in module._modules.items() if child is not None)
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None:
                    state.attributes.append(name)
                    state.tensors.append(tensor)
            for name, value in vars(module).items():
                if name not in TENSORS and (type(value) not in EMPTY or value):
                    state.attributes.append((name, comparable(value, state.tensors)))
    except Unknown:
        return None
    return state


def modules_of(filter: Filter) -> list[nn.Module]:
    """The same as ``filter.modules()``, each after what holds it, in a fraction of the time."""
    found: list[nn.Module] = [filter]
    seen = {id(filter)}
    for module in found:
        for child in module._modules.values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                found.append(child)
    return found


def comparable(value: object, tensors: list[Tensor]) -> object:
    """``value`` in a form that keeps what it is now, and keeps nothing alive; tensors in it go to ``tensors``.

    Raises:
        Unknown: there is none.
    """
    kind = type(value)
    if kind in VALUES:
        return value
    if isinstance(value, NAMED):
        return ref(value)
    if isinstance(value, Tensor):
        tensors.append(value)
        return Tensor
    if isinstance(value, partial):
        return partial, *(comparable(part, tensors) for part in (value.func, value.args, value.keywords))
    if kind in SEQUENCES and isinstance(value, SEQUENCES):
        return kind, *(comparable(item, tensors) for item in value)
    if kind in MAPPINGS and isinstance(value, MAPPINGS):
        return kind, *((comparable(key, tensors), comparable(item, tensors)) for key, item in value.items())
    if kind in SETS and isinstance(value, SETS):
        return kind, frozenset(comparable(item, tensors) for item in value)
    if isinstance(value, Number) and not hasattr(value, "__dict__"):  # of numpy
        return value
    raise Unknown


def versions(tensors: Sequence[Tensor]) -> list[int]:
    """How often each was changed in place; those made in inference mode do not count."""
    return [0 if tensor.is_inference() else tensor._version for tensor in tensors]
