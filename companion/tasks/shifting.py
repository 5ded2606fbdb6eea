"""Learning to classify what a moved camera sees; pictures moved by any distance, and the frames they then lie on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cclib.frames import Frame
from companion.tasks.classification import Classification
from companion.tasks.task import Batch


@dataclass(frozen=True)
class MovedClassification(Classification):
    """The same on canvases, with every batch moved by a distance of its own.

    A "cc" network is told how far, and sees the canvas. To any other, which cannot be told, the middle of the canvas is
    shown, where the images lie while they are not moved.

    Args:
        largest_move: of the images, in pixels on either axis; uniformly drawn.
        margin: pixels of background on every side, at least ``largest_move`` plus what the first layer reads beyond the
            images.
    """

    largest_move: float = 0.5
    margin: int = 4

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Canvases, labels, and how far the images are moved on them (vertical, horizontal)."""
        background = darkest(self)
        for images, labels in super().batches(batch_size, generator):
            by = self.largest_move * (2 * torch.rand(2, generator=generator, dtype=torch.float64) - 1)
            yield moved(on_canvas(images, self.margin, background), by), labels, by

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        canvases, labels, by = batch
        if self.model.layer == "cc":
            return F.cross_entropy(model(canvases, frame=frame_of(canvases, self.margin, by.tolist())), labels)
        return F.cross_entropy(model(middle(canvases, self.margin)), labels)


def darkest(task: Classification) -> Tensor:
    """The least value of each channel in the training images: the background of dark pictures."""
    return task.split("train")[0].amin((0, 2, 3))


def on_canvas(images: Tensor, margin: int, background: Tensor) -> Tensor:
    """Images with ``margin`` pixels of ``background``, one value for each channel, on every side."""
    background = background.to(images)[:, None, None]
    return F.pad(images - background, (margin,) * 4) + background


def middle(canvases: Tensor, margin: int) -> Tensor:
    """What ``on_canvas`` put its ``margin`` around, if nothing has moved since."""
    return canvases[:, :, margin:-margin, margin:-margin]


def moved(canvases: Tensor, by: Sequence[float] | Tensor, cut_off: float = 0.5) -> Tensor:
    """Canvases moved ``by`` (vertical, horizontal) pixels, without fine detail: what leaves one side enters the other.

    The samples are those of the one periodic image that has no frequencies but those kept, so no interpolation is
    involved: the distance may be any number.

    Args:
        canvases: (batch, channels, height, width).
        cut_off: in cycles per pixel, at most 0.5; frequencies as high or higher, on either axis, are removed.

    Raises:
        ValueError: ``cut_off`` is not in (0, 0.5].
    """
    if not 0 < cut_off <= 0.5:
        raise ValueError(f"cut_off must be in (0, 0.5] cycles per pixel, got {cut_off}")
    spectrum = torch.fft.fft2(canvases)
    for dim, far in ((2, float(by[0])), (3, float(by[1]))):
        frequency = torch.fft.fftfreq(canvases.shape[dim], dtype=torch.float64, device=canvases.device)
        factor = torch.exp(-2j * torch.pi * frequency * far) * (frequency.abs() < cut_off)
        spectrum = spectrum * (factor[:, None] if dim == 2 else factor).to(spectrum.dtype)
    return torch.fft.ifft2(spectrum).real


def frame_of(canvases: Tensor, margin: int, by: Sequence[float] = (0, 0)) -> Frame:
    """Where the pixels of canvases lie if the images on them, moved ``by``, are to lie where a network expects them."""
    return Frame.of(tuple(canvases.shape[2:])).moved((-margin - by[0], -margin - by[1]))
