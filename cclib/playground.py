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
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from cclib import data, figures, filters, outputs, runs
from cclib.functional import cc_conv2d
from cclib.functional.sampling import grid_of, resize_axes
from cclib.geometry import Taps
from cclib.models.classifier import Classifier, ClassifierConfig
from cclib.models.cost import multiply_adds
from cclib.tasks.classification import FlexibleClassification, logits
from cclib.training import Training

SHIPPED = outputs.project_root() / "data" / "playground.safetensors"
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
SHOWN = 200  # test images on which the accuracy is taken
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
        self.axes = self.figure.subplots(1, 3)
        self.figure.subplots_adjust(0.02, 0.03, 0.98, 0.9, wspace=0.06)

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
        output = tuple(round(place * (taps.axis.n_out - 1)) for place, taps in zip(at, grid, strict=True))
        for axes in self.axes:
            axes.clear()
            axes.set(xticks=[], yticks=[])
        self.input(image, grid, output)
        self.filter(filter, grid, output)
        self.axes[2].imshow(y.numpy(), cmap="gray")
        self.axes[2].plot(output[1], output[0], "s", mec=figures.COLORS["conv"], mfc="none", ms=8)
        self.axes[2].set_title(f"output, {y.shape[0]} x {y.shape[1]}", fontsize=10)
        return self.png()

    def input(self, image: Tensor, grid: tuple[Taps, Taps], output: tuple[int, ...]) -> None:
        axes = self.axes[0]
        axes.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1, alpha=0.6)
        rows, columns = ([float(t.axis.position(o)) for o in range(t.axis.n_out)] for t in grid)
        axes.plot(np.tile(columns, len(rows)), np.repeat(rows, len(columns)), ".", color=figures.COLORS["conv"], ms=2)
        taken = [taps_of_output(taps, o)[0] for taps, o in zip(grid, output, strict=True)]
        (top, height), (left, width) = ((taps.start, len(taps)) for taps in taken)
        window = Rectangle((left - 0.5, top - 0.5), width, height, fill=False, ec=figures.COLORS["cc"], lw=2)
        axes.add_patch(window)
        axes.plot(columns[output[1]], rows[output[0]], "+", color=figures.COLORS["cc"], ms=10, mew=2)
        axes.set(xlim=(-1.5, image.shape[1] + 0.5), ylim=(image.shape[0] + 0.5, -1.5))
        axes.set_title(f"input, {image.shape[0]} x {image.shape[1]}; dots: outputs; frame: taps of one", fontsize=10)

    def filter(self, filter: filters.Filter, grid: tuple[Taps, Taps], output: tuple[int, ...]) -> None:
        axes = self.axes[1]
        reach = [float(side) / 2 for side in filter.support]
        lines = (torch.linspace(-side, side, 49) for side in reach)
        with torch.no_grad():
            surface = filter(torch.stack(torch.meshgrid(*lines, indexing="ij"), -1))[..., 0, 0]
        bound = float(surface.abs().max()) or 1.0
        extent = (-reach[1], reach[1], reach[0], -reach[0])
        axes.imshow(surface.numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound, extent=extent, interpolation="bilinear")
        vertical, horizontal = (taps_of_output(taps, o)[1] for taps, o in zip(grid, output, strict=True))
        points = np.tile(horizontal, len(vertical)), np.repeat(vertical, len(horizontal))
        axes.plot(*points, "o", mec="black", mfc="white", ms=6)
        axes.set_title("filter; circles: where it is read", fontsize=10)


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
        self.axes = self.figure.subplots(1, maps + 1)
        self.figure.subplots_adjust(0.02, 0.03, 0.98, 0.86, wspace=0.1)

    def draw(self, image: Tensor, maps: list[Tensor]) -> bytes:
        largest = max(image.shape[-1], *(y.shape[-1] for y in maps))
        for place, (axes, y) in enumerate(zip(self.axes, [image, *maps], strict=True)):
            axes.clear()
            axes.imshow(y.mean(0).numpy(), cmap="gray" if place == 0 else "viridis")
            middle, reach = (y.shape[-1] - 1) / 2, largest / 2
            axes.set(xlim=(middle - reach, middle + reach), ylim=(middle + reach, middle - reach), xticks=[], yticks=[])
            axes.set_title(f"{'input' if place == 0 else f'map {place}'}, {y.shape[-1]} x {y.shape[-1]}", fontsize=10)
            axes.set_frame_on(False)
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
        self.images = data.normalised(images, *data.channel_statistics(dataset.train))
        self.labels = dataset.test.labels[:SHOWN]

    def run(self, sizes: tuple[int, ...]) -> dict[str, Any]:
        """Accuracy (per cent), multiply-adds per image in a batch of 100, milliseconds, and the first image's maps."""
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
            "multiply-adds": multiply_adds(self.model, torch.zeros_like(self.images[:100]), sizes=sizes),
            "milliseconds": 1000 * seconds,
            "maps": maps,
        }


def ship() -> None:
    """Train the network that the playground starts from, or take it from the run cache, and write it to ``SHIPPED``."""
    (result,) = runs.run_all([runs.Run(SHIPPED_TASK, SHIPPED_TRAINING, seed=0, label="the playground's network")])
    config = json.dumps(asdict(SHIPPED_TASK.model), sort_keys=True)
    weights = {name: value.contiguous() for name, value in result.model().state_dict().items()}
    outputs.atomic_write(SHIPPED, safetensors.torch.save(weights, metadata={"config": config}))


@lru_cache(maxsize=1)
def grey(content: bytes) -> Tensor:
    """A picture file as (height, width) in [0, 1], at most ``LARGEST_SIDE`` a side. Raises OSError if it is none."""
    with Image.open(io.BytesIO(content)) as picture:
        small = picture.convert("L")
    small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return torch.from_numpy(np.array(small)).float() / 255


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
    made: dict[tuple[Any, ...], filters.Filter] = {}

    def chosen_filter() -> filters.Filter:
        key = kind.value, kernel.value, window.value
        if key not in made:
            torch.manual_seed(0)
            made[key] = filters.make(kind.value, 1, 1, kernel.value, groups=1, window=window.value)
        return made[key]

    def show() -> bytes:
        kernel.disabled = window.disabled = kind.value in filters.KERNELS  # which have a support of their own
        return picture.draw(
            grey(bytes(upload.value[0]["content"])) if upload.value else first,
            chosen_filter(),
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
            f"accuracy on {SHOWN} test images: <b>{found['accuracy']:.1f} %</b> "
            f"(at the nominal sizes: {usual['accuracy']:.1f} %); "
            f"multiply-adds per image: <b>{found['multiply-adds'] / 1e6:.2f} million</b> "
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
