"""Learning to classify the images of a data set, at one size or at many."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cclib.models.classifier import Classifier, ClassifierConfig
from cclib.models.resampling import resized
from companion import data
from companion.tasks.normalisation import channel_statistics, normalised
from companion.tasks.task import INFERENCE_BATCH, Batch, device_of


@dataclass(frozen=True)
class Classification:
    """Classify the images of a data set.

    Args:
        model: the classifier.
        data: name of the data set, as in ``companion.data.load``; ``folder`` goes with it.
        train_size, test_size: how many images to use, the first ones, of the training split and of each of the others;
            0 means all. Splits are in mixed order.
        augment: training images are mirrored, one in two, and moved by up to an eighth of their side.
    """

    model: ClassifierConfig
    data: str = data.SUBSET
    folder: str | None = None
    train_size: int = 0
    test_size: int = 0
    augment: bool = False

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
            chosen = images[index]
            yield augmented(chosen, generator) if self.augment else chosen, labels[index]

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
        scores = logits(model, images)
        correct = (scores.argmax(1) == labels).sum().item()
        return {"accuracy": 100 * correct / len(labels), "loss": F.cross_entropy(scores, labels).item()}


@dataclass(frozen=True)
class FlexibleClassification(Classification):
    """Classification trained at many sizes: each batch has its own input size and its own sizes of feature maps.

    Args:
        input_sides: range of the side that the images are resized to.
        growth: range of the factor by which all feature maps grow together; only a "cc" or a "resize" network can
            follow.
        jitter: the feature maps of each nominal size grow by a further factor, at most 1 + ``jitter`` and at least its
            inverse.
        nominal_inputs, nominal_maps: share of the batches in which the input keeps its nominal size, and of those in
            which the feature maps do.

    Validation and test are at the network's nominal sizes, or at the input size of ``input_sides`` nearest to it.
    """

    input_sides: tuple[int, int] = (28, 28)
    growth: tuple[float, float] = (1.0, 1.0)
    jitter: float = 0.0
    nominal_inputs: float = 0.25
    nominal_maps: float = 0.25

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Images at their own size, labels, and the sides to use: of the input and of each feature map."""
        for images, labels in super().batches(batch_size, generator):
            yield images, labels, torch.tensor(self.draw_sizes(generator))

    def draw_sizes(self, generator: torch.Generator) -> list[int]:
        """The sides of the input and of each feature map."""
        side, *sizes = self.model.sizes

        def uniform() -> float:
            return float(torch.rand((), generator=generator, dtype=torch.float64))

        def log_uniform(low: float, high: float) -> float:
            return low * (high / low) ** uniform()

        if uniform() >= self.nominal_inputs:
            side = round(log_uniform(*self.input_sides))
        if uniform() >= self.nominal_maps:
            common = log_uniform(*self.growth)
            grown = {  # layers whose nominal sizes are equal keep equal sizes
                size: max(1, round(size * common * log_uniform(1 / (1 + self.jitter), 1 + self.jitter)))
                for size in dict.fromkeys(sizes)
            }
            sizes = [grown[size] for size in sizes]
        return [side, *sizes]

    def split(self, name: str) -> Batch:
        images, labels = super().split(name)
        low, high = self.input_sides
        side = min(max(self.model.sizes[0], low), high)
        return (images if name == "train" else resized(images, (side, side))), labels

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        images, labels, (side, *sizes) = batch[0], batch[1], batch[2].tolist()
        images = resized(images, (side, side))
        scores = model(images, sizes) if self.model.layer in ("cc", "resize") else model(images)
        return F.cross_entropy(scores, labels)


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored or not, and moved by up to an eighth of its side; zero, the mean, fills what is uncovered."""
    count, _, height, width = images.shape
    pad = height // 8
    mirrored = torch.rand(count, generator=generator) < 0.5
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    padded = F.pad(images, (pad, pad, pad, pad))
    top, left = torch.randint(2 * pad + 1, (2, count, 1), generator=generator)
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].movedim(3, 1)


def logits(model: nn.Module, images: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
    """The scores of any number of images, (n, classes), on the CPU; ``sizes`` are those of the classifier's call."""
    device = device_of(model)
    options = {} if sizes is None else {"sizes": sizes}
    return torch.cat([model(part.to(device), **options).cpu() for part in images.split(INFERENCE_BATCH)])


def with_statistics_of(model: nn.Module, images: Tensor, sizes: Sequence[int] | None = None) -> nn.Module:
    """A copy of a model whose batch norms hold the mean and variance of their inputs on ``images``.

    Both are averages over batches of ``INFERENCE_BATCH`` images, the last one perhaps smaller.
    """
    copied = copy.deepcopy(model)
    norms = [module for module in copied.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over batches
        norm.train()
    with torch.no_grad():
        logits(copied, images, sizes)
    return copied.eval()


@lru_cache(maxsize=1)
def load_normalised(name: str, folder: str | None) -> tuple[str, dict[str, Batch]]:
    """Fingerprint and splits of a data set, normalised by the mean and deviation of its training images."""
    dataset = data.load(name, folder=folder)
    statistics = channel_statistics(dataset.train)
    splits = dataset.splits.items()
    return dataset.fingerprint, {key: (normalised(split.images, *statistics), split.labels) for key, split in splits}
