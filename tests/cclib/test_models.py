"""The networks: what they share, what they cost, and what they refuse."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import nn

from cclib import Frame, filters
from cclib.layers import CCConv2d
from cclib.models.classifier import Classifier, ClassifierConfig
from cclib.models.cost import multiply_adds, parameter_count
from cclib.models.downscaler import Downscaler, DownscalerConfig
from cclib.models.resampling import blurred_and_halved


def test_members_share_everything_but_the_layers() -> None:
    conv, cc = Classifier(ClassifierConfig("conv")), Classifier(ClassifierConfig("cc"))
    assert all(isinstance(layer, nn.Conv2d) for layer in conv.layers)
    assert all(isinstance(layer, CCConv2d) for layer in cc.layers)
    for ours, theirs in zip((*conv.norms, conv.head), (*cc.norms, cc.head), strict=True):
        assert repr(ours) == repr(theirs)
    shapes: dict[str, list[tuple[int, ...]]] = {}
    for name, network in (("conv", conv), ("cc", cc)):
        x, shapes[name] = torch.zeros(2, 1, 28, 28), []
        for layer, size in zip(network.layers, network.config.sizes[1:], strict=True):
            x = layer(x, size=size) if name == "cc" else layer(x)
            shapes[name].append(tuple(x.shape))
    assert shapes["conv"] == shapes["cc"]
    assert [shape[2] for shape in shapes["cc"]] == [14, 14, 7, 7]


def test_cc_classifier_follows_any_schedule() -> None:
    network = Classifier(ClassifierConfig("cc", sizes=(28, 24, 17, 9), channels=(4, 5, 6)))
    assert network(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_parameters_are_counted_as_by_hand() -> None:
    config = ClassifierConfig("conv", sizes=(8, 8, 4), channels=(2, 3))
    convolutions = 1 * 2 * 9 + 2 * 3 * 16
    assert parameter_count(Classifier(config)) == convolutions + 2 * (2 + 3) + (3 * 10 + 10)


def test_multiply_adds_are_counted_as_by_hand() -> None:
    network = Classifier(ClassifierConfig("conv", sizes=(8, 8, 4), channels=(2, 3)))
    assert multiply_adds(network, torch.zeros(5, 1, 8, 8)) == 64 * 2 * 9 + 16 * 2 * 3 * 16 + 3 * 10
    assert network.training


def test_filter_evaluation_is_shared_by_the_batch() -> None:
    network = Classifier(ClassifierConfig("cc"))
    network.eval()(torch.zeros(1, 1, 28, 28))  # the filter that inference keeps must be counted all the same
    alone, in_a_batch = (multiply_adds(network, torch.zeros(batch, 1, 28, 28)) for batch in (1, 100))
    conv = multiply_adds(Classifier(ClassifierConfig("conv")), torch.zeros(1, 1, 28, 28))
    assert conv < in_a_batch < alone
    assert in_a_batch < 1.02 * conv


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layer": "dense"}, "layer must be one of conv, cc, blurpool, resize, got 'dense'"),
        ({"sizes": (28, 14), "channels": (4, 4)}, "one value more than channels"),
        ({"coordinates": "metres"}, "coordinates must be one of pixels, picture, got 'metres'"),
        ({"layer": "conv", "coordinates": "picture"}, "coordinates must be 'pixels' for a 'conv' classifier"),
    ],
)
def test_bad_configurations_are_named(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ClassifierConfig(**{"layer": "cc", **changes})


@pytest.mark.parametrize("layer", ["conv", "blurpool"])
def test_conv_classifier_cannot_shrink_gradually(layer: str) -> None:
    with pytest.raises(ValueError, match="28 -> 24"):
        ClassifierConfig(layer, sizes=(28, 24), channels=(4,))


@pytest.mark.parametrize("config", [("siren", 4, True), ("siren", 6, False), ("spline", 8, False)])
def test_downscaler_keeps_a_constant_and_divides_the_size(config: tuple) -> None:
    model = Downscaler(DownscalerConfig(*config))
    y = model(torch.full((2, 1, 20, 31), 0.3), (1.7, 2.5))
    assert y.shape == (2, 1, 11, 12)
    torch.testing.assert_close(y, torch.full_like(y, 0.3))


def test_downscaler_with_the_cubic_is_torchs_bicubic() -> None:
    model = Downscaler(DownscalerConfig("siren", 4, True))
    model.layer.filter = filters.ClassicalFilter("cubic", 1)
    x = torch.rand(1, 1, 40, 40, dtype=torch.float64)
    theirs = nn.functional.interpolate(
        x, scale_factor=(1 / 1.7, 1 / 2.6), mode="bicubic", antialias=True, recompute_scale_factor=False
    )
    inside = (..., slice(3, -3), slice(3, -3))
    torch.testing.assert_close(model(x, (1.7, 2.6))[inside], theirs[inside], rtol=0, atol=1e-10)


@pytest.mark.parametrize("layer", ["blurpool", "resize"])
def test_blur_and_resize_share_everything_but_the_layers(layer: str) -> None:
    ours, conv = Classifier(ClassifierConfig(layer)), Classifier(ClassifierConfig("conv"))
    for mine, theirs in zip((*ours.norms, ours.head), (*conv.norms, conv.head), strict=True):
        assert repr(mine) == repr(theirs)
    assert all(m.kernel_size == (3, 3) for m in ours.modules() if isinstance(m, nn.Conv2d))
    shapes: list[torch.Size] = []
    for norm in ours.norms[1:]:
        norm.register_forward_hook(lambda _, inputs, y: shapes.append(y.shape))
    ours.head.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))
    assert ours(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    # "blurpool" halves after batch norm and ReLU, "resize" before its convolution.
    sides = [14, 14, 7] if layer == "blurpool" else [14, 7, 7]
    assert [shape[2] for shape in shapes[:-1]] == sides
    assert shapes[-1] == (2, 48)


def test_blur_keeps_a_constant_and_halves_an_aligned_slope() -> None:
    slope = torch.arange(12.0).expand(1, 2, 12, 12)
    halved = blurred_and_halved(slope)
    assert halved.shape == (1, 2, 6, 6)
    torch.testing.assert_close(halved[..., 1:-1], (0.5 + 2 * torch.arange(6.0))[1:-1].expand(1, 2, 6, 4))
    torch.testing.assert_close(blurred_and_halved(torch.ones(1, 2, 8, 8)), torch.ones(1, 2, 4, 4))


@pytest.mark.parametrize("layer", ["cc", "resize"])
def test_sizes_can_be_chosen_at_the_call(layer: str) -> None:
    network = Classifier(ClassifierConfig(layer, sizes=(28, 20, 9), channels=(4, 5)))
    sides: list[int] = []
    for norm in network.norms:
        norm.register_forward_hook(lambda _, inputs, y: sides.append(y.shape[2]))
    assert network(torch.zeros(3, 1, 31, 31), sizes=(17, 11)).shape == (3, 10)
    network(torch.zeros(3, 1, 28, 28))
    assert sides == [17, 11, 20, 9]


@pytest.mark.parametrize("layer", ["conv", "blurpool"])
def test_sizes_and_frames_are_refused_by_discrete_layers(layer: str) -> None:
    network = Classifier(ClassifierConfig(layer))
    x = torch.zeros(1, 1, 28, 28)
    with pytest.raises(ValueError, match=f"sizes must be left out.*this is a '{layer}' classifier"):
        network(x, sizes=(14, 14, 7, 7))
    with pytest.raises(ValueError, match=f"frame must be left out: a '{layer}' classifier"):
        network(x, frame=Frame.of(28))


def test_wrong_sizes_and_frames_are_named() -> None:
    network = Classifier(ClassifierConfig("cc"))
    with pytest.raises(ValueError, match=r"name 4 sizes; .* sizes is \(14, 7\)"):
        network(torch.zeros(1, 1, 28, 28), sizes=(14, 7))
    with pytest.raises(ValueError, match=r"frame must have the size of x, \(30, 30\), got \(28, 28\)"):
        network(torch.zeros(1, 1, 30, 30), frame=Frame.of(28))


@pytest.mark.parametrize("sizes", [None, (20, 12, 9, 5)])
@pytest.mark.parametrize("window", [True, False])
def test_a_classifier_follows_its_camera(sizes: tuple[int, ...] | None, window: bool) -> None:
    """The same scene, zeros around an image, seen by cameras that are moved and larger: the same answer."""
    torch.manual_seed(0)
    network = Classifier(ClassifierConfig("cc", window=window, residual=True)).double().eval()
    x = torch.randn(2, 1, 28, 28, dtype=torch.float64)
    expected = network(x, sizes)
    torch.testing.assert_close(network(x, sizes, Frame.of(28)), expected, rtol=0, atol=1e-12)
    for left, top, right, bottom in ((3, 3, 3, 3), (0, 5, 2, 4), (7, 2, 0, 1)):
        canvas = nn.functional.pad(x, (left, right, top, bottom))
        camera = Frame.of(tuple(canvas.shape[2:])).moved((-top, -left))
        torch.testing.assert_close(network(canvas, sizes, camera), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("side", "sizes"), [(28, (14, 14, 7, 7)), (20, (10, 9, 5, 7)), (31, (14, 22, 7, 11))])
def test_in_picture_coordinates_a_filter_grows_with_a_map_that_is_larger_than_its_nominal_one(
    side: int, sizes: tuple
) -> None:
    """So each layer, asked by itself with the unit that its map gives, has the network's output."""
    config = ClassifierConfig("cc", channels=(3, 4, 4, 5), coordinates="picture")
    network, x = Classifier(config).double().eval(), torch.randn(2, 1, side, side, dtype=torch.float64)
    maps, read = x, (side, *sizes)
    for layer, norm, nominal, own, size in zip(network.layers, network.norms, config.sizes, read, sizes, strict=False):
        maps = torch.relu(norm(layer(maps, size=size, unit=max(Fraction(own, nominal), 1))))
    expected = network.head(maps.mean((2, 3)))
    torch.testing.assert_close(network(x, sizes), expected, rtol=0, atol=0)
    in_pixels = Classifier(replace(config, coordinates="pixels")).double().eval()
    in_pixels.load_state_dict(network.state_dict())
    larger = any(own > nominal for own, nominal in zip(read[:-1], config.sizes, strict=False))
    assert torch.equal(in_pixels(x, sizes), expected) != larger


def test_a_frame_needs_pixels() -> None:
    network = Classifier(ClassifierConfig("cc", coordinates="picture"))
    with pytest.raises(ValueError, match="frame must be left out: the filters are read in picture coordinates"):
        network(torch.zeros(1, 1, 28, 28), frame=Frame.of((28, 28)))
