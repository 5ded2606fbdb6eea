"""The panel of one trained network: its feature maps at any sizes, and what they do to accuracy and cost."""

from __future__ import annotations

import time
from dataclasses import dataclass

import ipywidgets as widgets
import torch
from torch import Tensor

from cclib.functional import explain
from cclib.layers import CCConv2d
from companion.playground import shipped
from companion.playground.live import Picture, live, update_image
from companion.tasks.classification import logits

SHOWN = 100  # test images on which the accuracy is measured at every move


class NetworkPicture(Picture):
    """The feature maps of one image, the mean over channels, all at the same scale."""

    def __init__(self, maps: int) -> None:
        super().__init__(11, 2.9)
        self.figure.subplots_adjust(0.02, 0.03, 0.98, 0.86, wspace=0.1)
        self.images = []
        for number, axes in enumerate(self.figure.subplots(1, maps + 1)):
            axes.set(xticks=[], yticks=[], frame_on=False)
            self.images.append(axes.imshow([[0]], cmap="gray" if number == 0 else "viridis"))

    def draw(self, image: Tensor, maps: list[Tensor]) -> bytes:
        """The picture of an image and its maps, each (channels, side, side), as a PNG file."""
        largest = max(image.shape[-1], *(y.shape[-1] for y in maps))
        for number, (shown, channels) in enumerate(zip(self.images, [image, *maps], strict=True)):
            y = channels.mean(0)
            update_image(shown, y, (float(y.min()), float(y.max())))
            middle, reach = (y.shape[-1] - 1) / 2, largest / 2
            name = "input" if number == 0 else f"map {number}"
            shown.axes.set(xlim=(middle - reach, middle + reach), ylim=(middle + reach, middle - reach))
            shown.axes.set_title(f"{name}, {y.shape[-1]} x {y.shape[-1]}", fontsize=10)
        return self.png()


@dataclass(frozen=True)
class Measured:
    """What a network does at some sizes of its feature maps.

    ``accuracy``, in per cent, and ``milliseconds`` are those of all ``SHOWN`` images, ``multiply_adds`` are per image,
    and ``maps`` those of the first image.
    """

    accuracy: float
    multiply_adds: float
    milliseconds: float
    maps: list[Tensor]


class Network:
    """The shipped classifier, and the test images on which it is tried.

    Raises:
        FileNotFoundError: the file with the weights is missing.
    """

    def __init__(self) -> None:
        self.model, self.test_accuracy = shipped.load()
        images, labels = shipped.TASK.split("test")
        self.test_count = len(images)
        self.images, self.labels = images[:SHOWN], labels[:SHOWN]

    def measure(self, sizes: tuple[int, ...]) -> Measured:
        maps: list[Tensor] = []
        hooks = [
            norm.register_forward_hook(lambda module, inputs, y: maps.append(torch.relu(y[0])))
            for norm in self.model.norms
        ]
        started = time.perf_counter()
        with torch.no_grad():
            correct = logits(self.model, self.images, sizes).argmax(1) == self.labels
        seconds = time.perf_counter() - started
        for hook in hooks:
            hook.remove()
        return Measured(100 * correct.double().mean().item(), self.multiply_adds(sizes), 1000 * seconds, maps)

    def multiply_adds(self, sizes: tuple[int, ...]) -> float:
        """About those per image in a batch of all, from the estimates of ``explain``: counting them takes too long."""
        total = len(self.images) * self.model.head.weight.numel()
        side = self.images.shape[-1]
        layers = [layer for layer in self.model.layers if isinstance(layer, CCConv2d)]
        for layer, size in zip(layers, sizes, strict=True):
            shape = len(self.images), layer.in_channels, side, side
            candidates = explain(shape, layer.filter, size=(size, size)).candidates
            total += next(c.multiply_adds for c in candidates if c.implementation == "phases")
            side = size
        return total / len(self.images)


def network_panel(network: Network | None = None) -> widgets.Widget:
    """A slider for the size of every feature map of the shipped network; its accuracy and cost."""
    network = network or Network()
    nominal_sizes = network.model.config.sizes[1:]
    picture = NetworkPicture(len(nominal_sizes))
    sliders = [
        widgets.IntSlider(size, 2, 32, description=f"map {number}") for number, size in enumerate(nominal_sizes, 1)
    ]
    summary = widgets.HTML()
    nominal = network.measure(nominal_sizes)

    def draw() -> bytes:
        measured = network.measure(tuple(slider.value for slider in sliders))
        summary.value = (
            f"accuracy on the first test images (n = {SHOWN}): <b>{measured.accuracy:.0f} %</b>; at the nominal sizes "
            f"{nominal.accuracy:.0f} % on these, and <b>{network.test_accuracy:.1f} %</b> on all test images "
            f"(n = {network.test_count}). Multiply-adds per image: "
            f"<b>{measured.multiply_adds / 1e6:.2f} million</b>, about "
            f"{measured.multiply_adds / nominal.multiply_adds:.2f} times those at the nominal sizes; "
            f"{measured.milliseconds:.0f} ms for the {SHOWN} images"
        )
        return picture.draw(network.images[0], measured.maps)

    return widgets.VBox([live(draw, [sliders]), summary])
