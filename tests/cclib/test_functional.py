"""cc_conv2d: every implementation against slow loops, its symmetries, gradients and types, and how ``auto`` chooses.

The slow loops share with cclib only the filter's own values. Discrete layers are in test_layers.py, classical
resizers in test_filters.py.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from cclib import CCConv2d, cc_conv2d, explain
from cclib.filters import ClassicalFilter, Filter, MLPFilter, SplineFilter, make
from cclib.functional import IMPLEMENTATIONS, PADDING_MODES, basis, gather, pixels
from cclib.functional.choice import MEMORY_LIMIT

PROPERTY = settings(derandomize=True, deadline=None, database=None)
every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


class Calls(TorchDispatchMode):
    """Counts the convolutions that run inside, and the bytes of the largest tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.convolutions += func is torch.ops.aten.convolution.default
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        return result


# ---------------------------------------------------------------------------------------------- the slow way


def slow_axis(n_in, scale, size, start):
    """The position of every output, and the scale, as fractions."""
    if scale is None:
        scale = Fraction(size, n_in) if size is not None else Fraction(1)
    scale = Fraction(scale)
    n_out = size if size is not None else -((-n_in * scale.numerator) // scale.denominator)
    if start is None:
        start = Fraction(n_in - 1, 2) - Fraction(n_out - 1, 2) / scale
    return [Fraction(start) + o / scale for o in range(n_out)], scale


def slow_taps(position, scale, support, vanishes, stretch):
    """(tap, offset at which the filter is read) of one output."""
    shrink = scale if stretch and scale < 1 else Fraction(1)
    reach = support / 2 / shrink
    near = range(math.floor(position - reach) - 2, math.ceil(position + reach) + 3)
    inside = (lambda d: d < reach) if vanishes else (lambda d: d <= reach)
    return [(q, float(shrink * (q - position))) for q in near if inside(abs(q - position))]


def slow_pixel(q, n, padding_mode):
    """The pixel that stands for index q, or None for a zero."""
    if padding_mode == "zeros":
        return q if 0 <= q < n else None
    if padding_mode == "replicate":
        return 0 if q < 0 else n - 1 if q >= n else q
    if padding_mode == "circular":
        while q < 0:
            q += n
        while q >= n:
            q -= n
        return q
    return -q if q < 0 else 2 * (n - 1) - q if q >= n else q


def slow_convolution(x, filter, bias, scale, size, start, groups, padding_mode, stretch):
    """The definition of the layer, tap by tap; scale, size and start are pairs of exact numbers or None."""
    geometry = [slow_axis(n, *one) for n, *one in zip(x.shape[-2:], scale, size, start, strict=True)]
    windows = [
        [slow_taps(position, ratio, support, filter.vanishes, stretch) for position in positions]
        for (positions, ratio), support in zip(geometry, filter.support, strict=True)
    ]
    out_channels = filter.coefficients().shape[1]
    pixels = x.unflatten(1, (groups, 1, -1)).numpy()  # (batch, group, 1, in / groups, height, width)
    y = np.zeros((len(x), groups, out_channels // groups, len(windows[0]), len(windows[1])))
    for i, rows in enumerate(windows[0]):
        for j, columns in enumerate(windows[1]):
            read = [(p, q, (v, h)) for p, v in rows for q, h in columns]
            if not read:
                continue
            offsets = torch.tensor([offset for *_, offset in read], dtype=x.dtype)
            weights = filter(offsets)
            if stretch:
                weights = weights / filter.mass(offsets).sum()
            for (p, q, _), weight in zip(read, weights.unflatten(1, (groups, -1)).detach().numpy(), strict=True):
                row, column = slow_pixel(p, x.shape[2], padding_mode), slow_pixel(q, x.shape[3], padding_mode)
                if row is not None and column is not None:
                    y[..., i, j] += (pixels[..., row, column] * weight).sum(-1)
    y = torch.from_numpy(y).flatten(1, 2)
    return y if bias is None else y + bias[:, None, None]


scales = st.one_of(
    st.fractions(Fraction(1, 4), 3, max_denominator=8),
    st.sampled_from([math.sqrt(0.5), math.sqrt(2), math.pi / 3, 0.5, 1.0, 1.5]),
)
starts = st.one_of(st.none(), st.fractions(-3, 8, max_denominator=6), st.just(math.sqrt(3)))
supports = st.sampled_from([1, 2, 3, 4, Fraction(5, 2), Fraction(1, 3)])


@st.composite
def axes(draw):
    """Input size, scale, size and start of one axis: scale, size, both or neither are given."""
    return (
        draw(st.integers(1, 6)),
        draw(st.none() | scales),
        draw(st.none() | st.integers(1, 7)),
        draw(starts),
    )


@st.composite
def some_filters(draw):
    """A filter and its groups."""
    kind = draw(st.sampled_from(["siren", "silu", "fourier", "spline", "linear", "cubic", "lanczos3", "box"]))
    torch.manual_seed(draw(st.integers(0, 9)))
    if kind in ("linear", "cubic", "lanczos3", "box"):
        groups = draw(st.integers(1, 3))
        return ClassicalFilter(kind, groups), groups
    groups, inside, outside = (draw(st.sampled_from(n)) for n in ((1, 2, 3), (1, 2), (1, 2)))
    window, support = draw(st.booleans()), (draw(supports), draw(supports))
    if kind == "spline":
        sides = tuple(math.ceil(side) for side in support)
        filter = SplineFilter(groups * inside, groups * outside, sides, groups=groups, spacing=(1, 0.5), window=window)
    else:
        filter = MLPFilter(groups * inside, groups * outside, support, groups=groups, trunk=kind, window=window)
    return filter.double(), groups


@given(some_filters(), axes(), axes(), st.integers(1, 2), st.sampled_from(PADDING_MODES), st.booleans(), st.booleans())
@settings(PROPERTY, max_examples=300)
def test_every_implementation_equals_the_slow_loops(filter, vertical, horizontal, batch, padding_mode, stretch, biased):
    filter, groups = filter
    out_channels, in_per_group = filter.coefficients().shape[1:]
    (height, width), *geometry = zip(vertical, horizontal, strict=True)
    x = torch.randn(batch, in_per_group * groups, height, width, dtype=torch.float64)
    bias = torch.randn(out_channels, dtype=torch.float64) if biased else None
    arguments = dict(zip(("scale", "size", "start"), geometry, strict=True))
    arguments |= {"groups": groups, "padding_mode": padding_mode, "stretch": stretch}
    if padding_mode == "reflect" and too_wide(filter, (height, width), stretch, *geometry):
        for implementation in (*IMPLEMENTATIONS, "auto"):
            with pytest.raises(ValueError, match=r"padding_mode 'reflect' allows a pad of at most \d+ on \d+ pixels"):
                cc_conv2d(x, filter, bias, **arguments, implementation=implementation)
        return
    expected = slow_convolution(x, filter, bias, **arguments)
    found = {name: cc_conv2d(x, filter, bias, **arguments, implementation=name) for name in IMPLEMENTATIONS}
    magnitude = expected.abs().max().clamp_min(1)
    for name, y in found.items():
        for other in (expected, found["reference"]):
            torch.testing.assert_close(y / magnitude, other / magnitude, rtol=0, atol=1e-10, msg=name)
    automatic = cc_conv2d(x, filter, bias, **arguments)
    assert any(torch.equal(automatic, y) for y in found.values())


def too_wide(filter, shape, stretch, scale, size, start):
    """Whether any output reads further out than a reflection reaches."""
    read = {}
    for axis, n in enumerate(shape):
        positions, ratio = slow_axis(n, scale[axis], size[axis], start[axis])
        taps = [slow_taps(u, ratio, filter.support[axis], filter.vanishes, stretch) for u in positions]
        read[axis] = [q for one in taps for q, _ in one]
    return any(q < 1 - n or q > 2 * (n - 1) for axis, n in enumerate(shape) for q in read[axis])


def test_a_value_worked_out_by_hand():
    # Outputs fall at 0.5 and 2.5; the stretched tent reads 0 … 2 about 0.5 with weights 3, 3, 1 and −1 with weight 1.
    x = torch.tensor([0.0, 8.0, 16.0, 24.0]).reshape(1, 1, 4)
    y = cc_conv2d(x, ClassicalFilter("linear", 1), size=(1, 2), stretch=True, padding_mode="replicate")
    assert y.tolist() == [[[5.0, 19.0]]]
    zeros = cc_conv2d(x, ClassicalFilter("linear", 1), size=(1, 2), stretch=True)
    assert zeros.tolist() == [[[5.0, 16.0]]]


# ---------------------------------------------------------------------------------------------- symmetries


class Flipped(Filter):
    """A filter read from the other side, vertically, horizontally or both."""

    def __init__(self, filter: Filter, dims: tuple[int, ...]) -> None:
        super().__init__(filter.support, filter.vanishes)
        self.filter = filter
        self.signs = [-1.0 if dim in dims else 1.0 for dim in (-2, -1)]

    def basis(self, offsets):
        return self.filter.basis(offsets * offsets.new_tensor(self.signs))

    def mass(self, offsets):
        return self.filter.mass(offsets * offsets.new_tensor(self.signs))

    def coefficients(self):
        return self.filter.coefficients()


# Kernel 3 at scale 3/4, 2 at 1 and 4 at 1/2 put an edge of the window on pixel centres.
@every_implementation
@pytest.mark.parametrize("dims", [(-1,), (-2,), (-2, -1)])
@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("stretch", [False, True])
@pytest.mark.parametrize(
    ("kernel_size", "scale"), [(3, 0.75), (2, 1), (4, 0.5), (3, (0.75, 0.6)), (Fraction(8, 3), Fraction(9, 8))]
)
def test_flip_the_input_and_the_output_flips(implementation, dims, window, stretch, kernel_size, scale):
    torch.manual_seed(0)
    filter = MLPFilter(2, 3, kernel_size, window=window).double()
    for height, width in ((8, 7), (9, 12)):
        x = torch.randn(1, 2, height, width, dtype=torch.float64)
        arguments = {"scale": scale, "stretch": stretch, "implementation": implementation}
        y = cc_conv2d(x, filter, **arguments)
        flipped = cc_conv2d(x.flip(dims), Flipped(filter, dims), **arguments)
        torch.testing.assert_close(flipped.flip(dims), y, rtol=0, atol=1e-12)


def wave(shape, frequencies, shift=(0.0, 0.0)):
    """A sum of random real waves, periodic on the image, sampled ``shift`` pixels later."""
    generator = torch.Generator().manual_seed(0)
    axes = [2 * math.pi * (torch.arange(n, dtype=torch.float64) - s) / n for n, s in zip(shape, shift, strict=True)]
    total = torch.zeros(shape, dtype=torch.float64)
    for v in frequencies[0]:
        for h in frequencies[1]:
            amplitude, phase = torch.randn(2, generator=generator, dtype=torch.float64)
            total += amplitude * torch.cos(v * axes[0][:, None] + h * axes[1] + phase)
    return total[None, None]


@every_implementation
@pytest.mark.parametrize("filter", ["siren", "spline"])
@pytest.mark.parametrize("window", [False, True])
def test_start_follows_an_integer_shift_exactly(implementation, filter, window):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, filter=filter, window=window, padding_mode="circular", implementation=implementation)
    x = torch.randn(1, 2, 9, 8, dtype=torch.float64)
    y = layer.double()(x, scale=(0.75, 1.3), start=(0.2, -0.7))
    for shift in ((1, 0), (0, 3), (-2, 5)):
        moved = layer(
            x.roll(shift, (-2, -1)),
            scale=(0.75, 1.3),
            start=(Fraction(1, 5) + shift[0], Fraction(-7, 10) + shift[1]),
            size=y.shape[-2:],
        )
        torch.testing.assert_close(moved, y, rtol=0, atol=1e-13)


class Hann(Filter):
    """A raised cosine of 4 × 4 pixels. Its Fourier transform is zero at 2/4, 3/4, 4/4, … of a cycle per pixel."""

    def __init__(self) -> None:
        super().__init__((Fraction(4), Fraction(4)), vanishes=True)

    def basis(self, offsets):
        return torch.cos(math.pi / 4 * offsets).square().prod(-1, keepdim=True)

    def coefficients(self):
        return torch.tensor([1.0, -0.4], dtype=torch.float64).reshape(1, 2, 1)


# Sampling the filter at the pixels adds to its transform at a frequency f the values at f ± 1, f ± 2, …; moving by s
# turns each of those by s cycles, so that only they can tell where the pixels are. For f = 0 and ± 1/4 the Hann filter
# has zeros there: no error but rounding, for any real shift.
@every_implementation
@pytest.mark.parametrize("shift", [(0.3, -1.7), (1 / math.sqrt(2), 0.01), (0.5, 2.5)])
@pytest.mark.parametrize("scale", [0.75, (1.4, 0.5), 1 / math.sqrt(3)])
def test_start_follows_a_sub_pixel_shift_of_a_band_limited_image(implementation, shift, scale):
    filter, start, size = Hann(), (0.2, -0.7), (9, 11)
    arguments = {"scale": scale, "size": size, "padding_mode": "circular", "implementation": implementation}
    frequencies = ((0, 4), (-4, 0, 4))  # per 16 pixels
    y = cc_conv2d(wave((16, 16), frequencies), filter, start=start, **arguments)
    moved = wave((16, 16), frequencies, shift)
    there = tuple(a + s for a, s in zip(start, shift, strict=True))
    torch.testing.assert_close(cc_conv2d(moved, filter, start=there, **arguments), y, rtol=0, atol=1e-11)
    assert (cc_conv2d(moved, filter, start=start, **arguments) - y).abs().max() > 1e-2


# A learned filter is not band-limited. What the pixels add varies over one pixel by as much as the sums below do, and
# the error cannot be larger; for a wide windowed filter and slow waves that is a small part of the output.
def test_a_learned_filter_follows_a_sub_pixel_shift_up_to_what_its_spectrum_lets_through():
    torch.manual_seed(0)
    width, frequencies = 32, (1, 2, 3)
    filter = MLPFilter(1, 1, (1, 8), frequency=4).double()
    fine = torch.arange(64, dtype=torch.float64) / 64
    taps = torch.arange(-5, 6, dtype=torch.float64)
    offsets = taps[:, None] - fine  # (taps, positions within a pixel)
    weights = filter(torch.stack([torch.zeros_like(offsets), offsets], -1)).detach()[..., 0, 0]
    weights = torch.where(offsets.abs() < 4, weights, 0.0)
    bound = 0.0
    for frequency in frequencies:
        sampled = (weights * torch.exp(2j * math.pi * frequency * offsets / width)).sum(0)
        bound += (sampled[:, None] - sampled).abs().max().item()

    def image(shift):
        q = 2 * math.pi * (torch.arange(width, dtype=torch.float64) - shift) / width
        return torch.stack([torch.cos(frequency * q) for frequency in frequencies]).sum(0).reshape(1, 1, 1, width)

    def output(shift, start):
        return cc_conv2d(image(shift), filter, scale=(1, 0.5), start=(0, start), padding_mode="circular").detach()

    y = output(0.0, 0.25)
    errors = [(output(s, 0.25 + s) - y).abs().max().item() for s in (1 / 64, 0.25, 0.5, 1.75)]
    assert all(0 < error <= bound for error in errors)
    assert bound < 0.05 * y.abs().max()
    assert (output(0.5, 0.25) - y).abs().max() > 3 * bound


# ---------------------------------------------------------------------------------------------- gradients and types

GRADIENT_CASES = {
    "windowed siren, down": ({"filter": "siren"}, {"scale": 0.6}),
    "stretched fourier": ({"filter": "fourier", "stretch": True}, {"scale": (0.6, 1.5)}),
    "silu, groups, scale 1": ({"filter": "silu", "groups": 2, "window": False}, {"scale": 1}),
    "spline, up, circular": ({"filter": "spline", "padding_mode": "circular"}, {"scale": math.sqrt(2)}),
}


@every_implementation
@pytest.mark.parametrize(("options", "geometry"), GRADIENT_CASES.values(), ids=GRADIENT_CASES)
def test_first_and_second_derivatives(implementation, options, geometry):
    torch.manual_seed(0)
    layer = CCConv2d(2, 2, 2, implementation=implementation, **options)
    if options["filter"] != "spline":
        narrow = MLPFilter(
            2,
            2,
            2,
            groups=layer.groups,
            trunk=options["filter"],
            window=options.get("window", True),
            features=2,
            hidden=2,
        )
        layer.filter = narrow
    layer.double()
    names, values = zip(*layer.named_parameters(), strict=True)

    def output(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,), geometry)

    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert "bias" in names
    assert len(names) >= 2
    assert torch.autograd.gradcheck(output, (x, *values), fast_mode=True)
    assert torch.autograd.gradgradcheck(output, (x, *values), fast_mode=True)


@every_implementation
@pytest.mark.parametrize("scale", [0.75, 1, 1.5])
def test_autocast(implementation, scale):
    torch.manual_seed(0)
    fast = MLPFilter(4, 6, 3, groups=2, frequency=60)  # 60 times the rounding error of bfloat16 would be seen
    layer = CCConv2d(4, 6, 3, scale=scale, groups=2, filter=fast, implementation=implementation)
    x = torch.randn(2, 4, 9, 8)
    expected = layer(x)
    for image in (x, x.bfloat16()):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(image)
        assert y.dtype == torch.bfloat16
        assert (y - expected).abs().max() < 0.02 * expected.abs().max()
    y.float().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 and parameter.grad.any() for parameter in layer.parameters())


