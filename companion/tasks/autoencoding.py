"""Learning to rebuild images from a short code, at one size or at many; the spectrum of what is rebuilt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cclib.models.autoencoder import Autoencoder, AutoencoderConfig
from companion import data
from companion.tasks.measures import psnr
from companion.tasks.task import INFERENCE_BATCH, Batch, device_of


@dataclass(frozen=True)
class Autoencoding:
    """Rebuild the images of a data set, at the decoder's own size or at many.

    The encoder always sees the image at its own size; the target is the image resized to the size asked for.

    Args:
        model: the autoencoder.
        data: name of the data set, as in ``companion.data.load``; ``folder`` goes with it.
        train_size, test_size: how many images to use, the first ones, of the training split and of each of the others;
            0 means all. Splits are in mixed order.
        sides: range of the sides asked for in training, drawn independently for each batch and axis; None: training
            asks for the decoder's own size only.
        never: sides that training does not draw.
        nominal: share of the batches at the decoder's own size, where ``sides`` is given.
    """

    model: AutoencoderConfig
    data: str = data.SUBSET
    folder: str | None = None
    train_size: int = 0
    test_size: int = 0
    sides: tuple[int, int] | None = None
    never: tuple[int, ...] = ()
    nominal: float = 0.25

    def data_fingerprint(self) -> str:
        return load_images(self.data, self.folder)[0]

    def split(self, name: str) -> Tensor:
        """The images of "train", "validation" or "test", in [0, 1]."""
        images = load_images(self.data, self.folder)[1][name]
        return images[: (self.train_size if name == "train" else self.test_size) or len(images)]

    def build(self) -> nn.Module:
        return Autoencoder(self.model)

    def batches_per_epoch(self, batch_size: int) -> int:
        return -(-len(self.split("train")) // batch_size)

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Images, and the size (height, width) at which to rebuild them."""
        images = self.split("train")
        for index in torch.randperm(len(images), generator=generator).split(batch_size):
            yield images[index], torch.tensor(self.draw_size(generator))

    def draw_size(self, generator: torch.Generator) -> tuple[int, int]:
        own = self.model.sizes[-1]
        if self.sides is None or float(torch.rand((), generator=generator)) < self.nominal:
            return own, own
        low, high = self.sides
        allowed = [side for side in range(low, high + 1) if side not in self.never]
        height, width = torch.randint(len(allowed), (2,), generator=generator).tolist()
        return allowed[height], allowed[width]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        images, (height, width) = batch[0], batch[1].tolist()
        return F.mse_loss(model(images, (height, width)), resampled(images, (height, width)))

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self.quality(model, "validation")

    def test(self, model: nn.Module) -> dict[str, float]:
        return self.quality(model, "test")

    def quality(self, model: nn.Module, split: str) -> dict[str, float]:
        """PSNR at the decoder's own size, in dB."""
        images = self.split(split)
        own = (self.model.sizes[-1], self.model.sizes[-1])
        return {"psnr": psnr(pictures(model, images, [own])[own], resampled(images, own))}


def pictures(
    model: nn.Module, images: Tensor, sizes: Iterable[tuple[int, int]], spread: bool = False
) -> dict[tuple[int, int], Tensor]:
    """What an autoencoder makes of any number of images: size -> (n, channels, *size), clamped to [0, 1], on the CPU.

    What the sizes have in common, such as the code, is computed once. ``spread`` is that of ``Autoencoder``.
    """
    assert isinstance(model, Autoencoder)
    device = device_of(model)
    made: dict[tuple[int, int], list[Tensor]] = {size: [] for size in sizes}
    for part in images.split(INFERENCE_BATCH):
        for size, answer in model.decode_all(model.encoder(part.to(device)), made, spread).items():
            made[size].append(answer.float().cpu())
    return {size: torch.cat(answers).clamp(0, 1) for size, answers in made.items()}


def resampled(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images at another size by the bicubic kernel, anti-aliased where they shrink, in [0, 1]."""
    if tuple(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)


def line_power(images: Tensor) -> Tensor:
    """Spectral power of square images by the frequency along one axis, averaged over the frequencies along the other.

    Each image is tapered by a Hann window, so that its borders do not show. A pattern that repeats every p pixels is
    a line at frequency side / p.

    Args:
        images: (n, channels, side, side).

    Returns:
        (side,): the power at 0, 1, ... cycles per side, mirrored beyond side / 2; the mean over images, channels and
        both axes.
    """
    side = images.shape[-1]
    window = torch.hann_window(side, periodic=False, dtype=images.dtype)
    power = torch.fft.fft2(images * window[:, None] * window).abs().square().mean((0, 1))
    return (power.mean(0) + power.mean(1)) / 2


def strongest_line(power: Tensor) -> float:
    """How far, in dB, the line that stands out most is above its neighbours in the spectrum.

    1. Take the power of ``line_power`` in dB.
    2. Subtract from each line the mean of those two to its left and two to its right: the taper widens a line by one.
    3. Take the largest difference, from 3 cycles per side on. A smooth spectrum gives about zero.

    Every frequency counts, since a layer that enlarges by another factor than two leaves its trace elsewhere than one
    that doubles.
    """
    side = len(power)
    decibels = 10 * power.log10()
    lines = torch.arange(3, side // 2 + 1)
    return float((decibels[lines] - (decibels[lines - 2] + decibels[(lines + 2) % side]) / 2).max())


@lru_cache(maxsize=1)
def load_images(name: str, folder: str | None) -> tuple[str, dict[str, Tensor]]:
    """Fingerprint and splits of a data set, the images in [0, 1]."""
    dataset = data.load(name, folder=folder)
    return dataset.fingerprint, {key: split.images.to(torch.float32) / 255 for key, split in dataset.splits.items()}
