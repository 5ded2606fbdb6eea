"""The panel of one layer: where its outputs are on the input, what they read, its filter, and its output."""

from __future__ import annotations

import io
from functools import lru_cache
from html import escape

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.colors import to_rgba
from PIL import Image, ImageOps
from torch import Tensor

from cclib import filters
from cclib.functional import cc_conv2d
from cclib.functional.problem import Problem, windows_of
from cclib.geometry import Taps, resize_axes
from companion import data
from companion.evidence import figures
from companion.playground.live import Picture, live, update_image

LARGEST_SIDE = 64  # of an image shown, whose single pixels must be visible
AXES = ("vertical", "horizontal")


class LayerPicture(Picture):
    """A layer of one channel: its outputs on the input, the taps of one output, the filter, the output."""

    def __init__(self) -> None:
        super().__init__(11, 3.9)
        left, middle, right = axes = self.figure.subplots(1, 3)
        self.figure.subplots_adjust(0.02, 0.03, 0.98, 0.9, wspace=0.06)
        for ax in axes:
            ax.set(xticks=[], yticks=[])
        output_color, tap_color = figures.COLORS["conv"], figures.COLORS["cc"]
        self.input = left.imshow([[0]], cmap="gray", vmin=0, vmax=1, alpha=0.6)
        (self.positions,) = left.plot([], [], ".", color=output_color, ms=2)
        self.taps = left.scatter([], [], marker="s", zorder=2.5)
        (self.position,) = left.plot([], [], "+", color=tap_color, ms=10, mew=2)
        self.signs = [to_rgba(figures.COLORS[name], 0.75) for name in ("cc", "conv")]
        self.surface = middle.imshow([[0]], cmap="RdBu_r", interpolation="bilinear")
        (self.offsets,) = middle.plot([], [], "o", mec="black", mfc="white", ms=6)
        middle.set_title("filter; circles: where it is sampled", fontsize=10)
        self.output = right.imshow([[0]], cmap="gray")
        (self.pixel,) = right.plot([], [], "s", mec=output_color, mfc="none", ms=8)

    def draw(
        self,
        image: Tensor,
        filter: filters.Filter,
        *,
        scale: tuple[float, float] | None = None,
        size: tuple[int, int] | None = None,
        start: tuple[float, float] | None = None,
        stretch: bool = False,
        at: tuple[float, float] = (0.5, 0.5),
    ) -> bytes:
        """The picture of a call of the layer, as a PNG file.

        Args:
            image: (height, width).
            scale, size, start, stretch: as in ``cclib.cc_conv2d``.
            at: the output whose taps are shown: (0, 0) is the first, (1, 1) the last.
        """
        with torch.no_grad():
            y = cc_conv2d(
                image[None, None],
                filter,
                scale=scale,
                size=size,
                start=start,
                stretch=stretch,
                padding_mode="replicate",
            )[0, 0]
        axes = resize_axes(image.shape[0], image.shape[1], scale, size, start)
        windows = windows_of(axes, filter.support, not filter.vanishes, stretch)
        grid = Problem(axes, windows, 1, stretch).grid
        row, column = (round(share * (taps.axis.n_out - 1)) for share, taps in zip(at, grid, strict=True))
        rows, down = taps_of_output(grid[0], row)
        columns, across = taps_of_output(grid[1], column)
        with torch.no_grad():
            weights = filter(torch.stack(torch.meshgrid(*map(torch.tensor, (down, across)), indexing="ij"), -1))[
                ..., 0, 0
            ]
        self.show_input(image, grid, (row, column), (rows, columns), weights)
        self.show_filter(filter, (down, across))
        update_image(self.output, y, (float(y.min()), float(y.max())))
        self.pixel.set_data([column], [row])
        self.output.axes.set_title(f"output, {y.shape[0]} x {y.shape[1]}", fontsize=10)
        return self.png()

    def show_input(
        self,
        image: Tensor,
        grid: tuple[Taps, Taps],
        output: tuple[int, int],
        taps: tuple[range, range],
        weights: Tensor,
    ) -> None:
        update_image(self.input, image, (0.0, 1.0))
        ys, xs = ([float(t.axis.position(o)) for o in range(t.axis.n_out)] for t in grid)
        self.positions.set_data(np.tile(xs, len(ys)), np.repeat(ys, len(xs)))
        self.position.set_data([xs[output[1]]], [ys[output[0]]])
        axes = self.input.axes
        axes.set(xlim=(-1.5, image.shape[1] + 0.5), ylim=(image.shape[0] + 0.5, -1.5))
        axes.set_title(f"input, {image.shape[0]} x {image.shape[1]}; dots: outputs; squares: taps of one", fontsize=10)
        rows, columns = taps
        largest = float(weights.abs().max()) if len(weights.flatten()) else 0.0  # a narrow filter may meet no pixel
        shares = (weights.abs() / (largest or 1.0)).flatten()
        points = axes.bbox.width * 72 / self.figure.dpi / (image.shape[1] + 2)  # a pixel of the image
        self.taps.set_offsets(np.stack([np.tile(columns, len(rows)), np.repeat(rows, len(columns))], -1))
        self.taps.set_sizes((points**2 * (0.05 + 0.9 * shares)).tolist())
        self.taps.set_facecolor([self.signs[int(weight < 0)] for weight in weights.flatten()])

    def show_filter(self, filter: filters.Filter, offsets: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
        bottom, right = (float(side) / 2 for side in filter.support)
        points = torch.meshgrid(torch.linspace(-bottom, bottom, 49), torch.linspace(-right, right, 49), indexing="ij")
        with torch.no_grad():
            surface = filter(torch.stack(points, -1))[..., 0, 0]
        bound = float(surface.abs().max()) or 1.0
        update_image(self.surface, surface, (-bound, bound), (-right, right, bottom, -bottom))
        down, across = offsets
        self.offsets.set_data(np.tile(across, len(down)), np.repeat(down, len(across)))


def taps_of_output(taps: Taps, output: int) -> tuple[range, tuple[float, ...]]:
    """The input indices that an output reads along an axis, and the offsets at which it samples the filter."""
    turn, index = divmod(output, len(taps.phases))
    phase = taps.phases[index]
    first = phase.first + turn * taps.advance
    return range(first, first + len(phase.offsets)), phase.offsets


@lru_cache(maxsize=2)
def read_grey(name: str, content: bytes, most: int = LARGEST_SIDE) -> Tensor:
    """An image file as (height, width) in [0, 1], at most ``most`` a side, upright as its camera was held.

    Raises:
        ValueError: the file, known to the user by its name, is no image that Pillow can read whole.
    """
    try:
        with Image.open(io.BytesIO(content)) as picture:
            small = ImageOps.exif_transpose(picture).convert("L")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} cannot be read as an image: choose a PNG or JPEG file") from error
    small.thumbnail((most, most))
    return torch.from_numpy(np.array(small)).float() / 255


