"""The first figure of the article without a script: its picture, and a strip of its frames for the README."""

from __future__ import annotations

import io
import math

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from cclib import cc_conv2d, filters
from cclib.geometry import Axis
from companion import data
from companion.evidence import figures

SIDE = 32  # pixels of the picture
SHOWN = 14  # of them, on each axis, under the outputs
SIZES = ((12, 12), (19, 19), (27, 27), (19, 44))  # of the outputs
CHOSEN = "#a3123f"  # the colour of that output
PLACE = (0.45, 0.45)  # of the output whose taps are shown, as shares of the picture


def face() -> Tensor:
    """A cat's face, reduced by the layer itself: (3, ``SIDE``, ``SIDE``) in [0, 1]."""
    large = data.photographs()["chelsea"][:, 20:276, 110:366]
    return layer(large, (SIDE, SIDE)).clamp(0, 1)


def layer(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, height, width) at another size, by the cubic, which widens where it scales down."""
    cubic = filters.ClassicalFilter("cubic", 3)
    return cc_conv2d(picture[None], cubic, size=size, stretch=True, groups=3, padding_mode="replicate")[0]


def strip() -> bytes:
    """A PNG file: above, the picture under outputs of several sizes, and what one of them reads; below, the outputs."""
    figure = Figure(figsize=(9, 4.9), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(SIZES))
    figure.subplots_adjust(0.005, 0.01, 0.995, 0.94, wspace=0.04, hspace=0.05)
    picture = face()
    for (above, below), size in zip(grid.T, SIZES, strict=True):
        for axes in (above, below):
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
        chosen = tuple(int(share * count) for share, count in zip(PLACE, size, strict=True))
        draw_taps(above, picture, size, (chosen[0], chosen[1]))
        above.set_title(f"{SIDE} × {SIDE} to {size[0]} × {size[1]}", fontsize=10)
        extent = (-0.5, SIDE - 0.5, SIDE - 0.5, -0.5)
        below.imshow(layer(picture, size).clamp(0, 1).permute(1, 2, 0).numpy(), extent=extent, interpolation="nearest")
        tall, wide = (SIDE / count for count in size)
        corner = (chosen[1] * wide - 0.5, chosen[0] * tall - 0.5)
        below.add_patch(Rectangle(corner, wide, tall, fill=False, ec=CHOSEN, lw=1.5))
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def draw_taps(axes: Axes, picture: Tensor, size: tuple[int, int], chosen: tuple[int, int]) -> None:
    """The part of the picture about an output, all outputs there, and its taps, as large as their weights."""
    axes.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest", alpha=0.65)
    rows, columns = ([float(Axis.resize(SIDE, size=count).position(o)) for o in range(count)] for count in size)
    # What an output reads is its gradient.
    read = picture.clone().requires_grad_()
    (weights,) = torch.autograd.grad(layer(read, size)[0][chosen], read)
    weights = weights[0]
    top, left = (min(max(round(at - SHOWN / 2), 0), SIDE - SHOWN) for at in (rows[chosen[0]], columns[chosen[1]]))
    axes.set(xlim=(left - 0.5, left + SHOWN - 0.5), ylim=(top + SHOWN - 0.5, top - 0.5))
    for row, column in weights.nonzero().tolist():
        share = float(weights[row, column] / weights.max())
        side = 0.15 + 0.8 * math.sqrt(abs(share))
        color = figures.COLORS["cc" if share > 0 else "conv"]
        corner = (column - side / 2, row - side / 2)
        axes.add_patch(Rectangle(corner, side, side, color=color, alpha=0.3 + 0.6 * abs(share), lw=0))
    for row_at in rows:
        axes.plot(columns, [row_at] * len(columns), "o", ms=3, mfc="#1d2127", mec="white", mew=0.5)
    axes.plot(columns[chosen[1]], rows[chosen[0]], "o", ms=9, mfc="none", mec=CHOSEN, mew=1.8)
