"""The continuous functions: their values, symmetries and initialisation, and the classical ones as resizers.

The classical filters are held against torch's and resize-right's resizers. How a layer sums taps is tested in
functional/.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator
from torch import nn

from cclib import CCConv2d, cc_conv2d
from cclib.filters import (
    FILTERS,
    TRUNKS,
    BoxFilter,
    BSplineFilter,
    ClassicalFilter,
    Filter,
    MLPFilter,
    SplineFilter,
    make,
    register,
    register_trunk,
)

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=60)
CLASSICAL = ("linear", "cubic", "lanczos3", "box")
TAPERED = ("siren", "silu", "fourier", "spline")  # where the window says so
LEARNED = (*TAPERED, "bspline", "boxes")


def line(*offsets: float) -> torch.Tensor:
    """Offsets along the horizontal axis."""
    return torch.tensor([(0.0, offset) for offset in offsets], dtype=torch.float64)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("linear", {0: 1, 0.25: 0.75, -0.5: 0.5, 1: 0, 1.5: 0}),
        ("cubic", {0: 1, 0.5: 0.5625, 1: 0, -1.5: -0.0625, 2: 0, 2.5: 0}),
        ("lanczos3", {0: 1, 0.5: 6 / math.pi**2, 1: 0, 2: 0, -1.5: -4 / (3 * math.pi**2), 3: 0, 3.5: 0}),
        ("box", {0: 1, 0.4: 1, 0.5: 0.5, -0.5: 0.5, 0.6: 0}),
    ],
)
def test_values_of_the_classical_kernels(kind, values):
    weights = ClassicalFilter(kind, 2)(line(*values))
    assert weights.shape == (len(values), 2, 1)
    expected = torch.tensor(list(values.values()), dtype=torch.float64)
    torch.testing.assert_close(weights[:, 0, 0], expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(weights[:, 1, 0], expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", CLASSICAL)
def test_a_classical_kernel_is_a_product_over_the_axes(kind):
    filter = ClassicalFilter(kind, 1)
    weight = filter(torch.tensor([0.3, -0.4], dtype=torch.float64))
    torch.testing.assert_close(weight.squeeze(), filter(line(0.3, 0.4)).prod(), rtol=1e-14, atol=0)


@pytest.mark.parametrize("kind", ["linear", "cubic", "box"])
def test_unit_translates_of_an_interpolation_kernel_sum_to_one(kind):
    for offset in (0.0, 0.2, 0.5, 0.9):
        taps = line(*(offset + tap for tap in range(-4, 4)))
        assert ClassicalFilter(kind, 1)(taps).sum().item() == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("kind", TAPERED)
def test_the_window_makes_a_filter_vanish_at_the_edge_of_its_support(kind):
    torch.manual_seed(0)
    filter = make(kind, 2, 3, (4, 2), groups=1, window=True).double()
    edge = torch.tensor([(2.0, 0.3), (-2.0, 0.3), (0.4, 1.0), (0.4, -1.0), (2.0, 1.0)], dtype=torch.float64)
    assert filter(edge).abs().max() < 1e-30  # the square of a cosine that is zero to rounding
    assert filter(edge * 0.9).abs().min() > 1e-12
    assert make(kind, 2, 3, (4, 2), groups=1, window=False).double()(edge).abs().min() > 1e-12


@pytest.mark.parametrize("kind", LEARNED)
def test_a_filter_is_the_sum_of_its_functions_times_its_matrices(kind):
    filter = make(kind, 4, 6, 3, groups=2, window=True).double()
    offsets = torch.rand(2, 5, 2, dtype=torch.float64) * 3 - 1.5
    weights = filter(offsets)
    assert weights.shape == (2, 5, 6, 2)
    functions, matrices = filter.basis(offsets), filter.coefficients()
    expected = sum(functions[1, 3, h] * matrices[h] for h in range(len(matrices)))
    torch.testing.assert_close(weights[1, 3], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", LEARNED)
def test_a_learned_filter_is_continuous_and_learned(kind):
    torch.manual_seed(0)
    filter = make(kind, 2, 3, 3, groups=1, window=True).double()
    offsets = torch.rand(20, 2, dtype=torch.float64) * 3 - 1.5
    change = filter(offsets + 1e-6) - filter(offsets)
    assert 0 < change.abs().max() < 1e-3
    filter(offsets).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in filter.parameters())


@pytest.mark.parametrize("kind", [*CLASSICAL, *LEARNED])
@pytest.mark.parametrize("window", [False, True])
def test_the_mass_of_a_filter_is_one(kind, window):
    if kind in CLASSICAL:
        filter: Filter = ClassicalFilter(kind, 1)
    else:
        filter = make(kind, 2, 3, (4, 3), groups=1, window=window).double()
    axes = [(torch.arange(256, dtype=torch.float64) + 0.5) / 256 - 0.5] * 2
    sides = [float(side) for side in filter.support]
    offsets = torch.stack(torch.meshgrid(axes[0] * sides[0], axes[1] * sides[1], indexing="ij"), -1)
    integral = filter.mass(offsets).mean().item() * math.prod(sides)
    assert integral == pytest.approx(1, abs=0.02 if kind == "lanczos3" else 1e-4)  # lanczos3's own integral is 0.997


def test_a_spline_passes_through_its_control_points():
    torch.manual_seed(0)
    filter = SplineFilter(2, 3, (2, Fraction(3, 2)), spacing=(1, 0.5)).double()
    nodes = torch.tensor([[(v, h) for h in (-0.5, 0.0, 0.5)] for v in (-0.5, 0.5)], dtype=torch.float64)
    torch.testing.assert_close(filter(nodes).flatten(0, 1), filter.weight.detach(), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("degree", "values"),
    [
        (1, {0: 1, 0.25: 0.75, 1: 0}),
        (2, {0: 3 / 4, 0.5: 1 / 2, 1: 1 / 8, 1.5: 0}),
        (3, {0: 2 / 3, 1: 1 / 6, -1.5: 1 / 48, 2: 0}),
        (5, {0: 11 / 20, 1: 13 / 60, -2: 1 / 120, 3: 0}),
    ],
)
def test_values_of_the_b_splines(degree, values):
    filter = BSplineFilter(1, 1, (degree + 1, degree + 2), degree=degree, spacing=1).double()
    with torch.no_grad():
        filter.weight.copy_(torch.tensor([0.0, 1.0])[:, None, None])  # of two control points the right one
    weights = filter(line(*(0.5 + offset for offset in values))).squeeze()
    expected = values[0] * torch.tensor(list(values.values()), dtype=torch.float64)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-15)


def test_a_box_filter_gives_the_exact_mean_over_each_box():
    """By differences of the picture's integral, which is linear between the edges of pixels."""
    torch.manual_seed(0)
    filter = BoxFilter(1, 3, (5, 6.5), features=3).double()
    picture = torch.rand(12, 14, dtype=torch.float64)
    integral = F.pad(picture.cumsum(0).cumsum(1), (1, 0, 1, 0)).numpy()
    at = RegularGridInterpolator([np.arange(13) - 0.5, np.arange(15) - 0.5], integral)
    with torch.no_grad():
        filter.weight.copy_(torch.eye(3)[:, :, None])
        y = cc_conv2d(picture[None, None], filter, scale=0.6)[0, :, 2:-2, 2:-2]
        places = [output_positions(n, y_n)[2:-2] for n, y_n in ((12, 8), (14, 9))]
        for box, (low, high) in enumerate(zip(*(edge.numpy() for edge in filter.edges()), strict=True)):
            ends = [(axis[:, None] + [low[i], high[i]]) for i, axis in enumerate(places)]
            corner = at(np.stack(np.meshgrid(ends[0].ravel(), ends[1].ravel(), indexing="ij"), -1))
            corner = corner.reshape(len(places[0]), 2, len(places[1]), 2)
            total = corner[:, 1, :, 1] - corner[:, 0, :, 1] - corner[:, 1, :, 0] + corner[:, 0, :, 0]
            torch.testing.assert_close(y[box].numpy(), total / np.prod(high - low), rtol=0, atol=1e-13)


