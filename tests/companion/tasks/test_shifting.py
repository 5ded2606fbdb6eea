"""Moved pictures: the move is exact, the frame undoes it, and in training a CC network knows it."""

from dataclasses import replace

import pytest
import torch

from cclib.models.classifier import Classifier, ClassifierConfig
from companion.tasks.classification import Classification
from companion.tasks.shifting import MovedClassification, darkest, frame_of, middle, moved, on_canvas

CONFIG = ClassifierConfig("cc", sizes=(28, 14, 7), channels=(4, 4))


def wave(by: tuple[float, float] = (0, 0)) -> torch.Tensor:
    """Two cosines that are periodic on 8 x 12 pixels, moved."""
    rows, columns = torch.arange(8.0).double() - by[0], torch.arange(12.0).double() - by[1]
    slow = torch.cos(2 * torch.pi * (rows[:, None] / 8 + columns / 12))
    return (slow + torch.cos(2 * torch.pi * columns * 5 / 12 + 0.3))[None, None]


@pytest.mark.parametrize("by", [(0, 0), (1, -2), (0.3, 1.7), (-2.25, 100.5)])
def test_a_move_samples_the_moved_wave(by: tuple[float, float]) -> None:
    torch.testing.assert_close(moved(wave(), by), wave(by), rtol=0, atol=1e-12)
    assert moved(wave().float(), by).dtype == torch.float32


def test_a_cut_off_removes_fine_detail_only() -> None:
    columns = torch.arange(12.0).double()
    slow = wave() - torch.cos(2 * torch.pi * columns * 5 / 12 + 0.3)
    torch.testing.assert_close(moved(wave(), (0, 0), 0.4), slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cut_off", [0, 0.6])
def test_a_cut_off_beyond_the_pixels_is_refused(cut_off: float) -> None:
    with pytest.raises(ValueError, match=f"cut_off must be in .* got {cut_off}"):
        moved(wave(), (0, 0), cut_off)


def test_a_canvas_surrounds_images_with_each_channels_background() -> None:
    canvas = on_canvas(torch.zeros(2, 3, 4, 5), 2, torch.tensor([1.0, 2.0, 3.0]))
    assert canvas.shape == (2, 3, 8, 9)
    assert canvas[:, :, 2:-2, 2:-2].abs().max() == 0
    assert canvas[1, :, 1, 4].tolist() == canvas[0, :, -1, -1].tolist() == [1.0, 2.0, 3.0]


def test_the_background_is_the_least_training_value() -> None:
    task = Classification(CONFIG, train_size=50)
    assert darkest(task) == task.split("train")[0].min()


def test_with_the_shift_known_a_move_by_whole_pixels_is_undone() -> None:
    torch.manual_seed(0)
    network = Classifier(CONFIG).double().eval()
    canvases = on_canvas(torch.randn(3, 1, 28, 28).double(), 5, torch.zeros(1))
    before = network(canvases[:, :, 5:-5, 5:-5])
    after = network(canvases.roll((2, -3), (2, 3)), frame=frame_of(canvases, 5, (2, -3)))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer", ["cc", "conv"])
def test_training_pictures_are_moved_and_only_cc_has_the_shift_known(layer: str) -> None:
    config = replace(CONFIG, layer=layer)
    task = MovedClassification(config, train_size=200, largest_move=2.0, margin=4)
    plain = Classification(config, train_size=200)
    canvases, labels, by = next(task.batches(200, torch.Generator().manual_seed(0)))
    images, same_labels = next(plain.batches(200, torch.Generator().manual_seed(0)))
    assert torch.equal(labels, same_labels)
    unmoved = moved(on_canvas(images, 4, darkest(task)), (0, 0))
    torch.testing.assert_close(moved(canvases, (-by).tolist()), unmoved, rtol=0, atol=1e-5)
    torch.manual_seed(0)
    network = Classifier(config)
    loss = task.loss(network, (canvases, labels, by))
    if layer == "cc":
        expected = network(canvases, frame=frame_of(canvases, 4, by.tolist()))
    else:
        expected = network(canvases[:, :, 4:32, 4:32])
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(expected, labels))


def test_moves_reach_the_largest_on_both_axes_and_no_further() -> None:
    task = MovedClassification(CONFIG, train_size=300, largest_move=3.0, margin=5)
    moves = torch.stack([by for _, _, by in task.batches(1, torch.Generator().manual_seed(0))])
    assert moves.abs().max() <= 3
    assert moves.amin(0).max() < -2.9
    assert moves.amax(0).min() > 2.9


def test_the_middle_of_a_canvas_is_what_was_put_on_it() -> None:
    images = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(middle(on_canvas(images, 2, torch.zeros(3)), 2), images, rtol=0, atol=0)
