"""What a filter of this package gives on a grid, kept between calls in inference on the CPU.

Kept per filter, and dropped with it; never copied or saved along. Something kept is given back only as long as the
filter's parameters and buffers are the very tensors that it was made from, unchanged; training drops it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cclib.filters import OWN, Filter
from cclib.functional.derivatives import transformed

BYTES = 64 * 2**20  # kept for one filter; the grid used least recently goes first

Kept = TypeVar("Kept", Tensor, list[Tensor])


class Snapshot:
    """The state of some tensors at one time."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        # The references keep the memory of a replaced tensor from being given to the tensor that replaces it.
        self.tensors = [tensor.detach() for tensor in tensors]
        self.versions = [tensor._version for tensor in self.tensors]
        self.values = [tensor.clone() for tensor in self.tensors]  # writes through ``.data`` leave the version as it is

    def holds(self, tensors: Sequence[Tensor]) -> bool:
        """Whether these are the same tensors, unchanged."""
        if len(tensors) != len(self.tensors):
            return False
        kept = zip(tensors, self.tensors, self.versions, self.values, strict=True)
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

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.snapshot = Snapshot(tensors)
        self.kept: OrderedDict[Hashable, Tensor | list[Tensor]] = OrderedDict()

    def keep(self, key: Hashable, made: Tensor | list[Tensor]) -> None:
        self.kept[key] = made
        while sum(map(size, self.kept.values())) > BYTES:
            self.kept.popitem(last=False)


def size(made: Tensor | list[Tensor]) -> int:
    return made.nbytes if isinstance(made, Tensor) else sum(tensor.nbytes for tensor in made)


CACHES: WeakKeyDictionary[Filter, Cache] = WeakKeyDictionary()
LOCK = threading.Lock()


def needs_gradient(tensors: Iterable[Tensor | None]) -> bool:
    """Whether the gradient of one of them can be asked for."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def remembered(filter: Filter, key: Hashable, make: Callable[[], Kept]) -> Kept:
    """``make()``, or in inference what it gave for the same key and an unchanged filter of this package.

    The key must say all that ``make`` depends on besides the filter.
    """
    tensors = [*filter.parameters(), *filter.buffers()]
    if needs_gradient(tensors):
        CACHES.pop(filter, None)
        return make()
    # Other filters may depend on more than their tensors. On other devices a comparison would wait for all that is
    # queued. Tensors made in inference mode do not count their changes.
    unsafe = any(tensor.device.type != "cpu" or tensor.is_inference() for tensor in tensors)
    if unsafe or type(filter) not in OWN or transformed():
        return make()
    key = key, torch.is_inference_mode_enabled()  # what is made there cannot serve elsewhere
    with LOCK:
        cache = CACHES.get(filter)
        if cache is None or not cache.snapshot.holds(tensors):
            cache = CACHES[filter] = Cache(tensors)
        if key in cache.kept:
            cache.kept.move_to_end(key)
            return cache.kept[key]  # type: ignore[return-value]
    made = make()
    with LOCK:
        cache.keep(key, made)
    return made
