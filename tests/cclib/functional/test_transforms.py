"""torch.func, forward-mode derivatives and batched gradients."""

import pytest
import torch
from functional_cases import every_fast_path
from torch.autograd import forward_ad

from cclib import CCConv2d


@every_fast_path
def test_per_image_gradients_by_torch_func(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 3, implementation=implementation).double()
    parameters = dict(layer.named_parameters())
    x = torch.randn(3, 2, 6, 7, dtype=torch.float64)

    def loss(values, x):
        return torch.func.functional_call(layer, values, (x,), {"scale": scale}).cos().sum()

    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    for index, image in enumerate(x):
        expected = torch.autograd.grad(loss(parameters, image), list(parameters.values()))
        torch.testing.assert_close([g[index] for g in gradients.values()], list(expected), rtol=0, atol=1e-11)


@every_fast_path
def test_vmap_of_the_layer(implementation, scale):
    layer = CCConv2d(2, 3, 3, implementation=implementation).double()
    x = torch.randn(4, 2, 2, 6, 7, dtype=torch.float64)
    expected = torch.stack([layer(images, scale=scale) for images in x])
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            output = torch.func.vmap(layer)(x, scale=scale)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)


@every_fast_path
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch runs into its own
def test_jacobians_by_torch_func(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(1, 2, 2, implementation=implementation).double()
    x = torch.randn(1, 1, 3, 4, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(lambda x: layer(x, scale=scale), x)
    for jacobian in (torch.func.jacfwd, torch.func.jacrev):
        torch.testing.assert_close(jacobian(lambda x: layer(x, scale=scale))(x), expected, rtol=0, atol=1e-12)


@every_fast_path
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch runs into its own
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
    batched = torch.autograd.grad(y, inputs, gradients, retain_graph=True, is_grads_batched=True)
    for index, gradient in enumerate(gradients):
        expected = torch.autograd.grad(y, inputs, gradient, retain_graph=True)
        torch.testing.assert_close(tuple(g[index] for g in batched), expected, rtol=0, atol=1e-11)