@lru_cache
def untrained_filter(kind: str, kernel_size: int, window: bool) -> filters.Filter:
    """A filter of one channel, the same for every call; torch's global generator keeps its state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return filters.make(kind, 1, 1, kernel_size, groups=1, window=window)


def layer_panel() -> widgets.Widget:
    """Controls for every argument of the layer, and its picture."""
    picture = LayerPicture()
    example = data.load().test.images[0, 0].float() / 255
    kind = widgets.Dropdown(options=list(filters.FILTERS), value="cubic", description="filter")
    kernel = widgets.IntSlider(4, 1, 8, description="kernel size")
    window = widgets.Checkbox(True, description="window")
    stretch = widgets.Checkbox(False, description="stretch")
    scales = [widgets.FloatSlider(0.6, min=0.1, max=3, step=0.01, description=f"scale, {axis}") for axis in AXES]
    by_size = widgets.Checkbox(False, description="size, not scale")
    sizes = [widgets.IntSlider(20, 1, 96, description=f"size, {axis}") for axis in AXES]
    by_start = widgets.Checkbox(False, description="move the start")
    starts = [widgets.FloatSlider(0.0, min=-8, max=8, step=0.05, description=f"start, {axis}") for axis in AXES]
    ats = [widgets.FloatSlider(0.5, min=0, max=1, step=0.01, description=f"taps at, {axis}") for axis in AXES]
    upload = widgets.FileUpload(accept="image/*", description="your image")

    def draw() -> bytes:
        kernel.disabled = window.disabled = kind.value in filters.KERNELS  # which have their own support
        kernel.min = {"bspline": 3, "boxes": 2}.get(kind.value, 1)  # one control point and its spline; a box of a pixel
        for sliders, used in ((scales, not by_size.value), (sizes, by_size.value), (starts, by_start.value)):
            for slider in sliders:
                slider.disabled = not used
        uploaded = [read_grey(file["name"], bytes(file["content"])) for file in upload.value]
        return picture.draw(
            uploaded[0] if uploaded else example,
            untrained_filter(kind.value, kernel.value, window.value),
            scale=None if by_size.value else (scales[0].value, scales[1].value),
            size=(sizes[0].value, sizes[1].value) if by_size.value else None,
            start=(starts[0].value, starts[1].value) if by_start.value else None,
            stretch=stretch.value,
            at=(ats[0].value, ats[1].value),
        )

    columns = [
        [upload, kind, kernel, window, stretch],
        [*scales, by_size, *sizes],
        [by_start, *starts, *ats],
    ]
    panel = live(draw, columns)
    shown = widgets.HTML()

    def tell(change: object = None) -> None:
        settings = [f"stretch={stretch.value}"] if stretch.value else []
        for name, sliders, used in (("scale", scales, not by_size.value), ("size", sizes, by_size.value)):
            settings += [f"{name}=({sliders[0].value:g}, {sliders[1].value:g})"] if used else []
        settings += [f"start=({starts[0].value:g}, {starts[1].value:g})"] if by_start.value else []
        made = f'"{kind.value}", 1, 1, {kernel.value}, groups=1, window={window.value}'
        text = code_for([file["name"] for file in upload.value], made, settings)
        shown.value = f'<b>The code for what you see now</b><pre style="line-height: 1.4">{escape(text)}</pre>'

    for control in (control for column in columns for control in column):
        control.observe(tell, "value")
    tell()
    return widgets.VBox([panel, shown])


def code_for(files: list[str], made: str, settings: list[str]) -> str:
    """Lines of Python that compute the output shown.

    Args:
        files: the name of the reader's own image, if there is one.
        made, settings: the arguments of ``filters.make`` and of ``cc_conv2d``.
    """
    if files:
        imported, x = "playground", f'playground.read_grey("{files[0]}", open("{files[0]}", "rb").read())[None, None]'
    else:
        imported, x = "data", "data.load().test.images[:1, :1].float() / 255"
    return f"""import torch
from cclib import cc_conv2d, filters
from companion import {imported}

torch.manual_seed(0)
filter = filters.make({made})
x = {x}  # (1, 1, height, width)
y = cc_conv2d(x, filter, {", ".join(settings)}, padding_mode="replicate")"""