@every_implementation
@pytest.mark.parametrize("filter", ["siren", "silu", "fourier", "spline"])
@pytest.mark.parametrize("stretch", [False, True])
def test_bfloat16_layers(implementation, filter, stretch):
    torch.manual_seed(0)
    layer = CCConv2d(4, 6, 3, scale=0.75, filter=filter, stretch=stretch, implementation=implementation).bfloat16()
    x = torch.randn(2, 4, 9, 8).bfloat16()
    y = layer(x)
    assert y.dtype == torch.bfloat16
    expected = layer.float()(x.float())  # of the same rounded parameters
    assert (y - expected).abs().max() < 0.02 * expected.abs().max()


@every_implementation
@pytest.mark.parametrize("filter", ["linear", "box"])
def test_classical_filters_serve_every_type(implementation, filter):
    torch.manual_seed(0)
    x = torch.rand(1, 2, 9, 8, dtype=torch.float64)
    arguments = {"scale": 0.75, "groups": 2, "stretch": True, "implementation": implementation}
    expected = cc_conv2d(x, ClassicalFilter(filter, 2), **arguments)
    for dtype, error in ((torch.float32, 1e-6), (torch.bfloat16, 0.02)):
        y = cc_conv2d(x.to(dtype), ClassicalFilter(filter, 2), **arguments)
        assert y.dtype == dtype
        assert (y - expected).abs().max() < error


