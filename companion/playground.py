"""What notebook 00-playground shows: one layer on an image, and one trained network, whose sizes are moved by hand."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np
import safetensors
import safetensors.torch
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps
from torch import Tensor

from cclib import filters
from cclib.functional import cc_conv2d, explain
from cclib.functional.sampling import grid_of, resize_axes
from cclib.geometry import Taps
from cclib.layers import CCConv2d
from cclib.models.classifier import Classifier, ClassifierConfig
from companion import data, files
from companion.evidence import figures
from companion.tasks.classification import FlexibleClassification, logits
from companion.tasks.normalisation import channel_statistics, normalised
from companion.train import runs
from companion.train.training import Training

SHIPPED = files.project_root() / "data" / "playground.safetensors"
# As in notebook 05 with the default profile, whose run it is where the search there chose the same rate.
SHIPPED_TASK = FlexibleClassification(
    ClassifierConfig("cc", channels=(16, 16, 32, 48)),
    input_sides=(14, 48),
    growth=(0.55, 1.5),
    jitter=0.15,
    nominal_inputs=0.6,
    nominal_maps=0.3,
)
SHIPPED_TRAINING = Training(epochs=9, batch_size=100, learning_rate=0.02)
LARGEST_SIDE = 64  # of an image in the layer's picture: its pixels are to be seen
SHOWN = 100  # test images on which the accuracy is taken
AXES = ("vertical", "horizontal")


class Picture:
    """A figure that is drawn again and again; what is drawn comes back as a PNG file."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), dpi=80, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)

    def png(self) -> bytes:
        self.canvas.draw()
        file = io.BytesIO()
        Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB").save(file, "PNG", compress_level=1)
        return file.getvalue()