def output_positions(n_in, n_out):
    """Of scale 0.6, the centres of both grids coinciding, in input pixels."""
    return (n_in - 1) / 2 + (np.arange(n_out) - (n_out - 1) / 2) / 0.6


def test_boxes_are_a_pixel_at_least_and_stay_in_the_support():
    filter = BoxFilter(1, 1, (2, 7), features=4)
    with torch.no_grad():
        for value in (-100.0, 0.0, 100.0):
            for parameter in (filter.extent, filter.place):
                parameter.copy_(torch.tensor([[value], [-value], [0.3], [3.0]]).expand(4, 2))
            low, high = filter.edges()
            assert ((high - low) >= 1 - 1e-6).all()
            assert (low >= torch.tensor([-0.5, -3.0]) - 1e-6).all()
            assert (high <= torch.tensor([0.5, 3.0]) + 1e-6).all()


def test_the_edges_of_boxes_have_gradients():
    torch.manual_seed(0)
    filter = BoxFilter(1, 1, (4, 5), features=3).double()
    offsets = torch.rand(20, 2, dtype=torch.float64) * 3 - 1.5

    def basis(extent, place):
        return torch.func.functional_call(filter, {"extent": extent, "place": place}, (offsets,))

    assert torch.autograd.gradcheck(basis, (filter.extent, filter.place))


