"""The autoencoders, what they are trained on, and the measures of what they make."""

import math

import pytest
import torch
import torch.nn.functional as F

from cclib.filters import MLPFilter
from cclib.layers import CCConv2d
from cclib.models.autoencoder import Autoencoder, AutoencoderConfig
from cclib.models.cost import multiply_adds, parameter_count
from companion.tasks.autoencoding import (
    Autoencoding,
    line_power,
    pictures,
    resampled,
    strongest_line,
)
from companion.tasks.measures import psnr

CONFIGS = {
    "conv": AutoencoderConfig("conv", sizes=(5, 10, 20, 20)),
    "conv, kernel 3": AutoencoderConfig("conv", sizes=(5, 10, 20, 20), doubling_kernel=3),
    "resize": AutoencoderConfig("resize"),
    "cc": AutoencoderConfig("cc"),
}
MANY = Autoencoding(CONFIGS["cc"], train_size=250, test_size=100, sides=(14, 24), never=(17, 22))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_picture_has_the_decoders_size(name: str) -> None:
    network = Autoencoder(CONFIGS[name])
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 1, 20, 20)


@pytest.mark.parametrize("name", ["resize", "cc"])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("size", [(12, 12), (28, 28), (13, 40)])
def test_a_picture_has_any_size(name: str, spread: bool, size: tuple[int, int]) -> None:
    network = Autoencoder(CONFIGS[name])
    assert network(torch.zeros(2, 1, 28, 28), size, spread).shape == (2, 1, *size)
    assert list(network.schedule(size, spread))[-1] == size


def test_the_schedule_gives_the_change_to_the_last_layer_or_to_all() -> None:
    network = Autoencoder(CONFIGS["cc"])
    assert list(network.schedule((20, 20))) == [(8, 8), (12, 12), (20, 20)]
    assert list(network.schedule((20, 20), spread=True)) == [(8, 8), (12, 12), (20, 20)]
    assert list(network.schedule((20, 40))) == [(8, 8), (12, 12), (20, 40)]
    assert list(network.schedule((20, 160), spread=True)) == [(8, 16), (12, 48), (20, 160)]


@pytest.mark.parametrize("name", ["resize", "cc"])
@pytest.mark.parametrize("spread", [False, True])
def test_pictures_of_many_sizes_are_those_of_each(name: str, spread: bool) -> None:
    network = Autoencoder(CONFIGS[name]).eval()
    images = MANY.split("test")[:10]
    sizes = [(12, 12), (20, 20), (13, 40)]
    used: list[tuple[int, ...]] = []
    network.layers[0].register_forward_hook(lambda layer, inputs, output: used.append(tuple(output.shape[2:])))
    with torch.no_grad():
        made = pictures(network, images, sizes, spread)
        assert len(used) == (3 if spread else 1)  # what they have in common is computed once
        assert list(made) == sizes
        for size in sizes:
            torch.testing.assert_close(made[size], network(images, size, spread).clamp(0, 1))


def test_members_cost_the_same_but_for_the_small_networks_of_the_filters() -> None:
    cc, resize, odd = (Autoencoder(CONFIGS[name]) for name in ("cc", "resize", "conv, kernel 3"))
    assert parameter_count(resize) == parameter_count(odd)
    trunks = [module for module in cc.modules() if isinstance(module, MLPFilter)]
    assert parameter_count(cc) == parameter_count(resize) + sum(parameter_count(filter.trunk) for filter in trunks)
    batch = torch.zeros(100, 1, 28, 28)
    assert abs(multiply_adds(cc, batch) / multiply_adds(resize, batch) - 1) < 0.05


