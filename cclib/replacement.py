"""Copies of a network in which other modules stand for some of its own, and what a module has that they would lose."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

__all__ = ["CALLING", "HOOKS_OF_CALLS", "own_code", "replaced"]

CALLING = ("__call__", "_wrapped_call_impl", "_call_impl", "forward")
HOOKS_OF_CALLS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def replaced(network: nn.Module, others: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """A copy of a network with ``others[module]`` in the place of each ``module``, also in lists and other names."""
    memo: dict[int, object] = {id(module): other for module, other in others.items()}
    for module in network.modules():
        if module not in others:
            for value in vars(module).values():
                # The weight that weight_norm and pruning compute at each call: torch refuses to copy it with its graph.
                if isinstance(value, Tensor) and not value.is_leaf:
                    memo[id(value)] = value.detach().clone()
    copied: nn.Module = copy.deepcopy(network, memo)
    return copied


def own_code(module: nn.Module, base: type[nn.Module], methods: Iterable[str], hooks: Iterable[str]) -> str | None:
    """What a module would lose in the place of which another stands that does what a ``base`` does, if anything.

    Args:
        methods: names of those that must be those of ``base``.
        hooks: names of the dictionaries of hooks that must be empty.
    """
    for name in methods:
        if name in vars(module):
            return f"its {name} was replaced"
        if getattr(type(module), name) is not getattr(base, name):
            return f"{type(module).__name__} has a {name} of its own"
    if any(getattr(module, name) for name in hooks):
        return "it has hooks, which would be lost"
    return None