@every_implementation
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_memory_formats_and_unbatched_input(implementation, padding_mode):
    torch.manual_seed(0)
    layer = CCConv2d(3, 4, 3, padding_mode=padding_mode, implementation=implementation).double()
    x = torch.randn(2, 3, 7, 8, dtype=torch.float64)
    for scale in (1, 0.7, 1.5):
        y = layer(x, scale=scale)
        same = [x.to(memory_format=torch.channels_last), x.mT.contiguous().mT, torch.stack([x, x], -1)[..., 1]]
        assert not any(other.is_contiguous() for other in same)
        for other in same:
            torch.testing.assert_close(layer(other, scale=scale), y, rtol=0, atol=1e-13)
        torch.testing.assert_close(layer(x[1], scale=scale), y[1], rtol=0, atol=1e-13)
        expanded = layer(x[:1, :1, :1].expand_as(x), scale=scale)
        torch.testing.assert_close(expanded, layer(x[:1, :1, :1].repeat(2, 3, 7, 1), scale=scale), rtol=0, atol=1e-13)
        assert layer(x[:0], scale=scale).shape == (0, *y.shape[1:])


def test_the_input_is_left_alone():
    layer = CCConv2d(2, 2, 3)
    x = torch.randn(1, 2, 6, 6)
    before = x.clone()
    layer(x, scale=0.7)
    assert torch.equal(x, before)