class LayerPicture(Picture):
    """A layer of one channel: the output grid on the input, the taps of one output, the filter, the output."""

    def __init__(self) -> None:
        super().__init__(11, 3.9)
        left, middle, right = axes = self.figure.subplots(1, 3)
        self.figure.subplots_adjust(0.02, 0.03, 0.98, 0.9, wspace=0.06)
        for ax in axes:
            ax.set(xticks=[], yticks=[])
        of_outputs, of_taps = figures.COLORS["conv"], figures.COLORS["cc"]
        self.input = left.imshow([[0]], cmap="gray", vmin=0, vmax=1, alpha=0.6)
        (self.places,) = left.plot([], [], ".", color=of_outputs, ms=2)
        self.window = left.add_patch(Rectangle((0, 0), 1, 1, fill=False, ec=of_taps, lw=2))
        (self.place,) = left.plot([], [], "+", color=of_taps, ms=10, mew=2)
        self.surface = middle.imshow([[0]], cmap="RdBu_r", interpolation="bilinear")
        (self.offsets,) = middle.plot([], [], "o", mec="black", mfc="white", ms=6)
        middle.set_title("filter; circles: where it is read", fontsize=10)
        self.output = right.imshow([[0]], cmap="gray")
        (self.same,) = right.plot([], [], "s", mec=of_outputs, mfc="none", ms=8)

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
        """The picture of a call of the layer.

        Args:
            image: (height, width).
            scale, size, start, stretch: as in ``cclib.cc_conv2d``.
            at: which output's taps are shown: (0, 0) is the first, (1, 1) the last.
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
        grid = grid_of(resize_axes(image.shape[0], image.shape[1], scale, size, start), filter, stretch)
        row, column = output = tuple(round(place * (taps.axis.n_out - 1)) for place, taps in zip(at, grid, strict=True))
        taken = [taps_of_output(taps, o) for taps, o in zip(grid, output, strict=True)]
        self.show_input(image, grid, output, [indices for indices, _ in taken])
        self.show_filter(filter, [offsets for _, offsets in taken])
        redraw(self.output, y, (float(y.min()), float(y.max())))
        self.same.set_data([column], [row])
        self.output.axes.set_title(f"output, {y.shape[0]} x {y.shape[1]}", fontsize=10)
        return self.png()

    def show_input(self, image: Tensor, grid: tuple[Taps, Taps], output: tuple[int, ...], taken: list[range]) -> None:
        redraw(self.input, image, (0.0, 1.0))
        rows, columns = ([float(t.axis.position(o)) for o in range(t.axis.n_out)] for t in grid)
        self.places.set_data(np.tile(columns, len(rows)), np.repeat(rows, len(columns)))
        self.place.set_data([columns[output[1]]], [rows[output[0]]])
        vertical, horizontal = taken
        self.window.set_bounds(horizontal.start - 0.5, vertical.start - 0.5, len(horizontal), len(vertical))
        axes = self.input.axes
        axes.set(xlim=(-1.5, image.shape[1] + 0.5), ylim=(image.shape[0] + 0.5, -1.5))
        axes.set_title(f"input, {image.shape[0]} x {image.shape[1]}; dots: outputs; frame: taps of one", fontsize=10)

    def show_filter(self, filter: filters.Filter, offsets: list[tuple[float, ...]]) -> None:
        down, across = (float(side) / 2 for side in filter.support)
        points = torch.meshgrid(torch.linspace(-down, down, 49), torch.linspace(-across, across, 49), indexing="ij")
        with torch.no_grad():
            surface = filter(torch.stack(points, -1))[..., 0, 0]
        bound = float(surface.abs().max()) or 1.0
        redraw(self.surface, surface, (-bound, bound), (-across, across, down, -down))
        vertical, horizontal = offsets
        self.offsets.set_data(np.tile(horizontal, len(vertical)), np.repeat(vertical, len(horizontal)))


def redraw(
    picture: AxesImage,
    values: Tensor,
    limits: tuple[float, float],
    extent: tuple[float, float, float, float] | None = None,
) -> None:
    """Other values (height, width) in an image that is there: drawing is faster than with a new one.

    ``limits`` are the values of the darkest and the lightest colour; ``extent`` (left, right, bottom, top) is that of
    ``Axes.imshow``.
    """
    height, width = values.shape
    extent = extent or (-0.5, width - 0.5, height - 0.5, -0.5)
    picture.set_data(values.numpy())
    picture.set_clim(*limits)
    picture.set_extent(extent)
    picture.axes.set(xlim=extent[:2], ylim=extent[2:])


def taps_of_output(taps: Taps, output: int) -> tuple[range, tuple[float, ...]]:
    """The input indices that an output reads, and the offsets at which the filter is read."""
    turn, index = divmod(output, len(taps.phases))
    phase = taps.phases[index]
    first = phase.first + turn * taps.advance
    return range(first, first + len(phase.offsets)), phase.offsets


class NetworkPicture(Picture):
    """The feature maps of one image, each drawn at its size, the mean over channels."""

    def __init__(self, maps: int) -> None:
        super().__init__(11, 2.9)
        self.figure.subplots_adjust(0.02, 0.03, 0.98, 0.86, wspace=0.1)
        self.images = []
        for place, axes in enumerate(self.figure.subplots(1, maps + 1)):
            axes.set(xticks=[], yticks=[], frame_on=False)
            self.images.append(axes.imshow([[0]], cmap="gray" if place == 0 else "viridis"))

    def draw(self, image: Tensor, maps: list[Tensor]) -> bytes:
        largest = max(image.shape[-1], *(y.shape[-1] for y in maps))
        for place, (picture, channels) in enumerate(zip(self.images, [image, *maps], strict=True)):
            y = channels.mean(0)
            redraw(picture, y, (float(y.min()), float(y.max())))
            middle, reach = (y.shape[-1] - 1) / 2, largest / 2
            name = "input" if place == 0 else f"map {place}"
            picture.axes.set(xlim=(middle - reach, middle + reach), ylim=(middle + reach, middle - reach))
            picture.axes.set_title(f"{name}, {y.shape[-1]} x {y.shape[-1]}", fontsize=10)
        return self.png()


class Network:
    """A trained classifier, and the test images on which it is tried.

    Raises:
        FileNotFoundError: the file with the weights is missing.
    """

    def __init__(self) -> None:
        with safetensors.safe_open(SHIPPED, "pt") as file:
            given: dict[str, Any] = json.loads(file.metadata()["config"])
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
        config = ClassifierConfig(**values)
        self.model = Classifier(config).eval()
        self.model.load_state_dict(safetensors.torch.load_file(SHIPPED))
        dataset = data.load()
        images = dataset.test.images[:SHOWN]
        self.images = normalised(images, *channel_statistics(dataset.train))
        self.labels = dataset.test.labels[:SHOWN]

    def run(self, sizes: tuple[int, ...]) -> dict[str, Any]:
        """Accuracy (per cent), multiply-adds per image, milliseconds for all images, and the first image's maps."""
        maps: list[Tensor] = []
        hooks = [
            norm.register_forward_hook(lambda module, inputs, y: maps.append(torch.relu(y[0])))
            for norm in self.model.norms
        ]
        started = time.perf_counter()
        with torch.no_grad():
            right = logits(self.model, self.images, sizes).argmax(1) == self.labels
        seconds = time.perf_counter() - started
        for hook in hooks:
            hook.remove()
        return {
            "accuracy": 100 * right.double().mean().item(),
            "multiply-adds": self.multiply_adds(sizes),
            "milliseconds": 1000 * seconds,
            "maps": maps,
        }

    def multiply_adds(self, sizes: tuple[int, ...]) -> float:
        """Per image in a batch of all; about, from the estimates of ``explain``: to count them takes too long here."""
        total = len(self.images) * self.model.head.weight.numel()
        side = self.images.shape[-1]
        layers = [layer for layer in self.model.layers if isinstance(layer, CCConv2d)]
        for layer, size in zip(layers, sizes, strict=True):
            shape = len(self.images), layer.in_channels, side, side
            candidates = explain(shape, layer.filter, size=(size, size)).candidates
            total += next(c.multiply_adds for c in candidates if c.implementation == "phases")
            side = size
        return total / len(self.images)