def test_one_control_point_needs_no_spacing():
    filter = BSplineFilter(1, 1, 3, spacing=1e50)
    assert filter(line(0.0).float()).isfinite().all()


def moved_answers(filter, picture, by):
    """Of a layer to a picture, a function of both coordinates, and to the picture moved, where it moved to."""
    rows, columns = torch.meshgrid(*[torch.arange(24, dtype=torch.float64)] * 2, indexing="ij")
    still = cc_conv2d(picture(rows, columns)[None, None], filter, size=6, scale=0.7, start=8)
    moved = picture(rows - by[0], columns - by[1])[None, None]
    return still, cc_conv2d(moved, filter, size=6, scale=0.7, start=(8 + by[0], 8 + by[1]))


@pytest.mark.parametrize("spacing", [1, 0.5])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_a_b_spline_filter_answers_a_polynomial_the_same_wherever_it_lies(degree, spacing):
    torch.manual_seed(0)
    filter = BSplineFilter(1, 3, degree + 3, degree=degree, spacing=spacing).double()
    for powers in ((degree, 0), (degree, degree), (0, 0)):
        still, moved = moved_answers(filter, lambda y, x, p=powers: (y / 12) ** p[0] * (x / 12) ** p[1], (0.3, -0.85))
        torch.testing.assert_close(moved, still, rtol=0, atol=1e-12)
    still, moved = moved_answers(filter, lambda y, x: (y / 12) ** (degree + 1), (0.3, -0.85))
    assert (moved - still).abs().max() > 1e-6


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_what_a_b_spline_filter_shows_of_the_grid_falls_with_the_power_of_its_order(degree):
    torch.manual_seed(0)
    filter = BSplineFilter(1, 3, degree + 3, degree=degree).double()

    def change(period):
        answers = [
            moved_answers(filter, lambda y, x, wave=wave: wave(2 * math.pi * (x + y / 3) / period), (0, 0.4))
            for wave in (torch.cos, torch.sin)
        ]
        return sum((moved - still).square().mean() for still, moved in answers).sqrt().item()

    assert change(24) / change(48) == pytest.approx(2 ** (degree + 1), rel=0.1)


def output_variance(kind: str, kernel_size: int, window: bool, scale: object, start: object = None) -> float:
    """Of layers with white input of variance one, averaged over seeds."""
    variances = []
    for seed in range(8):
        torch.manual_seed(seed)
        layer = CCConv2d(16, 32, kernel_size, bias=False, filter=kind, window=window, padding_mode="circular")
        with torch.no_grad():
            variances.append(layer(torch.randn(2, 16, 24, 24), scale=scale, start=start).var().item())
    return float(np.mean(variances))


# Averaged over many sub-pixel offsets the variance is that of He et al.: 2 for every fan-in. Over 8 seeds the mean has
# a standard error of about 0.03. From this start no pixel falls on the edge of a filter without window, where closing
# both edges adds a tap.
@pytest.mark.parametrize("scale", [(Fraction(9, 7), Fraction(11, 7)), (Fraction(5, 7), Fraction(11, 13))])
@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("kernel_size", [3, 4])
@pytest.mark.parametrize("kind", LEARNED)
def test_initial_output_variance_is_that_of_he(kind, kernel_size, window, scale):
    assert output_variance(kind, kernel_size, window, scale, start=(0.13, 0.29)) == pytest.approx(2, rel=0.08)


