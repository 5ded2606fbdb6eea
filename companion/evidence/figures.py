"""One look for all figures: style, the colour of each method, arrows and images, and files whose bytes are stable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from companion.evidence.claims import Interval
from companion.files import folder

COLUMN_WIDTH = 7.0  # inches; figures are drawn at the width at which they are read

_PALETTE = sns.color_palette("colorblind").as_hex()

# The same method has the same colour in every notebook; past the ten of the palette, Paul Tol's "muted" scheme goes on.
COLORS = {
    "conv": _PALETTE[1],
    "cc": _PALETTE[0],
    "cc without window": _PALETTE[9],
    "classical": _PALETTE[2],
    "input pixels": _PALETTE[4],
    "one scale": _PALETTE[5],
    "phases": _PALETTE[3],
    "basis": _PALETTE[6],
    "pixels": "#ddcc77",
    "reference": _PALETTE[8],
    "truth": _PALETTE[7],
    "conv + blur": "#882255",
    "conv + resize": "#117733",
    "conv, many sizes": "#332288",
    "conv + resize, many sizes": "#aa4499",
    "conv, one for each size": "#999933",
    "cc, one schedule": "#44aa99",
    "cc, picture": "#88ccee",
    "cc, one schedule, picture": "#aa7744",
    "cc, one schedule, B-spline": "#1b1b1b",
    "cc, one schedule, B-spline, picture": "#c2185b",
    "cc, one schedule, wide": "#8a8d00",
    "boxes": "#6a5acd",
    "pixel shuffle": "#cc6677",
    "LIIF": "#661100",
    "Meta-SR": "#6699cc",
}


def use_style() -> None:
    """Set matplotlib up for this project: call it once, at the top of a notebook."""
    sns.set_theme(
        context="paper",
        style="ticks",
        palette="colorblind",
        font_scale=1.05,
        rc={
            "axes.grid": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": "medium",
            "figure.constrained_layout.use": True,  # legends outside the axes need it
            "figure.dpi": 120,
            "figure.facecolor": "white",
            "grid.linewidth": 0.5,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
            "legend.frameon": False,
            "savefig.dpi": 160,
        },
    )


def spare_colors(methods: Sequence[str]) -> dict[str, str]:
    """Colours for methods that ``COLORS`` does not name."""
    return dict(zip(methods, sns.color_palette("husl", len(methods)).as_hex(), strict=True))


def save(figure: Figure, name: str) -> None:
    """Write a figure as ``figures/name.svg`` and ``figures/name.png`` in the notebook's output folder.

    The files hold no date and no random ids, so that the same figure gives the same bytes.
    """
    path = folder() / "figures"
    path.mkdir(exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "cclib"}):
        figure.savefig(path / f"{name}.svg", metadata={"Date": None})
    figure.savefig(path / f"{name}.png", metadata={"Software": None})


def intervals(
    axes: plt.Axes, at: Sequence[float], values: Sequence[Interval], across: bool = False, **style: Any
) -> None:
    """Means with their intervals as bars: upright at the abscissae ``at``, or ``across`` at these ordinates.

    ``style`` goes to ``Axes.errorbar``; without a line style in it, no line joins them.
    """
    means = [interval.mean for interval in values]
    below = [interval.mean - interval.low for interval in values]
    above = [interval.high - interval.mean for interval in values]
    style = {"ls": "none", "marker": "o", "ms": 4, "capsize": 2, **style}
    if across:
        axes.errorbar(means, at, xerr=[below, above], **style)
    else:
        axes.errorbar(at, means, yerr=[below, above], **style)


def show_image(axes: plt.Axes, image: Any, title: str = "", extent: tuple[int, int] | None = None) -> None:
    """An image in [0, 1], (height, width) or (height, width, 3), without ticks.

    ``extent`` is the size (height, width) at which it is drawn, by default its own. Its corner is at (-0.5, -0.5):
    images of one scene with different numbers of pixels overlay each other where they have the same extent.
    """
    height, width = extent or image.shape[:2]
    axes.imshow(image, vmin=0, vmax=1, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes.set(xticks=[], yticks=[], title=title)
    axes.grid(False)
    sns.despine(ax=axes, left=True, bottom=True)
