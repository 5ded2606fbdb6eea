"""The compiled kernels (``kernels.c``): the library, what it is given, and how it is called.

An installation has them for processors with AVX2 on Linux; elsewhere the sums go through torch.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import threading
from collections.abc import Callable, Sequence
from ctypes import POINTER, Structure, c_int64, c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cclib.functional.derivatives import plain_tensors

__all__ = ["NARROW", "SPARE", "AxisOf", "CopyOf", "FilterGradientOf", "FilterOf", "MadeOf", "SumOf", "WholeOf"]
__all__ += ["axis_of", "call", "panels_of", "run", "scratch", "serve", "threads_for"]

# By torch's name of the processor's vectors; with ".so" at its end Python would take each for a module of its own.
LIBRARIES = {"AVX2": "kernels.avx2", "AVX512": "kernels.avx512"}
SOURCE = "kernels.c"  # beside this module, in a checkout
SUFFIXES = {torch.float32: "float", torch.float64: "double"}

NARROW, WIDE = 32, 64  # bytes of a panel, as in the kernels
SPARE = 64  # numbers at the end of an image, which a vector may read, as in the kernels
LEAST_WORK = 2**20  # multiply-adds that are worth another thread
WASTE = 1.15  # more of them in wide panels than in narrow ones are worth it, as wide ones are faster
MOST_KEPT = 2**22  # numbers of a buffer that is kept; a thread keeps one of each name and type


class AxisOf(Structure):
    """``struct axis``."""

    _fields_ = (
        *((name, c_int64) for name in ("size", "runs", "advance", "begin", "end")),
        *((name, POINTER(c_int64)) for name in ("first", "place")),
    )


class SumOf(Structure):
    """``struct sum``."""

    _fields_ = (
        *((name, AxisOf) for name in ("rows", "columns")),
        *(
            (name, c_int64)
            for name in ("batch", "images", "lines", "pixels", "channels", "groups", "in", "out", "width")
        ),
        ("depthwise", c_int64),
        *((name, c_void_p) for name in ("image", "table", "bias", "y")),
        ("y_strides", c_int64 * 3),
    )


class CopyOf(Structure):
    """``struct copy``."""

    _fields_ = (
        *((name, c_void_p) for name in ("image", "to")),
        ("strides", c_int64 * 4),
        *((name, c_int64) for name in ("batch", "channels", "height", "width", "lines", "pixels", "top", "left")),
    )


class WholeOf(Structure):
    """``struct whole``."""

    _fields_ = (
        ("sum", SumOf),
        *((name, CopyOf) for name in ("source", "back")),
        *((name, c_int64) for name in ("samples", "room")),
        ("rooms", c_void_p),
    )


class MadeOf(Structure):
    """``struct made``."""

    _fields_ = (
        *((name, SumOf) for name in ("sum", "product")),
        *((name, c_int64) for name in ("panels", "features", "most", "room")),
        *((name, c_void_p) for name in ("functions", "matrices", "rooms")),
    )


class FilterOf(Structure):
    """``struct filter``."""

    _fields_ = (
        *((name, c_int64) for name in ("features", "groups", "out", "in", "panels", "width")),
        *(("strides", c_int64 * 3), ("places", c_int64 * 2), ("columns", c_int64)),
        ("slots", POINTER(c_int64) * 2),
        *((name, c_void_p) for name in ("coefficients", "functions", "matrices", "taken", "table")),
        *(("product", SumOf), ("threads", c_int64), ("least", c_int64)),
    )


class FilterGradientOf(Structure):
    """``struct filter_gradient``."""

    _fields_ = (
        *(("image", CopyOf), ("output", CopyOf), ("filter", FilterOf), ("sum", SumOf), ("contraction", SumOf)),
        *(("samples", c_int64), ("lines", c_int64), ("strides", c_int64 * 3)),
        *((name, c_void_p) for name in ("turned", "of_functions", "of_matrices", "of_coefficients")),
    )


def axis_of(size: int, advance: int, first: Sequence[int], place: Sequence[int]) -> AxisOf:
    """An axis with a run for each of ``first``."""
    runs = len(first)
    return AxisOf(size, runs, advance, 0, runs, (c_int64 * runs)(*first), (c_int64 * len(place))(*place))


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The one for this processor, if there is one.

    Raises:
        OSError: it was compiled from other code than what lies beside this module.
    """
    here = Path(__file__)
    path = here.with_name(str(LIBRARIES.get(torch.backends.cpu.get_cpu_capability())))
    if not path.is_file():
        return None
    found, source = ctypes.CDLL(str(path)), here.with_name(SOURCE)
    if source.is_file():  # as in a checkout, where it may have changed since
        made_from = ctypes.c_char_p.in_dll(found, "made_from").value
        if made_from != hashlib.sha256(source.read_bytes()).hexdigest().encode():
            raise OSError(f"{SOURCE} has changed since cclib was installed: pip install -e . compiles it")
    return found


def serve(device: torch.device) -> bool:
    """Whether there are kernels for tensors of this device."""
    return device.type == "cpu" and library() is not None


@lru_cache(maxsize=16)
def kernel(name: str, dtype: torch.dtype) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(library(), f"{name}_{SUFFIXES[dtype]}")
    return found


def panels_of(channels: int, dtype: torch.dtype) -> tuple[int, int]:
    """How many panels so many output channels have, and the width of each: narrow or wide, what fits better."""
    narrow, wide = NARROW // dtype.itemsize, WIDE // dtype.itemsize
    few, many = math.ceil(channels / wide), math.ceil(channels / narrow)
    return (few, wide) if few * wide <= many * narrow * WASTE else (many, narrow)


@lru_cache(maxsize=1)
def parallel() -> c_void_p | None:
    """``GOMP_parallel`` of the OpenMP library that torch brings, if it brings one with it: so the kernels work on
    torch's own threads."""
    for path in Path(torch.__file__).parent.glob("lib/libgomp*"):
        return ctypes.cast(ctypes.CDLL(str(path)).GOMP_parallel, c_void_p)
    return None


def threads_for(work: int, threads: int | None = None) -> int:
    """As many as torch has, or ``threads``, where so many multiply-adds are worth it."""
    return min(threads or torch.get_num_threads(), work // LEAST_WORK + 1)


def run(name: str, dtype: torch.dtype, parts: int, given: Structure) -> None:
    """Call a kernel for each of so many parts, on threads of their own."""
    found = library()
    assert found is not None
    found.run(kernel(name, dtype), ctypes.byref(given), c_int64(parts), parallel())


def call(name: str, dtype: torch.dtype, given: Structure) -> None:
    """Call one that shares the work out itself."""
    kernel(name, dtype)(ctypes.byref(given), parallel())


KEPT = threading.local()


@plain_tensors
def room_for(numbers: int, dtype: torch.dtype) -> Tensor:
    """Memory on the CPU, whatever mode or device holds where it is asked for."""
    return torch.empty(numbers, dtype=dtype)


def scratch(name: str, numbers: int, dtype: torch.dtype) -> Tensor:
    """Memory for so many numbers, that of the last call with the same name where it was enough.

    Fresh memory costs more time than what is written to it.
    """
    key = f"{name} {dtype}"
    held: Tensor | None = getattr(KEPT, key, None)
    if held is None or held.numel() < numbers:
        held = room_for(numbers, dtype)
        if numbers <= MOST_KEPT:
            setattr(KEPT, key, held)
    return held[:numbers]