# ---------------------------------------------------------------------------------------------- the fast paths

# Each of them is taken at one of these: one convolution, a transposed one, patches, line by line.
FAST = {
    "convolution": ("phases", 1),
    "transposed": ("phases", 2),
    "phases": ("phases", 0.75),
    "phases, up": ("phases", (1.5, 0.4)),
    "one phase a pixel": ("phases", math.sqrt(0.5)),
    "basis": ("basis", 0.75),
    "basis, up": ("basis", (1.5, math.sqrt(0.5))),
    "pixels": ("pixels", 0.75),
    "pixels, up": ("pixels", (1.5, math.sqrt(0.5))),
}
every_fast_path = pytest.mark.parametrize(("implementation", "scale"), FAST.values(), ids=FAST)


def incoming(layout, shape):
    """A gradient of the output."""
    gradient = torch.randn(shape, dtype=torch.float64)
    return {
        "contiguous": gradient,
        "channels_last": gradient.contiguous(memory_format=torch.channels_last),
        "transposed": gradient.mT.contiguous().mT,
        "expanded": gradient[:1, :, :1].expand(shape),
        "one number": gradient[:1, :1, :1, :1].expand(shape),
        "every other": torch.stack([gradient, gradient], -1)[..., 1],
    }[layout]


LAYOUTS = ("contiguous", "channels_last", "transposed", "expanded", "one number", "every other")


@given(
    some_filters(), axes(), axes(), st.integers(1, 3), st.sampled_from(PADDING_MODES), st.booleans(),
    st.sampled_from(LAYOUTS), st.booleans(), st.sampled_from([None, 0, 40, 1000]), st.data(),
)  # fmt: skip
@settings(PROPERTY, max_examples=120)
def test_gradients_equal_those_of_the_reference(
    filter, vertical, horizontal, batch, padding_mode, stretch, layout, channels_last, buffer, data
):
    filter, groups = filter
    out_channels, in_per_group = filter.coefficients().shape[1:]
    (height, width), *geometry = zip(vertical, horizontal, strict=True)
    assume(padding_mode != "reflect" or not too_wide(filter, (height, width), stretch, *geometry))
    x = torch.randn(batch, in_per_group * groups, height, width, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    inputs = [x, torch.randn(out_channels, dtype=torch.float64), *filter.parameters()]
    wanted = [value.requires_grad_(data.draw(st.booleans())) for value in inputs]
    wanted = [value for value in wanted if value.requires_grad]
    arguments = dict(zip(("scale", "size", "start"), geometry, strict=True))
    arguments |= {"groups": groups, "padding_mode": padding_mode, "stretch": stretch}

    def gradients(implementation, gradient=None):
        y = cc_conv2d(x, filter, inputs[1], **arguments, implementation=implementation)
        gradient = incoming(layout, y.shape) if gradient is None else gradient
        if not y.requires_grad:
            return gradient, []
        return gradient, torch.autograd.grad(y, wanted, gradient, allow_unused=True, materialize_grads=True)

    gradient, expected = gradients("reference")
    with pytest.MonkeyPatch.context() as patch:
        if buffer is not None:  # one line, or even one image or run, at a time
            patch.setattr(gather, "PATCH_BYTES", buffer)
            patch.setattr(basis, "SHARE", buffer / 1000)
            patch.setattr(pixels, "SHARE", buffer / 1000)
        for implementation in ("phases", "basis", "pixels"):
            _, found = gradients(implementation, gradient)
            for a, b in zip(found, expected, strict=True):
                magnitude = b.abs().max().clamp_min(1)
                torch.testing.assert_close(a / magnitude, b / magnitude, rtol=0, atol=1e-10, msg=implementation)


@every_fast_path
@pytest.mark.parametrize("buffer", [0, 300, 3000, 20000])
def test_small_buffers_change_nothing(monkeypatch, implementation, scale, buffer):
    torch.manual_seed(0)
    layer = CCConv2d(3, 5, 3, implementation=implementation).double()
    x = torch.randn(4, 3, 11, 13, dtype=torch.float64, requires_grad=True)

    def results():
        y = layer(x, scale=scale)
        return y, *torch.autograd.grad(y.cos().sum(), [x, *layer.parameters()])

    expected = results()
    monkeypatch.setattr(gather, "PATCH_BYTES", buffer)
    monkeypatch.setattr(basis, "SHARE", buffer / 20000)
    monkeypatch.setattr(pixels, "SHARE", buffer / 20000)
    with torch.no_grad():
        inferred = layer(x, scale=scale)
    torch.testing.assert_close((*results(), inferred), (*expected, expected[0]), rtol=0, atol=1e-12)


@every_fast_path
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
def test_backward_leaves_the_image_and_the_gradient_alone(implementation, scale, channels, stored):
    layer = CCConv2d(channels, channels, 3, implementation=implementation)
    x = torch.randn(2, channels, 8, 12).contiguous(memory_format=stored).requires_grad_()
    y = layer(x, scale=scale)
    gradient = torch.randn_like(y)
    tensors = (x.detach(), gradient, *(parameter.detach() for parameter in layer.parameters()))
    before = [tensor.clone() for tensor in tensors]
    y.backward(gradient)
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))


