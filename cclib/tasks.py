"""What a run can be asked to learn: data, model, loss and measures of each task, as plain values.

How a task is trained is ``cclib.training``'s; a task is the same for every seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cclib import data
from cclib.models import Classifier, ClassifierConfig, Downscaler, DownscalerConfig

Batch = tuple[Tensor, ...]


class Task(Protocol):
    """A frozen dataclass of plain values with these methods; its values are the identity of a cached run."""

    def data_fingerprint(self) -> str:
        """A hash of the data that the task reads."""

    def build(self) -> nn.Module:
        """An untrained model, drawn from torch's global generator."""

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """The batches of one epoch, drawn from ``generator``."""

    def batches_per_epoch(self, batch_size: int) -> int: ...

    def loss(self, model: nn.Module, batch: Batch) -> Tensor: ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measures on the validation split, taken after every epoch."""

    def test(self, model: nn.Module) -> dict[str, float]:
        """Measures on the test split, taken once, after the last epoch."""


@dataclass(frozen=True)
class Classification:
    """Classify the images of a data set.

    Args:
        model: the classifier.
        data: name of the data set, as in ``cclib.data.load``; ``folder`` goes with it.
        train_size, test_size: how many images of each split to use, from the front; 0 means all. Splits are mixed.
    """

    model: ClassifierConfig
    data: str = data.SUBSET
    folder: str | None = None
    train_size: int = 0
    test_size: int = 0

    def data_fingerprint(self) -> str:
        return load_normalised(self.data, self.folder)[0]

    def split(self, name: str) -> Batch:
        """Normalised images and labels of "train", "validation" or "test"."""
        images, labels = load_normalised(self.data, self.folder)[1][name]
        size = (self.train_size if name == "train" else self.test_size) or len(images)
        return images[:size], labels[:size]

    def build(self) -> nn.Module:
        return Classifier(self.model)

    def batches_per_epoch(self, batch_size: int) -> int:
        return -(-len(self.split("train")[0]) // batch_size)

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        images, labels = self.split("train")
        for index in torch.randperm(len(images), generator=generator).split(batch_size):
            yield images[index], labels[index]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        images, labels = batch
        return F.cross_entropy(model(images), labels)

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self.accuracy(model, "validation")

    def test(self, model: nn.Module) -> dict[str, float]:
        return self.accuracy(model, "test")

    def accuracy(self, model: nn.Module, split: str) -> dict[str, float]:
        """Accuracy in per cent and mean cross-entropy."""
        images, labels = self.split(split)
        logits = torch.cat([model(part) for part in images.split(500)])
        right = (logits.argmax(1) == labels).sum().item()
        return {"accuracy": 100 * right / len(labels), "loss": F.cross_entropy(logits, labels).item()}


PHOTOGRAPHS = {
    "train": ("astronaut", "brick", "coins", "gravel"),
    "validation": ("chelsea",),
    "test": ("camera", "coffee", "grass"),
}


@dataclass(frozen=True)
class Downscaling:
    """Imitate anti-aliased bicubic down-scaling, from crops of photographs and white noise with the right answers.

    Args:
        model: the down-scaler.
        factors: range of the factors (input size over output size) seen in training, drawn for each axis alone.
        unseen: factors of the test, (vertical, horizontal).
        gap: training keeps this far from every factor in ``unseen``, where its range is not a point.
        epoch_batches, crop: batches per epoch; side of the square crops, pixels.
    """

    model: DownscalerConfig
    factors: tuple[float, float]
    unseen: tuple[tuple[float, float], ...]
    gap: float = 0.02
    epoch_batches: int = 100
    crop: int = 36

    def data_fingerprint(self) -> str:
        return repr(data.PHOTOGRAPHS_SHA256)

    def build(self) -> nn.Module:
        return Downscaler(self.model)

    def batches_per_epoch(self, batch_size: int) -> int:
        return self.epoch_batches

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Half of a batch are crops of photographs, half is noise; all have the same factors."""
        pictures = [load_grey(name) for name in PHOTOGRAPHS["train"]]
        for _ in range(self.epoch_batches):
            images = torch.rand(batch_size, 1, self.crop, self.crop, generator=generator)
            for image in images[: batch_size // 2]:
                picture = pictures[int(torch.randint(len(pictures), (), generator=generator))]
                top, left = (int(torch.randint(n - self.crop, (), generator=generator)) for n in picture.shape[1:])
                image[:] = picture[:, top : top + self.crop, left : left + self.crop]
            factor = [self.draw_factor(generator), self.draw_factor(generator)]
            yield images, torch.tensor(factor, dtype=torch.float64)

    def draw_factor(self, generator: torch.Generator) -> float:
        low, high = self.factors
        forbidden = {side for pair in self.unseen for side in pair} if low < high else set()
        while True:
            factor = low + (high - low) * float(torch.rand((), generator=generator))
            if all(abs(factor - other) >= self.gap for other in forbidden):
                return factor

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        images, factor = batch
        return squared_error(model, images, (float(factor[0]), float(factor[1])))

    def validate(self, model: nn.Module) -> dict[str, float]:
        middle = sum(self.factors) / 2
        return {"psnr": psnr(model, PHOTOGRAPHS["validation"], (middle, middle))}

    def test(self, model: nn.Module) -> dict[str, float]:
        """PSNR in dB at each unseen factor, on photographs that training never saw."""
        return {f"{a:g} x {b:g}": psnr(model, PHOTOGRAPHS["test"], (a, b)) for a, b in self.unseen}


def psnr(model: nn.Module, photographs: Iterable[str], factor: tuple[float, float]) -> float:
    """Mean over photographs of the peak signal-to-noise ratio to the bicubic answer, in dB; the peak is 1."""
    errors = [squared_error(model, load_grey(name)[None, :, 100:228, 100:228], factor) for name in photographs]
    return float(-10 * torch.stack(errors).log10().mean())


def squared_error(model: nn.Module, images: Tensor, factor: tuple[float, float], border: int = 3) -> Tensor:
    """Mean squared error to the bicubic answer, ``border`` output pixels away from the border."""
    scales = tuple(1 / side for side in factor)
    answer = F.interpolate(images, scale_factor=scales, mode="bicubic", antialias=True, recompute_scale_factor=False)
    inside = (..., slice(border, -border), slice(border, -border))
    return F.mse_loss(model(images, factor)[inside], answer[inside])


def load_grey(name: str) -> Tensor:
    """A photograph as one channel, the mean of its colours: (1, height, width)."""
    return load_photographs()[name].mean(0, keepdim=True)


@lru_cache(maxsize=1)
def load_photographs() -> dict[str, Tensor]:
    return data.photographs()


@lru_cache(maxsize=1)
def load_normalised(name: str, folder: str | None) -> tuple[str, dict[str, Batch]]:
    """Fingerprint and splits of a data set, normalised by the mean and deviation of its training images."""
    dataset = data.load(name, folder=folder)
    statistics = data.channel_statistics(dataset.train)
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    tensors: dict[str, Batch] = {
        key: (data.normalised(split.images, *statistics), split.labels) for key, split in splits.items()
    }
    return dataset.fingerprint, tensors