def ship() -> None:
    """Train the network that the playground starts from, or take it from the run cache, and write it to ``SHIPPED``."""
    (result,) = runs.run_all([runs.Run(SHIPPED_TASK, SHIPPED_TRAINING, seed=0, label="the playground's network")])
    config = json.dumps(asdict(SHIPPED_TASK.model), sort_keys=True)
    weights = {name: value.contiguous() for name, value in result.model().state_dict().items()}
    files.atomic_write(SHIPPED, safetensors.torch.save(weights, metadata={"config": config}))


@lru_cache(maxsize=1)
def grey(content: bytes) -> Tensor:
    """A picture file as (height, width) in [0, 1], at most ``LARGEST_SIDE`` a side. Raises OSError if it is none."""
    with Image.open(io.BytesIO(content)) as picture:
        small = ImageOps.exif_transpose(picture).convert("L")
    small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return torch.from_numpy(np.array(small)).float() / 255


@lru_cache
def untrained_filter(kind: str, kernel_size: int, window: bool) -> filters.Filter:
    """Of one channel, the same whenever it is asked for; torch's global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return filters.make(kind, 1, 1, kernel_size, groups=1, window=window)


def layer_panel() -> widgets.Widget:
    """Sliders for every argument of the layer, and its picture."""
    picture = LayerPicture()
    first = data.load().test.images[0, 0].float() / 255
    kind = widgets.Dropdown(options=filters.FILTERS, value="cubic", description="filter")
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

    def show() -> bytes:
        kernel.disabled = window.disabled = kind.value in filters.KERNELS  # which have a support of their own
        for sliders, used in ((scales, not by_size.value), (sizes, by_size.value), (starts, by_start.value)):
            for slider in sliders:
                slider.disabled = not used
        return picture.draw(
            grey(bytes(upload.value[0]["content"])) if upload.value else first,
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
    return live(show, columns)


def network_panel(network: Network | None = None) -> widgets.Widget:
    """A slider for the size of every feature map of a trained network; its accuracy and cost."""
    network = network or Network()
    nominal = network.model.config.sizes[1:]
    picture = NetworkPicture(len(nominal))
    sliders = [
        widgets.IntSlider(size, 2, 32, description=f"map {place}") for place, size in enumerate(nominal, start=1)
    ]
    said = widgets.HTML()
    usual = network.run(nominal)

    def show() -> bytes:
        found = network.run(tuple(slider.value for slider in sliders))
        said.value = (
            f"accuracy on {SHOWN} test images: <b>{found['accuracy']:.0f} %</b> "
            f"(at the nominal sizes: {usual['accuracy']:.0f} %); "
            f"multiply-adds per image: about <b>{found['multiply-adds'] / 1e6:.2f} million</b> "
            f"({found['multiply-adds'] / usual['multiply-adds']:.2f} times); {found['milliseconds']:.0f} ms"
        )
        return picture.draw(network.images[0], found["maps"])

    return widgets.VBox([live(show, [sliders]), said])


def live(show: Callable[[], bytes], columns: list[list[widgets.Widget]]) -> widgets.Widget:
    """Controls above the picture that ``show`` draws anew whenever one of them moves; what is wrong is said below."""
    picture, wrong = widgets.Image(format="png"), widgets.HTML()

    def update(change: Any = None) -> None:
        try:
            picture.value, wrong.value = show(), ""
        except (ValueError, TypeError, OSError) as error:
            wrong.value = f"<b>{escape(str(error))}</b>"

    for control in (control for column in columns for control in column):
        if hasattr(control.style, "description_width"):  # a button has none
            control.style.description_width = "7.5rem"
        control.layout.width = "18.5rem"
        control.observe(update, "value")
    update()
    wrapped = widgets.Layout(flex_flow="row wrap")
    return widgets.VBox([widgets.HBox([widgets.VBox(column) for column in columns], layout=wrapped), picture, wrong])