@every_fast_path
@pytest.mark.parametrize("channels", [1, 3])
def test_the_output_is_stored_as_the_input_is(implementation, scale, channels):
    layer = CCConv2d(2, channels, 3, implementation=implementation)
    x = torch.randn(2, 2, 8, 9)
    for stored in (torch.contiguous_format, torch.channels_last):
        image = x.contiguous(memory_format=stored)
        y = layer(image, scale=scale)
        assert y.is_contiguous(memory_format=stored)
        with torch.no_grad():
            assert layer(image, scale=scale).is_contiguous(memory_format=stored)


@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("implementation", ["basis", "pixels"])
def test_line_by_line_the_gradient_is_stored_as_the_input_is(implementation, stored):
    x = torch.randn(2, 2, 8, 9).contiguous(memory_format=stored).requires_grad_()
    y = CCConv2d(2, 3, 3, implementation=implementation)(x, scale=0.7)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.is_contiguous(memory_format=stored)


@every_fast_path
@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_output_can_be_changed_in_place(implementation, scale, stored, channels):
    torch.manual_seed(0)
    layer = CCConv2d(2, channels, 3, implementation=implementation).double()
    x = torch.randn(2, 2, 8, 9, dtype=torch.float64).contiguous(memory_format=stored)
    expected = torch.autograd.grad(layer(x, scale=scale).relu().sum(), list(layer.parameters()))
    found = torch.autograd.grad(layer(x, scale=scale).relu_().sum(), list(layer.parameters()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    with torch.no_grad():
        y = layer(x, scale=scale)
    y.mul_(torch.ones(1, dtype=torch.float64, requires_grad=True)).sum().backward()


@every_fast_path
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_gradients_of_an_empty_batch(implementation, scale, padding_mode):
    layer = CCConv2d(2, 3, 3, padding_mode=padding_mode, implementation=implementation)
    x = torch.zeros(0, 2, 8, 9, requires_grad=True)
    layer(x, scale=scale).sum().backward()
    assert x.grad.shape == x.shape
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in layer.parameters())


@every_fast_path
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gradients(implementation, scale, dtype):
    torch.manual_seed(0)
    layer = CCConv2d(8, 8, 3, implementation=implementation).to(dtype)
    x = torch.randn(4, 8, 24, 24).to(dtype)
    error = 4 * torch.finfo(dtype).eps

    def gradients(layer, x):
        x = x.detach().requires_grad_()
        y = layer(x, scale=scale)
        weight = torch.linspace(0.5, 1, y.numel(), dtype=torch.float64).reshape(y.shape).to(dtype)
        return torch.autograd.grad(y, [x, *layer.parameters()], weight.to(y.dtype))

    found = gradients(layer, x)
    layer.implementation = "reference"
    for a, b in zip(found, gradients(layer.double(), x.double()), strict=True):
        assert a.dtype == dtype
        assert (a - b).abs().max() < error * b.abs().max()


@every_fast_path
@pytest.mark.parametrize("inside", [True, False])
def test_backward_inside_and_outside_of_autocast(implementation, scale, inside):
    torch.manual_seed(0)
    layer = CCConv2d(4, 4, 3, implementation=implementation)
    x = torch.randn(2, 4, 9, 8, requires_grad=True)
    expected = torch.autograd.grad(layer(x, scale=scale).sum(), [x, *layer.parameters()])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x, scale=scale)
        assert y.dtype == torch.bfloat16
        found = torch.autograd.grad(y.float().sum(), [x, *layer.parameters()]) if inside else None
    found = found or torch.autograd.grad(y.float().sum(), [x, *layer.parameters()])
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).abs().max() < 0.03 * b.abs().max()


@every_fast_path
@pytest.mark.parametrize("first", ["bias", "weight", "x"])
def test_second_derivatives_where_one_input_alone_is_wanted(implementation, scale, first):
    torch.manual_seed(0)
    layer = CCConv2d(2, 2, 2, implementation=implementation).double().requires_grad_(False)
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64)
    wanted = {"bias": layer.bias, "weight": layer.filter.weight, "x": x}[first].requires_grad_()

    def second():
        (gradient,) = torch.autograd.grad(layer(x, scale=scale).pow(3).sum(), [wanted], create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), [wanted])

    found = second()
    layer.implementation = "reference"
    torch.testing.assert_close(found, second(), rtol=1e-9, atol=1e-10)


@every_fast_path
def test_gradients_of_each_image_by_torch_func(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, implementation=implementation).double()
    parameters = dict(layer.named_parameters())
    x = torch.randn(3, 2, 6, 7, dtype=torch.float64)

    def loss(values, x):
        return torch.func.functional_call(layer, values, (x,), {"scale": scale}).cos().sum()

    of_each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    for index, image in enumerate(x):
        expected = torch.autograd.grad(loss(parameters, image), list(parameters.values()))
        torch.testing.assert_close([g[index] for g in of_each.values()], list(expected), rtol=0, atol=1e-11)


