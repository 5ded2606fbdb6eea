"""Learning to classify images that a moved camera sees; images moved by any distance, and their frames."""

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
    """Classification of images on canvases, all images of a batch shifted by the same distance.

    A "cc" network sees the whole canvas, and the shift is known to it. Any other network, which has no way to use the
    shift, sees the middle of the canvas, where the unshifted images are.

    Args:
        largest_move: of the shifts, which are uniform, in pixels on each axis.
        margin: pixels of background on every side: at least ``largest_move`` and what the first layer reads beyond the
            images.
    """

    largest_move: float = 0.5
    margin: int = 4

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Canvases, labels, and the shift of the images on them (vertical, horizontal), in pixels."""
        background = darkest(self)
        for images, labels in super().batches(batch_size, generator):
            shift = self.largest_move * (2 * torch.rand(2, generator=generator, dtype=torch.float64) - 1)
            yield moved(on_canvas(images, self.margin, background), shift), labels, shift

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        canvases, labels, shift = batch
        if self.model.layer == "cc":
            return F.cross_entropy(model(canvases, frame=frame_of(canvases, self.margin, shift.tolist())), labels)
        return F.cross_entropy(model(middle(canvases, self.margin)), labels)


def darkest(task: Classification) -> Tensor:
    """The least value of each channel in the training images: their background, where it is dark."""
    return task.split("train")[0].amin((0, 2, 3))


def on_canvas(images: Tensor, margin: int, background: Tensor) -> Tensor:
    """Images with ``margin`` pixels of ``background``, one value for each channel, on every side."""
    background = background.to(images)[:, None, None]
    return F.pad(images - background, (margin,) * 4) + background


def middle(canvases: Tensor, margin: int) -> Tensor:
    """The images that ``on_canvas`` put ``margin`` around, if they were not moved since."""
    return canvases[:, :, margin:-margin, margin:-margin]


def moved(canvases: Tensor, by: Sequence[float] | Tensor, cut_off: float = 0.5) -> Tensor:
    """Canvases moved ``by`` (vertical, horizontal) pixels, any numbers, without detail finer than ``cut_off``.

    The band-limited image is moved exactly, by the phases of its Fourier transform, and no interpolation is involved.
    It is periodic: what leaves on one side enters on the other.

    Args:
        canvases: (batch, channels, height, width).
        cut_off: in cycles per pixel, at most 0.5; this frequency and all above it, on either axis, are removed.

    Raises:
        ValueError: ``cut_off`` is not in (0, 0.5].
    """
    if not 0 < cut_off <= 0.5:
        raise ValueError(f"cut_off must be in (0, 0.5] cycles per pixel, got {cut_off}")
    spectrum = torch.fft.fft2(canvases)
    for dim, distance in ((2, float(by[0])), (3, float(by[1]))):
        frequency = torch.fft.fftfreq(canvases.shape[dim], dtype=torch.float64, device=canvases.device)
        response = torch.exp(-2j * torch.pi * frequency * distance) * (frequency.abs() < cut_off)
        spectrum = spectrum * (response[:, None] if dim == 2 else response).to(spectrum.dtype)
    return torch.fft.ifft2(spectrum).real


def frame_of(canvases: Tensor, margin: int, by: Sequence[float] = (0, 0)) -> Frame:
    """The frame of canvases in which the images on them, moved ``by`` pixels, are where a network expects its input."""
    return Frame.of(tuple(canvases.shape[2:])).moved((-margin - by[0], -margin - by[1]))
