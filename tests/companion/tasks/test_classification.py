"""Classification: batches and sizes are drawn as said, and the measures measure what they claim."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cclib.models.classifier import ClassifierConfig
from companion.tasks.classification import (
    Classification,
    FlexibleClassification,
    augmented,
    logits,
    with_statistics_of,
)
from companion.tasks.task import INFERENCE_BATCH

CLASSIFY = Classification(ClassifierConfig("cc"), train_size=250, test_size=100)
FLEXIBLE = FlexibleClassification(
    ClassifierConfig("cc"), train_size=100, test_size=100, input_sides=(14, 40), growth=(0.6, 1.4), jitter=0.2
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_an_epoch_holds_every_image_once() -> None:
    images, _ = CLASSIFY.split("train")
    batches = list(CLASSIFY.batches(100, generator()))
    assert [len(labels) for _, labels in batches] == [100, 100, 50]
    assert CLASSIFY.batches_per_epoch(100) == 3
    seen = torch.cat([x for x, _ in batches]).flatten(1).sum(1).sort().values
    torch.testing.assert_close(seen, images.flatten(1).sum(1).sort().values)


def test_training_images_are_normalised_by_their_own_statistics() -> None:
    images, _ = Classification(ClassifierConfig("cc")).split("train")
    assert images.mean().abs() < 1e-4
    assert (images.std() - 1).abs() < 1e-4


class Oracle(nn.Module):
    """Knows the label of some images, and answers class 0 for the others."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        super().__init__()
        self.known = {image.sum().item(): label for image, label in zip(images, labels, strict=True)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        labels = torch.tensor([int(self.known.get(image.sum().item(), 0)) for image in x])
        return 50.0 * nn.functional.one_hot(labels, 10)


def test_accuracy_is_in_per_cent_of_the_test_images() -> None:
    images, labels = CLASSIFY.split("test")
    assert CLASSIFY.test(Oracle(images, labels))["accuracy"] == 100.0
    half = CLASSIFY.test(Oracle(images[:50], labels[:50]))["accuracy"]
    assert half == 50.0 + (labels[50:] == 0).sum().item()


def test_the_same_generator_draws_the_same_batches() -> None:
    first, again, other = (list(CLASSIFY.batches(8, generator(seed))) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for x, y in zip(first, again, strict=True) for a, b in zip(x, y, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


def test_sizes_are_drawn_from_their_ranges_and_often_enough_nominal() -> None:
    source = generator()
    drawn = [FLEXIBLE.draw_sizes(source) for _ in range(2000)]
    sides, maps = [sizes[0] for sizes in drawn], [tuple(sizes[1:]) for sizes in drawn]
    assert (min(sides), max(sides)) == (14, 40)
    assert all(first == second and third == fourth for first, second, third, fourth in maps)  # kept sizes stay kept
    assert (min(m[0] for m in maps), max(m[0] for m in maps)) == (7, 23)  # 14 · 0.6 / 1.2 and 14 · 1.4 · 1.2, rounded
    assert 0.25 < sides.count(28) / 2000 < 0.33  # the nominal quarter, and some by chance
    assert 0.25 < maps.count((14, 14, 7, 7)) / 2000 < 0.33


@pytest.mark.parametrize(("layer", "follows"), [("cc", True), ("resize", True), ("conv", False), ("blurpool", False)])
def test_every_batch_brings_its_sizes_and_the_loss_uses_them(layer: str, follows: bool) -> None:
    task = replace(FLEXIBLE, model=ClassifierConfig(layer))
    images, labels, sizes = next(task.batches(20, generator()))
    assert images.shape == (20, 1, 28, 28)
    seen = []

    class Spy(nn.Module):
        def forward(self, x: torch.Tensor, sizes: list[int] | None = None) -> torch.Tensor:
            seen.append((x.shape[2:], sizes))
            return torch.zeros(len(x), 10)

    assert task.loss(Spy(), (images, labels, sizes)).item() == pytest.approx(math.log(10))
    assert seen == [((sizes[0], sizes[0]), sizes[1:].tolist() if follows else None)]
    assert task.loss(task.build(), (images, labels, sizes)).isfinite()


def test_a_task_at_one_input_size_is_judged_at_it() -> None:
    task = FlexibleClassification(ClassifierConfig("conv"), test_size=10, input_sides=(20, 20), nominal_inputs=0.0)
    assert task.split("test")[0].shape == (10, 1, 20, 20)
    assert task.draw_sizes(generator()) == [20, 14, 14, 7, 7]
    assert FLEXIBLE.split("test")[0].shape[2:] == (28, 28)


def test_augmented_images_are_moved_or_mirrored_copies() -> None:
    images = torch.rand(50, 2, 16, 16, generator=generator())
    moved = augmented(images, generator())
    assert moved.shape == images.shape
    for image, other in zip(images, moved, strict=True):
        padded = nn.functional.pad(torch.stack([image, image.flip(2)]), (2, 2, 2, 2))
        windows = padded.unfold(2, 16, 1).unfold(3, 16, 1)  # (mirrored, channels, top, left, 16, 16)
        matches = (windows == other[None, :, None, None]).all((1, 4, 5))
        assert matches.sum() == 1
    assert not torch.equal(moved, augmented(images, generator(1)))


def test_statistics_of_batch_norm_are_those_of_the_images() -> None:
    norm = nn.BatchNorm2d(2)
    model = nn.Sequential(norm, nn.Flatten(), nn.Linear(2 * 9, 3)).eval()
    images = torch.randn(500, 2, 3, 3, generator=generator()) * 3 + 1
    fresh = with_statistics_of(model, images)
    fresh_norm = next(fresh.children())
    assert isinstance(fresh_norm, nn.BatchNorm2d)
    assert not fresh_norm.training
    batches = torch.stack(images.split(INFERENCE_BATCH))
    torch.testing.assert_close(fresh_norm.running_mean, images.mean((0, 2, 3)))
    torch.testing.assert_close(fresh_norm.running_var, batches.var((1, 3, 4)).mean(0))
    assert norm.running_mean.tolist() == [0, 0]
    assert logits(fresh, images).shape == (500, 3)
