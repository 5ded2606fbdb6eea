"""A continuous convolution at one geometry as a plain convolution, for deployment: torch.export, ONNX, other tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import skip_init

from cclib.filters import Filter
from cclib.functional.sampling import Axes, grid_of, padding_index, sample
from cclib.geometry import Taps


class FrozenConv2d(nn.Module):
    """One ``Conv2d`` with a group for every pair of phases, between copying rows and columns and a pixel shuffle.

    ``CCConv2d.freeze`` makes it. It serves the input size and the geometry that it was made for and no other.

    1. Copy the rows and columns that each phase reads, one phase after the other; outside the image ``padding_mode``
       decides. At a single phase (scale 1, integer strides) this is a pad.
    2. Convolve: the phases are groups of channels, and strides go from one output of a phase to its next.
    3. Interleave the phases' outputs (a pixel shuffle with a factor for each axis).
    """

    rows: Tensor  # of the image and the zeros after it, in the order in which they are copied
    columns: Tensor

    def __init__(
        self,
        filter: Filter,
        bias: Tensor | None,
        axes: Axes,
        groups: int,
        padding_mode: str,
        stretch: bool,
        resolve: Callable[[int, int, Any, Any, Any], Axes],
    ) -> None:
        """``resolve`` gives the axes that the layer has for (height, width, scale, size, start)."""
        super().__init__()
        self.axes, self.resolve = axes, resolve
        grid = grid_of(axes, filter, stretch)
        self.reads = vertical, horizontal = reads_of(grid[0], padding_mode), reads_of(grid[1], padding_mode)
        like = filter.coefficients() if bias is None else bias
        with torch.no_grad():
            weights = F.pad(sample(filter, filter, grid, stretch, like).to(like), (0, 0, 0, 0, 0, 1, 0, 1))
            slots = [torch.tensor(reads.slots, device=like.device) for reads in self.reads]
            # (vertical phases, taps, horizontal phases, taps, out, in / groups)
            kernels = weights[slots[0][:, :, None, None], slots[1][None, None]].permute(0, 2, 4, 5, 1, 3)
        self.register_buffer("rows", torch.tensor(vertical.index, device=like.device))
        self.register_buffer("columns", torch.tensor(horizontal.index, device=like.device))
        phases = kernels.shape[0] * kernels.shape[1]
        out_channels, in_per_group = kernels.shape[2:4]
        self.convolution = skip_init(  # as the weights follow, no random numbers are drawn
            nn.Conv2d,
            phases * in_per_group * groups,
            phases * out_channels,
            tuple(kernels.shape[4:]),
            (vertical.stride, horizontal.stride),
            groups=phases * groups,
            bias=bias is not None,
            device=like.device,
            dtype=like.dtype,
        )
        with torch.no_grad():
            self.convolution.weight.copy_(kernels.flatten(0, 2))
            if bias is not None and self.convolution.bias is not None:
                self.convolution.bias.copy_(bias.repeat(phases))

    def forward(self, x: Tensor, *, scale: Any = None, size: Any = None, start: Any = None) -> Tensor:
        """(batch, in_channels, *input_size) -> (batch, out_channels, *size), also unbatched.

        A geometry may be given, as to the layer that was frozen; it must be the one that it was frozen at.

        Raises:
            ValueError: another input size or geometry.
        """
        height, width = x.shape[-2:]
        expected = self.axes[0].n_in, self.axes[1].n_in
        if (height, width) != expected:
            raise ValueError(f"x must have the size {expected} that the layer was frozen for, got {(height, width)}")
        given = (scale, size, start) != (None, None, None)
        if given and self.resolve(height, width, scale, size, start) != self.axes:
            raise ValueError(
                f"the layer was frozen at another geometry than scale={scale!r}, size={size!r}, start={start!r}"
            )
        if x.ndim == 3:
            return self(x.unsqueeze(0)).squeeze(0)
        vertical, horizontal = self.reads
        if vertical.pad is not None and horizontal.pad is not None:
            return self.convolution(F.pad(x, (*horizontal.pad, *vertical.pad)))
        x = F.pad(x, (0, 1, 0, 1)).index_select(2, self.rows).index_select(3, self.columns)
        x = x.unflatten(3, (horizontal.phases, -1)).unflatten(2, (vertical.phases, -1))
        y = self.convolution(x.permute(0, 2, 4, 1, 3, 5).flatten(1, 3))  # (batch, phases * out, lines, columns)
        y = y.unflatten(1, (vertical.phases, horizontal.phases, -1)).permute(0, 3, 4, 1, 5, 2)
        return y.flatten(4, 5).flatten(2, 3)[:, :, : self.axes[0].n_out, : self.axes[1].n_out]


@dataclass(frozen=True)
class AxisReads:
    """What the convolution reads along one axis."""

    phases: int
    stride: int
    slots: tuple[tuple[int, ...], ...]  # for every phase and tap its place among the offsets, the last for no tap
    index: tuple[int, ...]  # of the image; n_in is a row of zeros
    pad: tuple[int, int] | None  # before and after, where that does the same


def reads_of(taps: Taps, padding_mode: str) -> AxisReads:
    n = taps.axis.n_in
    most = max(taps.most, 1)  # a filter narrower than a pixel may fall between the taps everywhere
    slots = tuple((*places, *[len(taps.offsets)] * (most - len(places))) for places in taps.slots)
    if len(taps.phases) == 1 and taps.most:
        low, high = taps.reach
        index = padding_index(range(low, high + 1), n, padding_mode)
        pad = (-low, high - n + 1) if padding_mode == "zeros" and low < n and high >= 0 else None
        return AxisReads(1, taps.advance, slots, tuple(i % (n + 1) for i in index), pad)
    count = taps.phases[0].count
    read: list[int] = []
    there: list[bool] = []
    for phase in taps.phases:
        for turn in range(count):
            first = phase.first + turn * taps.advance
            read += range(first, first + most)
            there += [turn < phase.count and tap < len(phase.offsets) for tap in range(most)]
    source = iter(padding_index([place for place, used in zip(read, there, strict=True) if used], n, padding_mode))
    index = [next(source) % (n + 1) if used else n for used in there]
    return AxisReads(len(taps.phases), most, slots, tuple(index), None)