# At scale 1 and 1 / 2 all outputs have the same offsets, and the average over the support is met only roughly.
@pytest.mark.parametrize("scale", [1, Fraction(1, 2), Fraction(3, 4), 2])
@pytest.mark.parametrize("kernel_size", [3, 4])
def test_the_default_filter_has_nearly_that_variance_at_every_scale(kernel_size, scale):
    assert output_variance("siren", kernel_size, True, scale) == pytest.approx(2, rel=0.3)


def interior(axis_in: int, axis_out: int, support: int) -> slice:
    """The outputs whose stretched window lies inside the image."""
    step = axis_in / axis_out
    margin = math.ceil((support / 2 * max(step, 1) + 1) / step)
    return slice(margin, axis_out - margin)


# torch's antialiased bicubic has a = −1/2, as ours; its windows end at the border, so only the interior is equal.
@pytest.mark.parametrize(("kind", "mode", "support"), [("linear", "bilinear", 2), ("cubic", "bicubic", 4)])
@pytest.mark.parametrize(
    "size", [(12, 16), (17, 23), (24, 32), (30, 41), (48, 64), (13, 55), (61, 15), (19, 32), (24, 7)]
)
def test_equal_to_torch_antialiased_interpolation(kind, mode, support, size):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 24, 32, dtype=torch.float64)
    y = cc_conv2d(x, ClassicalFilter(kind, 3), size=size, stretch=True, groups=3, padding_mode="replicate")
    expected = F.interpolate(x, size=size, mode=mode, antialias=True)
    rows, columns = interior(24, size[0], support), interior(32, size[1], support)
    y, expected = y[..., rows, columns], expected[..., rows, columns]
    assert y.numel() > 0
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)


def equal_to_resize_right(kind, scale, size, padding_mode, tolerance):
    resize_right = pytest.importorskip("resize_right")
    generator = np.random.default_rng(0)
    image = generator.standard_normal((14, 18))
    mode = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[padding_mode]
    method = getattr(resize_right.interp_methods, kind)
    expected = resize_right.resize(image, list(scale), size, interp_method=method, pad_mode=mode)
    x = torch.from_numpy(image)[None]
    y = cc_conv2d(x, ClassicalFilter(kind, 1), scale=scale, size=size, stretch=True, padding_mode=padding_mode)
    torch.testing.assert_close(y[0], torch.from_numpy(expected), rtol=0, atol=tolerance)


# lanczos3 of resize-right adds float32's epsilon, 1.2e-7, above and below its fraction; its weights err by as much.
@pytest.mark.parametrize(("kind", "tolerance"), [("linear", 1e-12), ("cubic", 1e-12), ("lanczos3", 3e-6)])
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("scale", [(0.5, 0.5), (0.75, 0.6), (0.9, 1.3), (2, 3), (1.7, 0.45), (math.sqrt(0.5), 1.1)])
def test_equal_to_resize_right(kind, tolerance, padding_mode, scale):
    equal_to_resize_right(kind, scale, None, padding_mode, tolerance)


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_equal_to_resize_right_with_scale_and_size(kind):
    equal_to_resize_right(kind, (0.6, 1.4), (9, 26), "replicate", 1e-12)


# The box of resize-right is two pixels wide and relies on its window to cut it, which is a box only where the window
# is a whole number of pixels wide and no pixel lies on its edge.
@pytest.mark.parametrize("scale", [(0.5, 0.5), (3, 5), (0.5, 3)])
def test_box_equal_to_resize_right(scale):
    equal_to_resize_right("box", scale, None, "replicate", 1e-12)


@given(st.fractions(Fraction(1, 4), 3, max_denominator=9), st.sampled_from(CLASSICAL), st.integers(1, 9))
@PROPERTY
def test_a_classical_resizer_keeps_a_constant_image(scale, kind, n):
    x = torch.full((1, 1, n, 5), 3.0, dtype=torch.float64)
    y = cc_conv2d(x, ClassicalFilter(kind, 1), scale=(scale, 0.7), stretch=True, padding_mode="replicate")
    torch.testing.assert_close(y, torch.full_like(y, 3.0), rtol=1e-12, atol=0)


