"""A grid as one convolution of torch, or a transposed one, forward and backward. No function here records gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cclib.geometry import Grid, Taps, input_runs

__all__ = ["Convolution", "convolution_of"]


@dataclass(frozen=True)
class Convolution:
    """One call of torch's convolution, of an image with some zeros put around it or pixels cut off.

    Args:
        transposed: whether it is a transposed convolution.
        stride, padding, output_padding: as in ``Conv2d`` and ``ConvTranspose2d``.
        around: what is put around the image before, as ``F.pad`` takes it; negative numbers cut off.
        slots: of each axis the offsets of its kernel.
    """

    transposed: bool
    stride: tuple[int, int]
    padding: tuple[int, int]
    output_padding: tuple[int, int]
    around: tuple[int, int, int, int]
    slots: tuple[tuple[int, ...], tuple[int, ...]]

    def kernel(self, weights: Tensor, groups: int) -> Tensor:
        """(offsets, offsets, out, in / groups) -> as the convolution takes it."""
        if not self.transposed:
            return weights.permute(2, 3, 0, 1).contiguous()
        rows, columns = (torch.tensor(slots, device=weights.device) for slots in self.slots)
        chosen = weights.index_select(0, rows).index_select(1, columns).unflatten(2, (groups, -1))
        kernel: Tensor = chosen.permute(2, 4, 3, 0, 1).flatten(0, 1)
        return kernel.contiguous()

    def weights(self, kernel: Tensor, groups: int, like: Tensor) -> Tensor:
        """The adjoint of ``kernel``, for weights ``like`` these."""
        if not self.transposed:
            return kernel.permute(2, 3, 0, 1)
        weights = torch.zeros_like(like)
        by_group = kernel.unflatten(0, (groups, -1)).permute(3, 4, 0, 2, 1).flatten(2, 3)
        rows, columns = (torch.tensor(slots, device=kernel.device) for slots in self.slots)
        weights[rows[:, None], columns] = by_group
        return weights

    def forward(self, x: Tensor, kernel: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        """(batch, in, height, width) -> (batch, out, height, width)."""
        y: Tensor = torch.convolution(
            self.fitted(x, for_gradients=torch.is_grad_enabled()),
            kernel,
            bias,
            self.stride,
            self.padding,
            (1, 1),
            self.transposed,
            self.output_padding,
            groups,
        )
        return y

    def backward(
        self, gradient: Tensor, x: Tensor, kernel: Tensor, groups: int, wanted: Sequence[bool]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The gradients of the image, of the kernel and of the bias, those that are wanted."""
        dx, dkernel, dbias = torch.ops.aten.convolution_backward(
            gradient,
            self.fitted(x, for_gradients=True),
            kernel,
            [gradient.shape[1]] if wanted[2] else None,
            self.stride,
            self.padding,
            (1, 1),
            self.transposed,
            self.output_padding,
            groups,
            tuple(wanted),
        )
        if wanted[0] and any(self.around):
            dx = F.pad(dx, [-pixels for pixels in self.around])
        return dx, dkernel, dbias

    def fitted(self, x: Tensor, for_gradients: bool) -> Tensor:
        """The image as the convolution takes it."""
        if self.transposed and for_gradients and x.device.type == "cpu":  # these are faster with the channels last
            return x.contiguous(memory_format=torch.channels_last)
        return F.pad(x, self.around) if any(self.around) else x


def convolution_of(grid: Grid) -> Convolution | None:
    """The convolution, or else the transposed one, that a grid is, if it is one."""
    return plain(grid) or transposed(grid)


def plain(grid: Grid) -> Convolution | None:
    """All outputs have the same offsets."""
    if any(len(taps.phases) > 1 or not taps.most for taps in grid):
        return None
    vertical, horizontal = grid
    padding = tuple(-taps.reach[0] for taps in grid)
    fits = all(
        pad >= 0 and (taps.axis.n_in + 2 * pad - taps.most) // taps.advance + 1 == taps.axis.n_out
        for taps, pad in zip(grid, padding, strict=True)
    )
    around = (*outside(horizontal), *outside(vertical))
    return Convolution(
        False,
        (vertical.advance, horizontal.advance),
        (padding[0], padding[1]) if fits else (0, 0),
        (0, 0),
        (0, 0, 0, 0) if fits else around,
        (tuple(vertical.slots[0]), tuple(horizontal.slots[0])),
    )


def outside(taps: Taps) -> tuple[int, int]:
    """How many pixels before and after the image are read."""
    return -taps.reach[0], taps.reach[1] - taps.axis.n_in + 1


def transposed(grid: Grid) -> Convolution | None:
    """Every input has the same weights for the outputs that read it."""
    axes = [transposed_axis(taps) for taps in grid]
    vertical, horizontal = axes
    if vertical is None or horizontal is None:
        return None
    return Convolution(
        True,
        (vertical[0], horizontal[0]),
        (vertical[1], horizontal[1]),
        (vertical[2], horizontal[2]),
        (0, 0, 0, 0),
        (vertical[3], horizontal[3]),
    )


def transposed_axis(taps: Taps) -> tuple[int, int, int, tuple[int, ...]] | None:
    """(stride, padding, output padding, offsets) of one axis, if it is one of a transposed convolution."""
    if taps.advance != 1 or not taps.most:
        return None
    size = taps.axis.n_in
    runs = input_runs(taps, 0, size)
    run, stride = runs.runs[0], runs.advance
    left = taps.axis.n_out - ((size - 1) * stride + len(run.slots) + 2 * run.first)
    if len(runs.runs) > 1 or not run.slots or run.first > 0 or not 0 <= left < stride:
        return None
    return stride, -run.first, left, run.slots