def test_a_conv_decoder_says_that_it_has_one_size() -> None:
    with pytest.raises(ValueError, match=r"size must be \(20, 20\), the only one"):
        Autoencoder(CONFIGS["conv"])(torch.zeros(2, 1, 28, 28), (28, 28))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layer": "dense"}, "layer must be one of conv, resize, cc, got 'dense'"),
        ({"sizes": (5, 20)}, "one value more than channels"),
        ({"layer": "conv"}, "5 -> 8"),
    ],
)
def test_bad_configurations_are_named(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AutoencoderConfig(**{"layer": "cc", **changes})


def test_an_epoch_holds_every_image_once_and_the_same_generator_draws_the_same() -> None:
    batches = list(MANY.batches(100, generator()))
    assert [len(images) for images, _ in batches] == [100, 100, 50]
    assert MANY.batches_per_epoch(100) == 3
    seen = torch.cat([images for images, _ in batches]).flatten(1).sum(1).sort().values
    torch.testing.assert_close(seen, MANY.split("train").flatten(1).sum(1).sort().values)
    for (images, size), (same, same_size) in zip(batches, MANY.batches(100, generator()), strict=True):
        assert torch.equal(images, same)
        assert torch.equal(size, same_size)


def test_training_sizes_are_of_the_range_and_keep_away_from_the_test() -> None:
    source = generator()
    drawn = [MANY.draw_size(source) for _ in range(3000)]
    assert {side for size in drawn for side in size} == set(range(14, 25)) - {17, 22}
    assert any(height != width for height, width in drawn)
    own = sum(size == (20, 20) for size in drawn) / len(drawn)
    assert 0.22 < own < 0.3  # a quarter, and those drawn by chance
    single = Autoencoding(CONFIGS["cc"])
    assert {single.draw_size(source) for _ in range(20)} == {(20, 20)}


def test_the_loss_is_the_error_at_the_size_of_the_batch() -> None:
    images = MANY.split("train")[:4]
    network = MANY.build()
    loss = MANY.loss(network, (images, torch.tensor([14, 23])))
    expected = (network(images, (14, 23)) - resampled(images, (14, 23))).square().mean()
    torch.testing.assert_close(loss, expected)


def test_pictures_are_clamped_and_measured_at_the_decoders_size() -> None:
    network = MANY.build().eval()
    last = [module for module in network.modules() if isinstance(module, CCConv2d)][-1]
    assert last.bias is not None
    torch.nn.init.constant_(last.bias, 3.0)
    with torch.no_grad():
        made = pictures(network, MANY.split("test"), [(20, 20)])[20, 20]
        measured = MANY.test(network)["psnr"]
    assert made.shape == (100, 1, 20, 20)
    assert made.max() == 1
    assert math.isclose(measured, psnr(made, resampled(MANY.split("test"), (20, 20))))


def test_resampling_keeps_a_constant_and_its_own_size() -> None:
    images = torch.rand(2, 1, 28, 28)
    assert resampled(images, (28, 28)) is images
    torch.testing.assert_close(resampled(torch.full_like(images, 0.4), (13, 40)), torch.full((2, 1, 13, 40), 0.4))


@pytest.mark.parametrize("side", [20, 23])
@pytest.mark.parametrize("period", [2, 4])
def test_a_checkerboard_stands_out(side: int, period: int) -> None:
    """A grid as strong as a part of the images stands out, at its frequency, over an error of a fifth of the images."""
    images = resampled(Autoencoding(CONFIGS["cc"], test_size=500).split("test"), (side, side))
    wave = torch.cos(2 * torch.pi / period * torch.arange(side))
    grid = images * (wave + wave[:, None])
    powers = [line_power(0.2 * images + strength * grid) for strength in (0.0, 0.05, 0.1)]
    lines = [strongest_line(power) for power in powers]
    assert lines[0] < 1
    assert lines[1] > 3
    assert lines[2] > 6
    gained = (powers[2] - powers[0])[3 : side // 2 + 1]
    assert abs(int(gained.argmax()) + 3 - side / period) < 1


def test_line_power_of_a_wave() -> None:
    wave = torch.cos(2 * torch.pi * 6 / 24 * torch.arange(24.0)).expand(1, 1, 24, 24)
    power = line_power(wave)
    assert power.shape == (24,)
    assert int(power[1:13].argmax()) + 1 == 6
    torch.testing.assert_close(power[1:], power[1:].flip(0))
    quieter = line_power(wave / 2)
    torch.testing.assert_close(power, 4 * quieter)


def test_noise_and_its_smooth_version_have_no_line() -> None:
    noise = torch.rand(3000, 1, 20, 20, generator=generator())
    smooth = noise + F.avg_pool2d(noise, 3, stride=1, padding=1)
    assert strongest_line(line_power(noise)) < 0.5
    assert strongest_line(line_power(smooth)) < 1