MAKERS = {"BoxFilter": BoxFilter, "BSplineFilter": BSplineFilter, "MLPFilter": MLPFilter, "SplineFilter": SplineFilter}


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((0, 2, 3), ValueError, "in_channels must be at least 1, got 0"),
        ((2, -1, 3), ValueError, "out_channels must be at least 1, got -1"),
        ((2, 2.5, 3), TypeError, r"out_channels must be an integer, got 2\.5"),
        ((2, 2, 0), ValueError, "kernel_size must be greater than 0"),
        ((2, 2, (3, -3)), ValueError, "kernel_size must be greater than 0"),
        ((2, 2, math.nan), ValueError, "kernel_size must be finite, got nan"),
        ((2, 2, "3"), TypeError, "kernel_size must be a number, got '3'"),
        ((2, 2, True), TypeError, "kernel_size must be a number, got True"),
        ((2, 2, (3, 3, 3)), ValueError, "kernel_size must be a number or a pair"),
    ],
)
def test_wrong_learned_filters(maker, arguments, error, words):
    with pytest.raises(error, match=words):
        maker(*arguments)


@pytest.mark.parametrize(
    ("build", "arguments", "options", "error", "words"),
    [
        (MLPFilter, (4, 6, 3), {"groups": 4}, ValueError, "groups=4 must divide in_channels=4 and out_channels=6"),
        (MLPFilter, (4, 6, 3), {"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        (MLPFilter, (2, 2, 3), {"features": 0}, ValueError, "features must be at least 1, got 0"),
        (MLPFilter, (2, 2, 3), {"features": 2.5}, TypeError, r"features must be an integer, got 2\.5"),
        (MLPFilter, (2, 2, 3), {"hidden": 0}, ValueError, "hidden must be at least 1, got 0"),
        (MLPFilter, (2, 2, 3), {"trunk": "relu"}, ValueError, "trunk must be one of .*siren, got 'relu'"),
        (MLPFilter, (2, 2, 3), {"trunk": "fourier", "hidden": 3}, ValueError, "hidden must be even.*got 3"),
        (MLPFilter, (2, 2, 3), {"frequency": math.nan}, ValueError, "frequency must be finite, got nan"),
        (MLPFilter, (2, 2, 3), {"frequency": "4"}, TypeError, "frequency must be a number, got '4'"),
        (
            BSplineFilter,
            (2, 2, 2),
            {},
            ValueError,
            "kernel_size must be degree . 1 and a whole number",
        ),
        (BSplineFilter, (2, 2, 3.5), {}, ValueError, r"spacings, got kernel_size=3\.5, degree=2, spacing=1"),
        (BSplineFilter, (2, 2, 4), {"window": "yes"}, TypeError, "window must be True or False, got 'yes'"),
        (BSplineFilter, (2, 2, 9), {"degree": 6}, ValueError, "degree must be from 1 to 5, got 6"),
        (BSplineFilter, (2, 2, 9), {"degree": 0}, ValueError, "degree must be at least 1, got 0"),
        (BSplineFilter, (2, 2, 4), {"spacing": -1}, ValueError, "spacing must be greater than 0, got -1"),
        (
            BoxFilter,
            (2, 2, (3, 1.5)),
            {},
            ValueError,
            r"kernel_size must be at least 2, for boxes of a pixel, got \(3, 1",
        ),
        (BoxFilter, (2, 2, 3), {"features": 0}, ValueError, "features must be at least 1, got 0"),
        (BoxFilter, (2, 2, 3), {"window": 1}, TypeError, "window must be True or False, got 1"),
        (SplineFilter, (2, 2, 3), {"spacing": 2}, ValueError, "spacing=2 must divide kernel_size=3"),
        (SplineFilter, (2, 2, 3), {"spacing": 0}, ValueError, "spacing must be greater than 0, got 0"),
        (SplineFilter, (2, 2, 3), {"spacing": (1, 1, 1)}, ValueError, "spacing must be a number or a pair"),
        (ClassicalFilter, ("bicubic", 2), {}, ValueError, "kind must be one of linear, .*, got 'bicubic'"),
        (ClassicalFilter, (["cubic"], 2), {}, ValueError, r"kind must be one of linear, .*, got \['cubic'\]"),
        (ClassicalFilter, ("cubic", 10**12), {}, ValueError, "channels ask for a parameter of more than"),
        (MLPFilter, (2, 2, 3), {"trunk": ["siren"]}, ValueError, r"trunk must be one of .*, got \['siren'\]"),
        (MLPFilter, (2, 2, 3), {"window": 1}, TypeError, "window must be True or False, got 1"),
        (MLPFilter, (2, 2, 3), {"partition_of_unity": "yes"}, TypeError, "partition_of_unity must be True or False"),
        (make, (["siren"], 2, 2, 3), {"groups": 1, "window": True}, ValueError, "filter must be a Filter or one of"),
        (ClassicalFilter, ("cubic", 0), {}, ValueError, "channels must be at least 1, got 0"),
        (make, ("relu", 2, 2, 3), {"groups": 1, "window": True}, ValueError, "filter must be .* got 'relu'"),
        (make, ("box", 2, 4, 3), {"groups": 2, "window": True}, ValueError, "out_channels=4 and groups=2 must be"),
    ],
)
def test_wrong_options(build, arguments, options, error, words):
    with pytest.raises(error, match=words):
        build(*arguments, **options)


@pytest.fixture
def names(monkeypatch):
    """New names go when the test ends."""
    monkeypatch.setitem(FILTERS, "mine", None)
    monkeypatch.setitem(TRUNKS, "mine", None)


@pytest.mark.usefixtures("names")
def test_a_registered_filter_is_a_choice_by_name():
    @register("mine")
    class Fine(SplineFilter):
        def __init__(self, *channels_and_size, groups, window):
            super().__init__(*channels_and_size, groups=groups, spacing=0.5, window=window)

    layer = CCConv2d(4, 6, (3, 2), filter="mine", groups=2, window=False)
    assert isinstance(layer.filter, Fine)
    assert layer.filter.counts == (6, 4)
    assert layer(torch.zeros(1, 4, 5, 5), scale=0.7).shape == (1, 6, 4, 4)
    with pytest.raises(ValueError, match=r"filter must be a Filter or one of .*, mine, got 'yours'"):
        CCConv2d(2, 2, 3, filter="yours")


@pytest.mark.usefixtures("names")
def test_a_registered_trunk_is_a_filter_by_name():
    @register_trunk("mine")
    def tanh(hidden, features, frequency):
        return nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, features))

    layer = CCConv2d(2, 3, 3, filter="mine")
    assert isinstance(layer.filter, MLPFilter)
    assert isinstance(layer.filter.trunk.get_submodule("1"), nn.Tanh)
    assert layer(torch.zeros(1, 2, 6, 6), scale=0.5).shape == (1, 3, 3, 3)


