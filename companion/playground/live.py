"""A picture that is drawn again whenever a control moves, fast enough to follow a slider."""

from __future__ import annotations

import io
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image
from torch import Tensor


class Picture:
    """A figure whose artists are kept and given new values, which is faster than to draw a new figure."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), dpi=80, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)

    def png(self) -> bytes:
        """The figure as it is now, as the content of a PNG file."""
        self.canvas.draw()
        file = io.BytesIO()
        Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB").save(file, "PNG", compress_level=1)
        return file.getvalue()


def update_image(
    image: AxesImage,
    values: Tensor,
    limits: tuple[float, float],
    extent: tuple[float, float, float, float] | None = None,
) -> None:
    """Show other values, (height, width), in an image of a figure.

    Args:
        limits: the values of the first and the last colour.
        extent: left, right, bottom and top of the values on the axes, as in ``Axes.imshow``; by default one unit a
            pixel.
    """
    height, width = values.shape
    extent = extent or (-0.5, width - 0.5, height - 0.5, -0.5)
    image.set_data(values.numpy())
    image.set_clim(*limits)
    image.set_extent(extent)
    image.axes.set(xlim=extent[:2], ylim=extent[2:])


def live(draw: Callable[[], bytes], columns: list[list[widgets.Widget]]) -> widgets.Widget:
    """Columns of controls, below them the picture that ``draw`` returns whenever one moves, and below it its error."""
    picture, message = widgets.Image(format="png"), widgets.HTML()

    def update(change: Any = None) -> None:
        try:
            picture.value, message.value = draw(), ""
        except (ValueError, TypeError) as error:
            message.value = f"<b>{escape(str(error))}</b>"

    for control in (control for column in columns for control in column):
        if hasattr(control.style, "description_width"):  # a button has none
            control.style.description_width = "7.5rem"
        control.layout.width = "18.5rem"
        control.observe(update, "value")
    update()
    wrapped = widgets.Layout(flex_flow="row wrap")
    return widgets.VBox([widgets.HBox([widgets.VBox(column) for column in columns], layout=wrapped), picture, message])
