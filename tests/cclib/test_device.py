"""The layer on a CUDA device against the same layer on the CPU; reported as skipped where there is no such device."""

import math

import pytest
import torch
from torch import nn

from cclib import CCConv2d
from cclib.functional import IMPLEMENTATIONS

CASES = {
    "down": ({}, {"scale": 0.75}),
    "scale 1": ({"groups": 2}, {}),
    "up, circular": ({"padding_mode": "circular", "filter": "spline"}, {"scale": (1.5, 2)}),
    "irrational, stretched": ({"filter": "fourier", "stretch": True}, {"scale": math.sqrt(0.5)}),
    "reflect, size, start": ({"padding_mode": "reflect", "filter": "silu"}, {"size": (5, 9), "start": (0.2, 0)}),
    "partition of unity, unit": ({"partition_of_unity": True, "unit": (1.5, 1)}, {"scale": 0.75}),
    "replicate, classical": ({"padding_mode": "replicate", "filter": "cubic", "groups": 4}, {"scale": 0.6}),
}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("implementation", ["auto", *IMPLEMENTATIONS])
class TestOnCuda:
    @pytest.mark.parametrize(("options", "call"), CASES.values(), ids=CASES)
    def test_output_and_gradients_equal_those_of_the_cpu(self, implementation, options, call):
        torch.manual_seed(0)
        layer = CCConv2d(4, 4, 3, implementation=implementation, **options).double()
        x = torch.randn(2, 4, 9, 8, dtype=torch.float64, requires_grad=True)
        results = {}
        for device in ("cpu", "cuda"):
            layer.to(device)
            inputs = (x.to(device), *layer.parameters())
            y = layer(inputs[0], **call)
            assert y.device.type == device
            results[device] = [y, *torch.autograd.grad(y.square().sum(), inputs)]
        for on_cpu, on_cuda in zip(results["cpu"], results["cuda"], strict=True):
            assert on_cuda.dtype == torch.float64
            torch.testing.assert_close(on_cuda.cpu(), on_cpu, rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("scale", [1, 0.75, 1.5])
    def test_autocast(self, implementation, dtype, scale):
        torch.manual_seed(0)
        layer = CCConv2d(4, 6, 3, scale=scale, groups=2, implementation=implementation).cuda()
        x = torch.randn(2, 4, 9, 8, device="cuda")
        with torch.autocast("cuda", dtype=dtype):
            y = layer(x)
        assert y.dtype == dtype
        expected = layer(x)
        assert (y - expected).abs().max() < 0.02 * expected.abs().max()
        y.float().sum().backward()
        assert all(parameter.grad.isfinite().all() and parameter.grad.any() for parameter in layer.parameters())

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("filter", ["siren", "silu", "fourier", "spline", "bspline", "boxes"])
    def test_half_precision_layers(self, implementation, dtype, filter):
        torch.manual_seed(0)
        layer = CCConv2d(4, 6, 3, scale=0.75, filter=filter, implementation=implementation).to("cuda", dtype)
        x = torch.randn(2, 4, 9, 8, device="cuda", dtype=dtype)
        y = layer(x)
        assert y.dtype == dtype
        expected = layer.float()(x.float())  # of the same rounded parameters
        assert (y - expected).abs().max() < 0.02 * expected.abs().max()

    def test_converted_layers(self, implementation):
        torch.manual_seed(0)
        for conv in (nn.Conv2d(4, 6, 4, 2, 1), nn.ConvTranspose2d(4, 6, 3, 2, 1, 1)):
            conv.to("cuda", torch.float64)
            layer = CCConv2d.from_conv(conv)
            layer.implementation = implementation
            x = torch.randn(2, 4, 9, 8, device="cuda", dtype=torch.float64)
            torch.testing.assert_close(layer(x), conv(x), rtol=0, atol=1e-12)

    def test_channels_last(self, implementation):
        torch.manual_seed(0)
        layer = CCConv2d(4, 6, 3, scale=0.75, implementation=implementation).to("cuda", torch.float64)
        x = torch.randn(2, 4, 9, 8, device="cuda", dtype=torch.float64)
        torch.testing.assert_close(layer(x.to(memory_format=torch.channels_last)), layer(x), rtol=0, atol=1e-12)