def test_what_cannot_be_registered():
    number: Any = 3
    with pytest.raises(TypeError, match=r'name must be text, as in @register\("name"\), got 3'):
        register(number)
    with pytest.raises(TypeError, match="filter 'mine' must be a class or a function, got 3"):
        register("mine")(number)
    with pytest.raises(TypeError, match="trunk 'mine' must be a class or a function, got 3"):
        register_trunk("mine")(number)
    assert "mine" not in FILTERS


def test_a_name_must_make_a_filter(monkeypatch):
    monkeypatch.setitem(FILTERS, "mine", lambda *arguments, **options: nn.Identity())
    with pytest.raises(TypeError, match=r"registered as 'mine' must make a cclib\.filters\.Filter, got Identity"):
        CCConv2d(2, 2, 3, filter="mine")


def test_a_trunk_with_a_buffer_serves_half_precision(monkeypatch):
    class Turned(nn.Sequential):
        def __init__(self, hidden, features, frequency):
            super().__init__(nn.Linear(2, features))
            self.register_buffer("turn", torch.eye(2))

        def forward(self, offsets):
            return super().forward(offsets @ self.turn)

    monkeypatch.setitem(TRUNKS, "turned", Turned)
    layer = CCConv2d(2, 3, 3, filter=MLPFilter(2, 3, 3, trunk="turned"), scale=0.75)
    x = torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(layer.bfloat16()(x.bfloat16()).float(), layer.float()(x), rtol=0.05, atol=0.05)


def test_a_frequency_may_be_a_fraction():
    torch.manual_seed(0)
    whole = MLPFilter(2, 2, 3, frequency=6)
    torch.manual_seed(0)
    six: Any = Fraction(6)
    fraction = MLPFilter(2, 2, 3, frequency=six)
    offsets = torch.rand(5, 2)
    assert torch.equal(whole(offsets), fraction(offsets))
