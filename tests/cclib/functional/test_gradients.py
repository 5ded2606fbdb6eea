"""Gradients and second derivatives; what may be changed between forward and backward."""

import math
from typing import Any

import pytest
import torch
from functional_cases import PROPERTY, every_fast_path, every_implementation
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from slow_way import axes, lengths, some_filters, too_wide
from torch.utils.checkpoint import checkpoint

from cclib import CCConv2d, cc_conv2d
from cclib.filters import MLPFilter
from cclib.functional import IMPLEMENTATIONS, PADDING_MODES, sums
from cclib.functional.implementations import basis

GRADIENT_CASES = {
    "windowed siren, down": ({"filter": "siren"}, {"scale": 0.6}),
    "stretched fourier": ({"filter": "fourier", "stretch": True}, {"scale": (0.6, 1.5)}),
    "siren, unit": ({"filter": "siren", "unit": (1.5, 0.8)}, {"scale": 0.75}),
    "stretched partition of unity": (
        {"filter": "fourier", "stretch": True, "partition_of_unity": True},
        {"scale": (0.6, 1.5)},
    ),
    "partition of unity, unit": ({"filter": "siren", "partition_of_unity": True}, {"scale": 0.75, "unit": 10 / 7}),
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
            partition_of_unity=options.get("partition_of_unity", False),
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


def incoming(layout, shape):
    """A gradient of the output, stored in one of LAYOUTS."""
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
    filter_and_groups, vertical, horizontal, batch, padding_mode, stretch, layout, channels_last, buffer, data
):
    filter, groups = filter_and_groups
    out_channels, in_per_group = filter.coefficients().shape[1:]
    (height, width), *geometry = zip(vertical, horizontal, strict=True)
    unit = data.draw(lengths(filter, stretch))
    assume(padding_mode != "reflect" or not too_wide(filter, (height, width), stretch, *geometry, unit))
    x = torch.randn(batch, in_per_group * groups, height, width, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    inputs = [x, torch.randn(out_channels, dtype=torch.float64), *filter.parameters()]
    differentiated = [value for value in inputs if value.requires_grad_(data.draw(st.booleans())).requires_grad]
    arguments: dict[str, Any] = dict(zip(("scale", "size", "start"), geometry, strict=True))
    arguments |= {"groups": groups, "padding_mode": padding_mode, "stretch": stretch, "unit": unit}

    def gradients(implementation, gradient=None):
        y = cc_conv2d(x, filter, inputs[1], **arguments, implementation=implementation)
        gradient = incoming(layout, y.shape) if gradient is None else gradient
        if not y.requires_grad:
            return gradient, []
        return gradient, torch.autograd.grad(y, differentiated, gradient, allow_unused=True, materialize_grads=True)

    gradient, expected = gradients("reference")
    with pytest.MonkeyPatch.context() as patch:
        if buffer is not None:  # one line, or even one image or run, at a time
            patch.setattr(sums, "TABLE_NUMBERS", max(buffer, 1))
            patch.setattr(basis, "SHARE", buffer / 1000)
        for implementation in IMPLEMENTATIONS[1:]:
            _, computed = gradients(implementation, gradient)
            for a, b in zip(computed, expected, strict=True):
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
    monkeypatch.setattr(sums, "TABLE_NUMBERS", max(buffer, 1))
    monkeypatch.setattr(basis, "SHARE", buffer / 20000)
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
@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_output_can_be_changed_in_place(implementation, scale, stored, channels):
    torch.manual_seed(0)
    layer = CCConv2d(2, channels, 3, implementation=implementation).double()
    x = torch.randn(2, 2, 8, 9, dtype=torch.float64).contiguous(memory_format=stored)
    expected = torch.autograd.grad(layer(x, scale=scale).relu().sum(), list(layer.parameters()))
    in_place = torch.autograd.grad(layer(x, scale=scale).relu_().sum(), list(layer.parameters()))
    torch.testing.assert_close(in_place, expected, rtol=0, atol=1e-13)
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
@pytest.mark.parametrize("name", ["bias", "filter.weight", "x"])
def test_second_derivatives_by_one_input_alone(implementation, scale, name):
    torch.manual_seed(0)
    layer = CCConv2d(2, 2, 2, implementation=implementation).double().requires_grad_(False)
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64)
    variable = (x if name == "x" else layer.get_parameter(name)).requires_grad_()

    def second():
        (gradient,) = torch.autograd.grad(layer(x, scale=scale).pow(3).sum(), [variable], create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), [variable])

    computed = second()
    layer.implementation = "reference"
    torch.testing.assert_close(computed, second(), rtol=1e-9, atol=1e-10)


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
def test_a_checkpointed_layer(implementation, scale):
    layer = CCConv2d(2, 3, 3, implementation=implementation).double()
    x = torch.randn(2, 2, 8, 9, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    expected = torch.autograd.grad(layer(x, scale=scale).cos().sum(), inputs)
    y = checkpoint(layer, x, scale=scale, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(y.cos().sum(), inputs), expected, rtol=0, atol=1e-13)
