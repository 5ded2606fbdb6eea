"""What a filter gives on a grid, kept between calls in inference on the CPU.

Kept per filter, and dropped with it; never copied or saved along. Something kept is given back only as long as the
filter's tensors are the very ones that it was made from, unchanged, and its attributes are equal; training drops it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cclib.filters.base import Filter
from cclib.functional.derivatives import transformed
from cclib.functional.state import State, state_of, versions

__all__ = ["needs_gradient", "remembered"]

BYTES = 64 * 2**20  # kept for one filter; the grid used least recently goes first

Kept = TypeVar("Kept", Tensor, list[Tensor])


class Snapshot:
    """The state of a filter at one time."""

    def __init__(self, state: State) -> None:
        # The references keep the memory of a replaced tensor from being given to the tensor that replaces it.
        self.tensors = [tensor.detach() for tensor in state.tensors]
        self.versions = versions(self.tensors)
        self.values = [tensor.clone() for tensor in self.tensors]  # writes through ``.data`` leave the version as it is
        self.attributes = state.attributes

    def holds(self, state: State) -> bool:
        """Whether the tensors are the same, unchanged, and the attributes equal."""
        if len(state.tensors) != len(self.tensors) or state.attributes != self.attributes:
            return False
        kept = zip(state.tensors, self.tensors, self.versions, self.values, strict=True)
        return all(
            tensor.data_ptr() == other.data_ptr()
            and tensor.dtype == other.dtype
            and tensor.shape == other.shape
            and tensor.stride() == other.stride()
            and tensor._version == version
            and torch.equal(tensor, value)
            for tensor, other, version, value in kept
        )


class Cache:
    """What one filter gave, by grid."""

    def __init__(self, state: State) -> None:
        self.snapshot = Snapshot(state)
        self.kept: OrderedDict[Hashable, Tensor | list[Tensor]] = OrderedDict()

    def keep(self, key: Hashable, values: Tensor | list[Tensor]) -> None:
        self.kept[key] = values
        while sum(map(size, self.kept.values())) > BYTES:
            self.kept.popitem(last=False)


def size(values: Tensor | list[Tensor]) -> int:
    """In bytes."""
    return values.nbytes if isinstance(values, Tensor) else sum(tensor.nbytes for tensor in values)


CACHES: WeakKeyDictionary[Filter, Cache] = WeakKeyDictionary()
LOCK = threading.Lock()


def needs_gradient(tensors: Iterable[Tensor | None]) -> bool:
    """Whether the gradient of one of them can be asked for."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def remembered(filter: Filter, key: Hashable, make: Callable[[], Kept]) -> Kept:
    """``make()``, or in inference what it gave for the same key and an unchanged filter.

    The key must say all that ``make`` depends on besides the filter; the same key always means the same kind of
    result.
    """
    state = None if needs_gradient(filter.parameters()) else state_of(filter)
    if state is None or needs_gradient(state.tensors):
        CACHES.pop(filter, None)
        return make()
    # On other devices a comparison would wait for all that is queued. Tensors made in inference mode do not count
    # their changes.
    if any(tensor.device.type != "cpu" or tensor.is_inference() for tensor in state.tensors) or transformed():
        return make()
    key = key, torch.is_inference_mode_enabled()  # what is made there cannot serve elsewhere
    with LOCK:
        cache = CACHES.get(filter)
        if cache is None or not cache.snapshot.holds(state):
            cache = CACHES[filter] = Cache(state)
        if key in cache.kept:
            cache.kept.move_to_end(key)
            return cast(Kept, cache.kept[key])
    random = torch.get_rng_state()
    values = make()
    if torch.equal(random, torch.get_rng_state()):  # else the filter draws new values at every call
        with LOCK:
            cache.keep(key, values)
    return values
