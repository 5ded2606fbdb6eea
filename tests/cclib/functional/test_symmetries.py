"""The output moves and flips with the input, in every implementation."""

import math
from fractions import Fraction

import pytest
import torch
from functional_cases import every_implementation

from cclib import CCConv2d, cc_conv2d
from cclib.filters import Filter, MLPFilter


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
def test_the_output_flips_with_the_input(implementation, dims, window, stretch, kernel_size, scale):
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
    moved_start = tuple(a + s for a, s in zip(start, shift, strict=True))
    torch.testing.assert_close(cc_conv2d(moved, filter, start=moved_start, **arguments), y, rtol=0, atol=1e-11)
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
