"""Tensors that follow from a geometry: where the filter is read, and which pixel, offset or phase belongs to which.

Made once, and kept for each device and type. In a graph they are made by an operator of the name of the geometry, so
that the graph holds a line of text and no tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from cclib.arguments import shown
from cclib.functional.derivatives import plain_tensors
from cclib.functional.problem import problem_of
from cclib.geometry import Taps

__all__ = ["PADDING_MODES", "padded_axis", "padding_index", "paired", "table"]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def table(kind: str, of: str, like: Tensor) -> Tensor:
    """The table of this ``kind`` (a function of ``TABLES``) for the device of ``like``; numbers that are no indices are
    of its type.

    ``of`` is the key of a problem and the axis, 0 or 1; for pairs of offsets the key alone, and for ``padding`` what
    ``padded_axis`` gives.
    """
    if torch.compiler.is_compiling() or type(like) is not Tensor or torch._C._len_torch_dispatch_stack():
        made: Tensor = torch.ops.cclib.table(kind, of, like)
        return made
    return kept(kind, of, like.dtype, like.device)


@lru_cache(maxsize=512)
@plain_tensors
def kept(kind: str, of: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    made = TABLES[kind](of)
    return made.to(device, dtype if made.is_floating_point() else made.dtype)


def taps_in(of: str, by_phase: bool = True) -> Taps:
    key, axis = of.rsplit(" ", 1)
    return problem_of(key).grid_of(by_phase)[int(axis)]


def offset(of: str) -> Tensor:
    """Where the filter is read, phase by phase."""
    return torch.tensor(taps_in(of).offsets, dtype=torch.float64)


def offset_pairs(of: str) -> Tensor:
    """Where the filter is read, for each pair of offsets of the problem ``of``: (vertical, horizontal, 2)."""
    return paired(*(offset(f"{of} {axis}") for axis in (0, 1)))


def every_offset_pairs(of: str) -> Tensor:
    """The same, output by output."""
    return paired(*(every_offset(f"{of} {axis}") for axis in (0, 1)))


def paired(vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Every pair: (vertical, horizontal, 2)."""
    return torch.stack(torch.meshgrid(vertical, horizontal, indexing="ij"), -1)


def phase(of: str) -> Tensor:
    """For each offset the phase that it belongs to."""
    return phases(taps_in(of))


def slots(of: str) -> Tensor:
    """For every output and tap (outputs, most taps) its place among the offsets; outputs with fewer taps than the most
    are filled up with the place after the last."""
    return slots_and_pixels(of)[0]


def pixels(of: str) -> Tensor:
    """For every output and tap (outputs, most taps) the pixel of the axis, n_in where it is outside or no tap."""
    return slots_and_pixels(of)[1]


def every_offset(of: str) -> Tensor:
    """Where the filter is read, output by output."""
    return torch.tensor(taps_in(of, by_phase=False).offsets, dtype=torch.float64)


def every_phase(of: str) -> Tensor:
    """For each of ``every_offset`` the output that it belongs to."""
    return phases(taps_in(of, by_phase=False))


def membership(of: str) -> Tensor:
    """Which of ``every_offset`` belongs to which output: ones and zeros (outputs, offsets)."""
    taps = taps_in(of, by_phase=False)
    member = torch.zeros(len(taps.phases), len(taps.offsets), dtype=torch.float64)
    for row, own in zip(member, taps.slots, strict=True):
        row[own.start : own.stop] = 1
    return member


def every_pixel(of: str) -> Tensor:
    """The pixel of the axis for each of ``every_offset``, n_in where it is outside."""
    taps = taps_in(of, by_phase=False)
    reads = [phase.first + tap for phase in taps.phases for tap in range(len(phase.offsets))]
    return torch.tensor(padding_index(reads, taps.axis.n_in, "zeros"), dtype=torch.long)


def padding(of: str) -> Tensor:
    """The pixels of an axis that stand for those of the axis extended; see ``padded_axis``."""
    mode, n, low, high = of.split()
    return torch.tensor(padding_index(range(int(low), int(high) + 1), int(n), mode), dtype=torch.long)


# By kind, what makes the table of ``of``.
TABLES: dict[str, Callable[[str], Tensor]] = {
    function.__name__: function
    for function in (
        *(offset, offset_pairs, phase, slots, pixels, every_offset, every_offset_pairs, every_phase, every_pixel),
        *(membership, padding),
    )
}


def phases(taps: Taps) -> Tensor:
    return torch.tensor([index for index, own in enumerate(taps.slots) for _ in own], dtype=torch.long)


@lru_cache(maxsize=64)
def slots_and_pixels(of: str) -> tuple[Tensor, Tensor]:
    taps = taps_in(of)
    own = torch.full((taps.axis.n_out, taps.most), len(taps.offsets))
    reads: list[int] = []
    for output in range(taps.axis.n_out):
        turn, index = divmod(output, len(taps.phases))
        first, of_phase = taps.phases[index].first + turn * taps.advance, taps.slots[index]
        own[output, : len(of_phase)] = torch.arange(of_phase.start, of_phase.stop)
        reads += range(first, first + len(of_phase))
    of_pixels = torch.full_like(own, taps.axis.n_in)
    of_pixels[own < len(taps.offsets)] = torch.tensor(padding_index(reads, taps.axis.n_in, "zeros"), dtype=torch.long)
    return own, of_pixels


def padded_axis(n: int, low: int, high: int, padding_mode: str) -> str:
    """The name of the table ``padding`` for pixels ``low`` … ``high`` of an axis of n.

    Raises:
        ValueError: a reflection does not reach as far.
    """
    check_padding(n, low, high, padding_mode)
    return f"{padding_mode} {n} {low} {high}"


def check_padding(n: int, low: int, high: int, padding_mode: str) -> None:
    widest = max(-low, high - n + 1)
    if padding_mode == "reflect" and widest > n - 1:
        raise ValueError(f"padding_mode 'reflect' allows a pad of at most {n - 1} on {n} pixels, got {shown(widest)}")


def padding_index(pixels: Sequence[int], n: int, padding_mode: str) -> list[int]:
    """The pixels of an axis of n that stand for ``pixels``, some of which may lie outside; n where those are zero.

    Raises:
        ValueError: a reflection does not reach as far.
    """
    if pixels:
        check_padding(n, min(pixels), max(pixels), padding_mode)
    if padding_mode == "zeros":
        return [i if 0 <= i < n else n for i in pixels]
    if padding_mode == "replicate":
        return [min(max(i, 0), n - 1) for i in pixels]
    if padding_mode == "circular":
        return [i % n for i in pixels]
    return [n - 1 - abs(n - 1 - abs(i)) for i in pixels]
