"""Super-resolution: the networks share what they say, images stay aligned, and the measures measure."""

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cclib.layers import CCConv2d
from cclib.models.cost import multiply_adds, parameter_count
from cclib.models.superresolution import UPSAMPLERS, SuperResolver, SuperResolverConfig, bicubic
from companion import data
from companion.tasks.superresolution import (
    BORDER,
    SuperResolution,
    folder_images,
    load_luminance,
    luminance,
    middle,
    quality,
    ratios_between,
    reduced,
)
from companion.train import training

SMALL_NETWORK = {"channels": 4, "blocks": 1}
TASK = SuperResolution(
    SuperResolverConfig("cc", **SMALL_NETWORK),
    ((3, 2), (2, 1), (17, 5)),
    ((2.0, 2.0),),
    ((1.3, 2.0),),
    epoch_batches=12,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
@pytest.mark.parametrize("size", [(10, 10), (13, 29), (40, 11)])
def test_any_size_comes_out_and_a_new_network_is_nearly_bicubic(upsampler: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 1, 10, 10)
    y = SuperResolver(SuperResolverConfig(upsampler))(x, size=size)
    assert y.shape == (2, 1, *size)
    assert 0 < (y - bicubic(x, size)).abs().mean() < 0.1


def test_at_a_whole_factor_a_cc_layer_is_a_pixel_shuffle() -> None:
    factor = 3
    places = (torch.arange(factor) - (factor - 1) / 2) / factor
    taps = torch.tensor([-1.0, 0.0, 1.0])
    apart = taps - places[:, None]  # (place, tap)
    offsets = torch.stack((apart[:, None, :, None].expand(3, 3, 3, 3), apart[None, :, None, :].expand(3, 3, 3, 3)), -1)
    layer = SuperResolver(SuperResolverConfig("cc")).last
    x = torch.rand(2, 24, 7, 9)
    assert isinstance(layer, CCConv2d)
    weight = layer.filter(offsets).flatten(0, 1)[..., 0, :].movedim(-1, 1)  # (factor², channels, 3, 3)
    shuffled = nn.functional.pixel_shuffle(nn.functional.conv2d(x, weight, padding=1), factor)
    torch.testing.assert_close(layer(x, size=(21, 27)), shuffled)


def test_bicubic_is_the_layers_cubic() -> None:
    layer = CCConv2d(1, 1, 4, bias=False, filter="cubic", padding_mode="replicate", stretch=True)
    x = torch.rand(1, 1, 20, 20, dtype=torch.float64)
    inside = (..., slice(9, -9), slice(9, -9))
    for size in ((26, 74), (13, 17)):
        torch.testing.assert_close(bicubic(x, size)[inside], layer(x, size=size)[inside], rtol=0, atol=1e-7)


def test_costs_differ_by_the_small_networks_of_the_offset_alone() -> None:
    cc, conv = (SuperResolver(SuperResolverConfig(name)) for name in ("cc", "conv + resize"))
    assert parameter_count(cc) - parameter_count(conv) == (2 * 32 + 32) + (32 * 9 + 9)
    x = torch.zeros(8, 1, 24, 24)
    shuffle = SuperResolver(SuperResolverConfig("pixel shuffle", factor=2))
    costs = [multiply_adds(model, x, size=(48, 48)) for model in (cc, conv, shuffle)]
    assert costs[1] == costs[2]
    assert 1 < costs[0] / costs[1] < 1.001


def test_unknown_upsampler_is_named() -> None:
    with pytest.raises(ValueError, match=f"upsampler must be one of {re.escape(', '.join(UPSAMPLERS))}, got 'magic'"):
        SuperResolverConfig("magic")


def test_batches_have_exact_factors_and_are_reductions() -> None:
    kinds = set()
    for small, large in TASK.batches(3, generator()):
        assert len(small) == len(large) == 3
        factors = tuple(Fraction(n, m) for n, m in zip(large.shape[2:], small.shape[2:], strict=True))
        assert {(factor.numerator, factor.denominator) for factor in factors} <= set(TASK.ratios)
        assert all(side in (20, 24) for side in small.shape[2:])
        torch.testing.assert_close(small, bicubic(large, (small.shape[2], small.shape[3])))
        kinds.add(factors[0] == factors[1])
    assert kinds == {True, False}


def test_the_same_generator_draws_the_same_batches() -> None:
    first, again, other = (next(TASK.batches(4, generator(seed))) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[1].shape != other[1].shape or not torch.equal(first[1], other[1])


def test_crops_come_from_training_photographs_alone() -> None:
    values = {name: set(load_luminance(name).flatten().tolist()) for name in data.PHOTOGRAPHS["train"]}
    for _, large in TASK.batches(2, generator()):
        assert all(any(set(image.flatten().tolist()) <= seen for seen in values.values()) for image in large)


def test_training_factors_keep_away_from_the_unseen() -> None:
    ratios = ratios_between(1.2, 4.0, 5, unseen=[1.3, 2.6], gap=0.04)
    assert ratios[0] == (6, 5)
    assert ratios[-1] == (4, 1)
    assert (4, 3) not in ratios
    assert (13, 5) not in ratios
    assert (5, 4) in ratios
    assert list(ratios) == sorted(set(ratios), key=lambda ratio: ratio[0] / ratio[1])
    assert all(math.gcd(*ratio) == 1 for ratio in ratios)


@pytest.mark.parametrize(("factors", "sides"), [((2.0, 3.0), (50, 33)), ((1.3, 3.7), (70, 20)), ((3.14, 1.5), None)])
def test_reduction_is_exact_and_aligned(factors: tuple, sides: tuple | None) -> None:
    if sides is None:
        with pytest.raises(ValueError, match=r"image has only \(100, 100\)"):
            reduced(torch.zeros(1, 100, 100), factors)
        return
    place = torch.arange(100.0) - 49.5
    image = (place[:, None] + 10 * place)[None]  # the value of a pixel is its place: 1 a row, 10 a column
    small, large = reduced(image, factors)
    assert tuple(small.shape[1:]) == sides
    assert tuple(n / m for n, m in zip(large.shape[1:], small.shape[1:], strict=True)) == pytest.approx(factors)
    assert small.mean().item() == pytest.approx(large.mean().item(), abs=0.01)  # by symmetry: the middles coincide
    row = small.shape[1] // 2
    inside = small[0, row, 4:-4]
    torch.testing.assert_close(
        inside[1:] - inside[:-1], torch.full_like(inside[1:], 10 * factors[1]), rtol=5e-3, atol=0
    )


def test_the_middle_has_at_most_the_size_asked_for() -> None:
    image = torch.arange(63.0).reshape(1, 7, 9)
    assert torch.equal(middle(image, 3, 20), image[:, 2:5])
    assert torch.equal(middle(image, 8, 4), image[:, :, 2:6])


class Wrong(nn.Module):
    """The right answer, with a constant error everywhere and a gross one at the border."""

    def __init__(self, large: torch.Tensor, error: float) -> None:
        super().__init__()
        self.answer = large[None] + error
        self.answer[..., : BORDER // 2] = 0

    def forward(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        assert tuple(self.answer.shape[2:]) == size
        return self.answer


@pytest.mark.parametrize("error", [0.1, 0.01])
def test_quality_of_a_known_error_away_from_the_border(error: float) -> None:
    image = 0.2 + 0.5 * torch.rand(1, 60, 70, generator=generator())
    _, large = reduced(image, (1.5, 2.0))
    measured = quality(Wrong(large, error), image, (1.5, 2.0))
    assert measured["psnr"] == pytest.approx(-20 * math.log10(error), abs=0.01)
    assert 0.9 < measured["ssim"] < 1


def test_test_names_measure_photograph_and_factor() -> None:
    class Bicubic(nn.Module):
        def forward(self, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
            return bicubic(x, size)

    measured = TASK.test(Bicubic())
    assert list(measured)[:2] == ["psnr, camera, 1.3 x 2", "ssim, camera, 1.3 x 2"]
    assert len(measured) == 2 * len(data.PHOTOGRAPHS["test"])
    assert set(TASK.validate(Bicubic())) == {"psnr"}


def test_luminance_weighs_the_colours() -> None:
    colours = torch.eye(3)[:, :, None]  # a red, a green and a blue pixel
    assert luminance(colours).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])
    grey = torch.rand(1, 4, 4)
    assert luminance(grey) is grey


def test_a_folder_is_read_with_its_subfolders(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    Image.fromarray(np.full((5, 6, 3), 255, np.uint8)).save(tmp_path / "b" / "white.png")
    Image.fromarray(np.zeros((7, 8), np.uint8)).save(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    images = folder_images(str(tmp_path))
    assert [(name, tuple(image.shape)) for name, image in images.items()] == [
        ("a.jpg", (1, 7, 8)),
        (str(Path("b") / "white.png"), (1, 5, 6)),
    ]
    torch.testing.assert_close(images[str(Path("b") / "white.png")], torch.ones(1, 5, 6))


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no PNG or JPEG image"):
        folder_images(str(tmp_path))


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_training_lowers_the_loss(upsampler: str, tmp_path: Path) -> None:
    task = SuperResolution(
        SuperResolverConfig(upsampler, **SMALL_NETWORK), ((2, 1),), ((2.0, 2.0),), (), epoch_batches=25, patch=12
    )
    schedule = training.Training(2, 4, 0.003, weight_decay=0.0, precision="bfloat16")
    trained, _ = training.fit(task, schedule, 0, tmp_path / "checkpoint")
    torch.manual_seed(0)
    untrained = task.build()
    with torch.no_grad():  # on the same batches: they are drawn anew in every epoch
        losses = [
            sum(task.loss(model, batch).item() for batch in task.batches(4, generator()))
            for model in (trained, untrained)
        ]
    assert losses[0] < losses[1]
