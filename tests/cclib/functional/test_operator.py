"""The two operators as torch checks them, their memory formats, and derivatives of higher order."""

import pytest
import torch
from functional_cases import every_fast_path

from cclib import CCConv2d, cc_conv2d
from cclib.filters import MLPFilter
from cclib.functional import PADDING_MODES
from cclib.functional.call import place
from cclib.functional.implementations import OPERATORS
from cclib.functional.operator import multiply_adds_of
from cclib.functional.problem import problem_of
from cclib.functional.sampling import sample
from cclib.models.cost import multiply_adds


def arguments_of(implementation, stored=torch.contiguous_format, scale=0.75):
    torch.manual_seed(0)
    filter = MLPFilter(2, 3, 3, features=2, hidden=2).double()
    x = torch.randn(2, 2, 6, 7, dtype=torch.float64).contiguous(memory_format=stored)
    where = place(x, filter, scale, None, None, 1, "zeros", False)
    functions = sample(filter.basis, filter, where.key, x).detach()
    tensors = [tensor.detach().requires_grad_() for tensor in (x, functions, filter.coefficients())]
    return *tensors, torch.randn(3, dtype=torch.float64, requires_grad=True), where.key, implementation


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler runs into its own
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("implementation", ["auto", *OPERATORS])
@pytest.mark.parametrize("stored", [torch.contiguous_format, torch.channels_last])
def test_the_operators_keep_the_rules_of_torch(implementation, stored):
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    x, functions, coefficients, bias, *names = arguments_of(implementation, stored)
    operators = torch.ops.cclib
    given = x, functions, coefficients, bias, *names
    torch.library.opcheck(operators.continuous_convolution.default, given, test_utils=tests)
    gradient = torch.randn_like(operators.continuous_convolution(*given)).detach()
    for wanted in ([True] * 4, [True, False, False, False], [False, True, False, True]):
        backward = gradient, x, functions, coefficients, *names, wanted
        torch.library.opcheck(operators.continuous_convolution_backward.default, backward, test_utils=tests)


@pytest.mark.parametrize("implementation", OPERATORS)
def test_an_implementation_keeps_to_the_device_of_its_tensors(implementation):
    """On the meta device a tensor of the CPU among the others is an error, as it is on a GPU."""
    *tensors, _, key, _ = arguments_of(implementation, scale=0.75)
    x, functions, coefficients = (tensor.detach().to("meta") for tensor in tensors)
    chosen, problem = OPERATORS[implementation], problem_of(key)
    y = chosen.forward(
        x, chosen.prepare(functions, coefficients, problem, x.dtype), None, problem, coefficients.shape[1]
    )
    gradients = chosen.backward(torch.empty_like(y), x, functions, coefficients, problem, [True] * 4)
    assert y.device.type == "meta"
    assert [each.shape for each in gradients[:3]] == [x.shape, functions.shape, coefficients.shape]


@pytest.mark.parametrize("implementation", OPERATORS)
@pytest.mark.parametrize("scale", [1, 2, 0.75])
def test_third_derivatives(implementation, scale):
    x, functions, coefficients, _, *names = arguments_of(implementation, scale=scale)
    gradient = torch.randn_like(torch.ops.cclib.continuous_convolution(x, functions, coefficients, None, *names))

    def backward(gradient, *tensors):
        return torch.ops.cclib.continuous_convolution_backward(gradient, *tensors, *names, [True] * 4)

    inputs = gradient.detach().requires_grad_(), x, functions, coefficients
    assert torch.autograd.gradcheck(backward, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(backward, inputs, fast_mode=True)


@every_fast_path
def test_mixed_third_derivatives_equal_those_of_the_reference(implementation, scale):
    torch.manual_seed(0)
    layer = CCConv2d(2, 2, 2, implementation=implementation).double()
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]

    def third():
        total = layer(x, scale=scale).sin().sum()
        for _ in range(2):
            gradients = torch.autograd.grad(total, inputs, create_graph=True)
            total = sum(gradient.cos().sum() for gradient in gradients)
        return torch.autograd.grad(total, inputs)

    computed = third()
    layer.implementation = "reference"
    for a, b in zip(computed, third(), strict=True):
        magnitude = b.abs().max().clamp_min(1)
        torch.testing.assert_close(a / magnitude, b / magnitude, rtol=0, atol=1e-9)


@pytest.mark.parametrize("implementation", OPERATORS)  # the definition says nothing of memory
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_channels_stay_last(implementation, padding_mode):
    filter = MLPFilter(3, 4, 3)
    x = torch.randn(2, 3, 9, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    for scale in (1, 2, 0.75, 0.7071):
        y = cc_conv2d(x, filter, scale=scale, padding_mode=padding_mode, implementation=implementation)
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
        assert y.is_contiguous(memory_format=torch.channels_last)
        assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_the_operations_of_the_operator_are_counted():
    layer, x = CCConv2d(4, 6, 3, scale=0.75), torch.randn(2, 4, 16, 16)
    where = place(x, layer.filter, 0.75, None, None, 1, "zeros", False)
    of_operator = multiply_adds_of(x.shape, layer.filter.coefficients().shape, where.key) / 2
    assert of_operator <= multiply_adds(layer, x) <= 1.5 * of_operator
