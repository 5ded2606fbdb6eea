"""Types, autocast and memory formats."""

import pytest
import torch
from functional_cases import every_fast_path, every_implementation

from cclib import CCConv2d, cc_conv2d
from cclib.filters import ClassicalFilter, MLPFilter
from cclib.functional import PADDING_MODES


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
@pytest.mark.parametrize("filter", ["siren", "silu", "fourier", "spline", "bspline", "boxes"])
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


@every_fast_path
@pytest.mark.parametrize("channels", [1, 3])
def test_the_output_has_the_memory_format_of_the_input(implementation, scale, channels):
    layer = CCConv2d(2, channels, 3, implementation=implementation)
    x = torch.randn(2, 2, 8, 9)
    for stored in (torch.contiguous_format, torch.channels_last):
        image = x.contiguous(memory_format=stored)
        y = layer(image, scale=scale)
        assert y.is_contiguous(memory_format=stored)
        with torch.no_grad():
            assert layer(image, scale=scale).is_contiguous(memory_format=stored)


@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
def test_line_by_line_the_gradient_has_the_memory_format_of_the_input(stored):
    x = torch.randn(2, 2, 8, 9).contiguous(memory_format=stored).requires_grad_()
    y = CCConv2d(2, 3, 3, implementation="basis")(x, scale=0.7)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.is_contiguous(memory_format=stored)


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

    rounded = gradients(layer, x)
    layer.implementation = "reference"
    for a, b in zip(rounded, gradients(layer.double(), x.double()), strict=True):
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
        gradients = torch.autograd.grad(y.float().sum(), [x, *layer.parameters()]) if inside else None
    gradients = gradients or torch.autograd.grad(y.float().sum(), [x, *layer.parameters()])
    for a, b in zip(gradients, expected, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).abs().max() < 0.03 * b.abs().max()