@every_fast_path
def test_vmap_of_the_layer(implementation, scale):
    layer = CCConv2d(2, 3, 3, implementation=implementation).double()
    x = torch.randn(4, 2, 2, 6, 7, dtype=torch.float64)
    expected = torch.stack([layer(images, scale=scale) for images in x])
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            found = torch.func.vmap(layer)(x, scale=scale)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@every_fast_path
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch meets its own
def test_jacobians_by_torch_func(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(1, 2, 2, implementation=implementation).double()
    x = torch.randn(1, 1, 3, 4, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(lambda x: layer(x, scale=scale), x)
    for jacobian in (torch.func.jacfwd, torch.func.jacrev):
        torch.testing.assert_close(jacobian(lambda x: layer(x, scale=scale))(x), expected, rtol=0, atol=1e-12)


@every_fast_path
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch meets its own
def test_forward_mode_derivatives(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, implementation=implementation).double()
    x, tangent = torch.randn(2, 1, 2, 6, 7, dtype=torch.float64)
    expected = layer(x + tangent, scale=scale) - layer(x, scale=scale)
    for frozen in (False, True):
        layer.requires_grad_(not frozen)
        with forward_ad.dual_level():
            y = layer(forward_ad.make_dual(x, tangent), scale=scale)
            torch.testing.assert_close(forward_ad.unpack_dual(y).tangent, expected, rtol=0, atol=1e-11)


@every_fast_path
def test_batched_gradients(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, implementation=implementation).double()
    x = torch.randn(1, 2, 6, 7, dtype=torch.float64, requires_grad=True)
    y = layer(x, scale=scale)
    gradients, inputs = torch.randn(4, *y.shape, dtype=torch.float64), [x, *layer.parameters()]
    found = torch.autograd.grad(y, inputs, gradients, retain_graph=True, is_grads_batched=True)
    for index, gradient in enumerate(gradients):
        expected = torch.autograd.grad(y, inputs, gradient, retain_graph=True)
        torch.testing.assert_close(tuple(g[index] for g in found), expected, rtol=0, atol=1e-11)


@every_fast_path
def test_a_checkpointed_layer(implementation, scale):
    layer = CCConv2d(2, 3, 3, implementation=implementation).double()
    x = torch.randn(2, 2, 8, 9, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    expected = torch.autograd.grad(layer(x, scale=scale).cos().sum(), inputs)
    y = checkpoint(layer, x, scale=scale, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(y.cos().sum(), inputs), expected, rtol=0, atol=1e-13)


@every_fast_path
def test_backward_twice(implementation, scale):
    layer = CCConv2d(2, 3, 3, implementation=implementation)
    x = torch.randn(2, 2, 8, 9, requires_grad=True)
    y, inputs = layer(x, scale=scale), [x, *layer.parameters()]
    first = torch.autograd.grad(y.sum(), inputs, retain_graph=True)
    second = torch.autograd.grad(y.sum(), inputs)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y.sum(), inputs)


@every_fast_path
def test_the_input_may_not_change_before_backward(implementation, scale):
    layer = CCConv2d(2, 3, 3, implementation=implementation)
    x = torch.randn(2, 2, 8, 9).contiguous(memory_format=torch.channels_last)
    y = layer(x, scale=scale)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@every_fast_path
def test_threads_share_a_layer(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, implementation=implementation)
    images = [torch.randn(1, 2, 8 + i % 3, 9) for i in range(12)]

    def training(image):
        y = layer(image, scale=scale)
        return y.detach(), *torch.autograd.grad(y.sum(), list(layer.parameters()))

    def inference(image):
        with torch.no_grad():
            return (layer(image, scale=scale),)

    for run in (training, inference):
        expected = [run(image) for image in images]
        with ThreadPoolExecutor(6) as pool:
            for found, wanted in zip(pool.map(run, images * 4), expected * 4, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@every_fast_path
def test_inference_mode_equals_training(implementation, scale):
    layer = CCConv2d(2, 3, 3, implementation=implementation)
    x = torch.randn(2, 2, 8, 9)
    expected = layer(x, scale=scale)
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(layer(x, scale=scale), expected)


# ---------------------------------------------------------------------------------------------- the choice


@pytest.mark.parametrize(
    ("kernel_size", "groups", "padding_mode"), [(3, 1, "zeros"), (4, 2, "circular"), ((2, 5), 1, "reflect")]
)
def test_at_scale_1_phases_is_one_convolution(kernel_size, groups, padding_mode):
    filter = MLPFilter(4, 6, kernel_size, groups=groups)
    for arguments in ({}, {"scale": 1.0}, {"start": (0.3, -0.2)}, {"scale": 0.5}):
        with Calls() as calls:
            cc_conv2d(
                torch.randn(2, 4, 12, 11), filter, groups=groups, padding_mode=padding_mode,
                implementation="phases", **arguments,
            )  # fmt: skip
        assert calls.convolutions == 1


@pytest.mark.parametrize(
    ("scale", "groups", "convolutions"),
    [(1, 1, 1), (0.5, 1, 1), (2, 1, 1), ((3, 2), 2, 1), ((0.75, 1.5), 1, 0), ((0.75, 1.5), 2, 3 * 3)],
)
def test_the_convolutions_that_phases_makes(scale, groups, convolutions):
    filter = MLPFilter(2, 2, 3, groups=groups)
    with Calls() as calls:
        cc_conv2d(torch.randn(1, 2, 12, 12), filter, scale=scale, groups=groups, implementation="phases")
    assert calls.convolutions == convolutions


@pytest.mark.parametrize("implementation", ["reference", "basis", "pixels"])
def test_the_others_make_no_convolution(implementation):
    with Calls() as calls:
        cc_conv2d(torch.randn(1, 2, 12, 12), MLPFilter(2, 2, 3), scale=(0.75, 1.5), implementation=implementation)
    assert calls.convolutions == 0


@given(
    st.integers(1, 32), st.sampled_from([1, 16, 64, 256]), st.tuples(st.integers(1, 160), st.integers(1, 160)),
    st.sampled_from([2, 4, 7]), scales, st.booleans(),
)  # fmt: skip
@settings(PROPERTY, max_examples=80)
def test_auto_keeps_within_the_memory_limit(batch, channels, shape, kernel_size, scale, stretch):
    filter = ClassicalFilter("cubic", channels) if stretch else MLPFilter(channels, channels, kernel_size)
    found = explain((batch, channels, *shape), filter, scale=scale, stretch=stretch)
    offered = {candidate.implementation for candidate in found.candidates}
    assert offered == set(IMPLEMENTATIONS) - ({"pixels"} if stretch and channels > 1 else set())  # basis, with groups
    picked, others = found.candidates[0], found.candidates[1:]
    assert picked.implementation == found.implementation
    if any(candidate.bytes <= MEMORY_LIMIT for candidate in found.candidates):
        assert picked.bytes <= MEMORY_LIMIT
        assert all(picked.seconds <= other.seconds for other in others if other.bytes <= MEMORY_LIMIT)
    else:
        assert picked.implementation != "reference"
        assert all(picked.bytes <= other.bytes for other in others if other.implementation != "reference")


@pytest.mark.parametrize("scale", [1, 0.75, math.sqrt(0.5), 1.9])
@pytest.mark.parametrize("shape", [(1, 32, 64, 64), (8, 32, 128, 128), (64, 32, 256, 256)])
def test_auto_never_picks_the_reference_on_layers_of_ordinary_size(scale, shape):
    found = explain(shape, MLPFilter(32, 32, 4), scale=scale)
    large = {candidate.implementation: candidate.bytes > MEMORY_LIMIT for candidate in found.candidates}
    assert found.implementation != "reference"
    assert large["reference"]


def test_where_all_are_large_the_reference_comes_last():
    found = explain((128, 32, 512, 512), MLPFilter(32, 32, 2), scale=0.1)
    *others, last = found.candidates
    assert min(candidate.bytes for candidate in found.candidates) > MEMORY_LIMIT
    assert last.implementation == "reference"
    assert others == sorted(others, key=lambda candidate: candidate.bytes)


@pytest.mark.parametrize("scale", [Fraction(1, 300), Fraction(3, 1000)])
def test_the_counted_bytes_cover_pixels_between_the_taps(scale):
    filter, x = MLPFilter(2, 2, 3), torch.randn(1, 2, 8, 8)
    for candidate in explain(x.shape, filter, scale=scale, size=3).candidates:
        with torch.no_grad(), Calls() as calls:
            cc_conv2d(x, filter, scale=scale, size=3, implementation=candidate.implementation)
        assert calls.largest <= candidate.bytes + 2**16, candidate.implementation


@pytest.mark.parametrize("scale", [1, 0.75, math.sqrt(0.5)])
def test_the_counted_bytes_cover_every_temporary_tensor(scale):
    filter, x = MLPFilter(16, 16, 4), torch.randn(2, 16, 40, 40)
    output = 2 * 16 * 40 * 40 * 4
    for candidate in explain(x.shape, filter, scale=scale).candidates:
        with torch.no_grad(), Calls() as calls:
            cc_conv2d(x, filter, scale=scale, implementation=candidate.implementation)
        assert calls.largest <= candidate.bytes + output, candidate.implementation


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((1, 4, 6, 6), {"scale": 1}),
        ((2, 4, 24, 24), {"scale": 0.75}),
        ((2, 4, 24, 24), {"scale": math.sqrt(0.5)}),
        ((1, 4, 12, 12), {"scale": 0.5, "size": (5, 7), "start": (0.1, 2)}),
        ((1, 4, 20, 12), {"size": (7, 13), "stretch": True}),
    ],
)
def test_auto_runs_what_explain_names(monkeypatch, shape, arguments):
    ran = []
    for name, function in list(IMPLEMENTATIONS.items()):
        monkeypatch.setitem(
            IMPLEMENTATIONS, name, lambda *a, name=name, function=function: (ran.append(name), function(*a))[1]
        )
    filter = MLPFilter(4, 6, 3)
    y = cc_conv2d(torch.randn(shape), filter, **arguments)
    found = explain(shape, filter, **arguments)
    assert ran == [found.implementation]
    text = str(found)
    assert repr(found) == text
    assert text.splitlines()[0].split() == [
        "implementation",
        "multiply-adds",
        "moved",
        "MiB",
        "temporary",
        "MiB",
        "calls",
        "pieces",
        "estimate",
        "ms",
    ]
    assert [line.split()[0] for line in text.splitlines()[1:-1]] == [c.implementation for c in found.candidates]
    assert text.splitlines()[-1] == f"auto picks {found.implementation}"
    assert y.shape[0] == shape[0]


@pytest.mark.parametrize(
    ("shape", "out_channels", "arguments", "picked"),
    [
        ((100, 6, 24, 24), 8, {"size": 20}, "pixels"),  # few channels, many phases
        ((100, 1, 28, 28), 6, {"size": 24}, "pixels"),
        ((16, 64, 32, 32), 64, {"scale": 0.75}, "phases"),  # many channels, few phases
        ((2, 64, 56, 56), 64, {"scale": math.sqrt(0.5)}, "basis"),  # many channels, as many phases as pixels
    ],
)
def test_what_auto_picks(shape, out_channels, arguments, picked):
    assert explain(shape, MLPFilter(shape[1], out_channels, 3), **arguments).implementation == picked


def test_the_counted_operations_of_one_convolution():
    filter = MLPFilter(4, 6, 3, features=5, hidden=7)
    phases = next(c for c in explain((2, 4, 10, 10), filter).candidates if c.implementation == "phases")
    convolution = 2 * 6 * 10 * 10 * 9 * 4
    weights = 9 * (5 * 6 * 4) + 9 * (2 * 7 + 7 + 7 * 5 + 5)
    assert phases.multiply_adds == convolution + weights


# ---------------------------------------------------------------------------------------------- extremes and bad input


@every_implementation
@pytest.mark.parametrize("padding_mode", ["zeros", "replicate", "circular"])
def test_a_far_start_needs_no_memory(implementation, padding_mode):
    torch.manual_seed(0)
    filter = MLPFilter(2, 2, 3).double()
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    for far in (10**9, -(10**9), 10**300):
        with Calls() as calls:
            y = cc_conv2d(x, filter, start=(far, 0), padding_mode=padding_mode, implementation=implementation)
        assert calls.largest < 2**18
        near = {"zeros": None, "replicate": 100 if far > 0 else -100, "circular": far % 8}[padding_mode]
        if near is None:
            assert not y.any()
        else:
            close = cc_conv2d(x, filter, start=(near, 0), padding_mode=padding_mode, implementation=implementation)
            torch.testing.assert_close(y, close, rtol=0, atol=1e-13)


@every_implementation
@pytest.mark.parametrize("scale", [1e-3, 1e-9, 1e-300, Fraction(1, 10**30)])
def test_a_tiny_scale_gives_one_output(implementation, scale):
    torch.manual_seed(0)
    filter = MLPFilter(2, 2, 3).double()
    x = torch.randn(1, 2, 7, 6, dtype=torch.float64)
    y = cc_conv2d(x, filter, scale=scale, implementation=implementation)
    torch.testing.assert_close(y, cc_conv2d(x, filter, scale=0.1, implementation="reference"), rtol=0, atol=1e-13)


@every_implementation
def test_a_huge_scale_with_a_size(implementation):
    filter = MLPFilter(2, 2, 3).double()
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    y = cc_conv2d(x, filter, scale=1e30, size=3, implementation=implementation)  # all outputs fall on the centre
    centre = cc_conv2d(x, filter, size=1, scale=1, implementation="reference")
    torch.testing.assert_close(y, centre.expand_as(y), rtol=0, atol=1e-12)


@every_implementation
def test_a_filter_narrower_than_a_pixel_reads_nothing_between_the_pixels(implementation):
    filter = MLPFilter(1, 1, Fraction(1, 3)).double()
    x = torch.randn(1, 1, 3, 3, dtype=torch.float64)
    bias = torch.tensor([0.5], dtype=torch.float64)
    y = cc_conv2d(x, filter, bias, scale=2, start=0, implementation=implementation)
    assert (y[..., 1::2, :] == 0.5).all()
    assert (y[..., ::2, ::2] != 0.5).all()
    assert (cc_conv2d(x, filter, bias, start=0.5, implementation=implementation) == 0.5).all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for start in (0, 0.5):
            y = cc_conv2d(x.float(), filter.float(), bias.float(), scale=2, start=start, implementation=implementation)
            assert y.dtype == torch.bfloat16


X = torch.zeros(1, 4, 6, 5)
SIREN = MLPFilter(4, 6, 3)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"scale": 0}, ValueError, "scale must be greater than 0, got 0"),
        ({"scale": -1.5}, ValueError, r"scale must be greater than 0, got -1\.5"),
        ({"scale": math.nan}, ValueError, "scale must be finite, got nan"),
        ({"scale": math.inf}, ValueError, "scale must be finite, got inf"),
        ({"scale": "2"}, TypeError, "scale must be a number, got '2'"),
        ({"scale": b"ab"}, TypeError, "scale must be a number, got b'ab'"),
        ({"scale": True}, TypeError, "scale must be a number, got True"),
        ({"scale": (1, False)}, TypeError, "scale must be a number, got False"),
        ({"scale": (1, 2, 3)}, ValueError, r"scale must be a number or a pair \(height, width\), got \(1, 2, 3\)"),
        ({"scale": torch.tensor(0.5)}, TypeError, r"scale must be a number, got tensor\(0\.5"),
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": (3, -1)}, ValueError, "size must be at least 1, got -1"),
        ({"size": 2.5}, TypeError, r"size must be an integer, got 2\.5"),
        ({"size": True}, TypeError, "size must be an integer, got True"),
        ({"size": (1, 2, 3)}, ValueError, "size must be a number or a pair"),
        ({"start": math.nan}, ValueError, "start must be finite, got nan"),
        ({"start": "0"}, TypeError, "start must be a number, got '0'"),
        ({"start": (0, 0, 0)}, ValueError, "start must be a number or a pair"),
        ({"groups": 4}, ValueError, "groups must divide the filter's 6 out_channels, got 4"),
        ({"groups": 0}, ValueError, "groups must be at least 1, got 0"),
        ({"groups": 1.0}, TypeError, r"groups must be an integer, got 1\.0"),
        ({"groups": 2}, ValueError, "x must have 8 channels .*, got 4"),
        ({"padding_mode": "same"}, ValueError, "padding_mode must be one of zeros, .*, got 'same'"),
        ({"implementation": "fast"}, ValueError, "implementation must be one of auto, .*, got 'fast'"),
        ({"implementation": ["auto"]}, ValueError, r"implementation must be one of auto, .*, got \['auto'\]"),
        ({"padding_mode": "reflect", "start": (-6, 0)}, ValueError, "pad of at most 5 on 6 pixels, got 7"),
        ({"x": torch.zeros(1, 5, 6, 5)}, ValueError, "x must have 4 channels .*, got 5"),
        ({"x": torch.zeros(6, 5)}, ValueError, r"x must have 4 dimensions .*, got shape \(6, 5\)"),
        ({"x": torch.zeros(1, 1, 4, 6, 5)}, ValueError, r"x must have 4 dimensions .*, got shape \(1, 1, 4, 6, 5\)"),
        ({"x": torch.zeros(1, 4, 0, 5)}, ValueError, "input size must be at least 1, got 0"),
        ({"x": torch.zeros(1, 4, 6, 0)}, ValueError, "input size must be at least 1, got 0"),
        ({"x": X.long()}, TypeError, "x must be of a floating-point type, got torch.int64"),
        ({"x": X.cfloat()}, TypeError, "x must be of a floating-point type, got torch.complex64"),
        ({"x": X.double()}, TypeError, "x and filter must have the same type, got torch.float64 and torch.float32"),
        ({"x": X.bfloat16()}, TypeError, "x and filter must have the same type, got torch.bfloat16 and torch.float32"),
        ({"x": X.numpy()}, TypeError, "x must be a Tensor, got ndarray"),
        ({"filter": "siren"}, TypeError, "filter must be a cclib.filters.Filter, got str"),
        ({"bias": torch.zeros(5)}, ValueError, r"bias must have shape \(6,\), got \(5,\)"),
        ({"bias": torch.zeros(6, 1, 1)}, ValueError, r"bias must have shape \(6,\), got \(6, 1, 1\)"),
        ({"bias": [0.0] * 6}, TypeError, "bias must be a Tensor.*, got list"),
    ],
)  # fmt: skip
def test_bad_input(changes, error, words):
    for implementation in ("auto", *IMPLEMENTATIONS):
        arguments = {"x": X, "filter": SIREN, "implementation": implementation, **changes}
        with pytest.raises(error, match=words):
            cc_conv2d(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((4, 6, 5), SIREN), r"x_shape must be \(batch, channels, height, width\), got \(4, 6, 5\)"),
        (((1, 5, 6, 5), SIREN), "x_shape must have a multiple of the filter's 4 channels per group, got 5"),
        (((1, 4, 0, 5), SIREN), "input size must be at least 1, got 0"),
    ],
)
def test_explain_of_bad_input(arguments, words):
    with pytest.raises(ValueError, match=words):
        explain(*arguments)
    with pytest.raises(ValueError, match="scale must be greater than 0"):
        explain((1, 4, 6, 5), SIREN, scale=-1)


def test_make_gives_every_name_to_the_layer():
    for name in ("siren", "silu", "fourier", "spline", "linear", "cubic", "lanczos3", "box"):
        filter = make(name, 2, 2, 4, groups=2, window=True)
        assert cc_conv2d(torch.ones(1, 2, 5, 5), filter, scale=0.6, groups=2).shape == (1, 2, 3, 3)
