"""The sum as an operator of torch, with its gradient as a second one: what torch.compile and torch.export see.

The sum is linear in the image, in the functions and in the coefficients. So the gradient of the gradient is made of the
same two operators, each time with one of the three replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cclib.functional.choice import pick
from cclib.functional.derivatives import are_plain
from cclib.functional.implementations import OPERATORS
from cclib.functional.implementations.phases import multiply_adds
from cclib.functional.kernels import serve
from cclib.functional.problem import Work, problem_of
from cclib.functional.sampling import memory_format
from cclib.functional.tables import kept

__all__ = ["continuous_convolution", "multiply_adds_of", "picked"]

LIBRARY = torch.library.Library("cclib", "DEF")
LIBRARY.define("table(str kind, str of, Tensor like) -> Tensor")
LIBRARY.define(
    "continuous_convolution(Tensor x, Tensor functions, Tensor coefficients, Tensor? bias, str problem, "
    "str implementation) -> Tensor"
)
LIBRARY.define(
    "continuous_convolution_backward(Tensor gradient, Tensor x, Tensor functions, Tensor coefficients, str problem, "
    "str implementation, bool[] wanted) -> (Tensor, Tensor, Tensor, Tensor)"
)


def continuous_convolution(
    x: Tensor, functions: Tensor, coefficients: Tensor, bias: Tensor | None, problem: str, implementation: str
) -> Tensor:
    """``registry.Implementation.forward`` of an implementation, with gradients of every order; ``problem`` is a key."""
    y: Tensor = torch.ops.cclib.continuous_convolution(x, functions, coefficients, bias, problem, implementation)
    return y


def picked(x: Tensor, coefficients: Tensor, problem: str, implementation: str) -> str:
    """The name of the implementation, where it may be "auto".

    Raises:
        ValueError: it would need very much more memory than input and output.
    """
    batch, channels, height, width = x.shape
    features, out_channels, in_per_group = coefficients.shape
    shape, matrices = (batch, channels, height, width), (features, out_channels, in_per_group)
    return pick(implementation, problem, shape, matrices, x.element_size(), serve(x.device))


def multiply_adds_of(x: Sequence[int], coefficients: Sequence[int], problem: str) -> int:
    """Those of one forward pass by "phases", counted, for tensors of these shapes; ``problem`` is a key."""
    shape, matrices = (x[0], x[1], x[2], x[3]), (coefficients[0], coefficients[1], coefficients[2])
    return multiply_adds(Work(problem_of(problem), shape, matrices, element_size=4, compiled=False))


def forward(
    x: Tensor, functions: Tensor, coefficients: Tensor, bias: Tensor | None, problem: str, implementation: str
) -> Tensor:
    resolved = problem_of(problem)
    if not len(x):
        return empty_output(x, coefficients, problem)
    chosen = OPERATORS[picked(x, coefficients, problem, implementation)]
    with torch.autocast(x.device.type, enabled=False):
        prepared = chosen.prepare(functions, coefficients, resolved, x.dtype)
        y = chosen.forward(x, prepared, bias, resolved, coefficients.shape[1])
    return y.contiguous(memory_format=memory_format(x))


def gradients(
    gradient: Tensor,
    x: Tensor,
    functions: Tensor,
    coefficients: Tensor,
    problem: str,
    implementation: str,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """``registry.Implementation.backward`` of an implementation, those that are wanted, each stored as what it is the
    gradient of."""
    results: Sequence[Tensor | None]
    if not len(x):
        bias = gradient.new_empty(gradient.shape[1])
        results = [torch.zeros_like(each) for each in (x, functions, coefficients, bias)]
    else:
        chosen = OPERATORS[picked(x, coefficients, problem, implementation)]
        with torch.autocast(x.device.type, enabled=False):  # it may hold where backward is called
            results = chosen.backward(gradient, x, functions, coefficients, problem_of(problem), wanted)
    formats = memory_format(x), *[torch.contiguous_format] * 3
    return [
        None if result is None or not want else result.contiguous(memory_format=stored)
        for result, want, stored in zip(results, wanted, formats, strict=True)
    ]


def backward(
    gradient: Tensor,
    x: Tensor,
    functions: Tensor,
    coefficients: Tensor,
    problem: str,
    implementation: str,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    results = gradients(gradient, x, functions, coefficients, problem, implementation, wanted)
    dx, dfunctions, dcoefficients, dbias = (
        like.new_empty(0) if result is None else result
        for like, result in zip((x, functions, coefficients, gradient), results, strict=True)
    )
    return dx, dfunctions, dcoefficients, dbias


def empty_output(x: Tensor, coefficients: Tensor, problem: str) -> Tensor:
    shape = x.shape[0], coefficients.shape[1], *problem_of(problem).size
    return x.new_empty(shape).contiguous(memory_format=memory_format(x))


def fake_forward(
    x: Tensor, functions: Tensor, coefficients: Tensor, bias: Tensor | None, problem: str, implementation: str
) -> Tensor:
    return empty_output(x, coefficients, problem)


def fake_backward(
    gradient: Tensor,
    x: Tensor,
    functions: Tensor,
    coefficients: Tensor,
    problem: str,
    implementation: str,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        x.new_empty(x.shape).contiguous(memory_format=memory_format(x)) if wanted[0] else x.new_empty(0),
        functions.new_empty(functions.shape if wanted[1] else (0,)),
        coefficients.new_empty(coefficients.shape if wanted[2] else (0,)),
        gradient.new_empty(gradient.shape[1] if wanted[3] else 0),
    )


def table(kind: str, of: str, like: Tensor) -> Tensor:
    return kept(kind, of, like.dtype, like.device).clone()


def fake_table(kind: str, of: str, like: Tensor) -> Tensor:
    made = kept(kind, of, like.dtype, torch.device("cpu"))
    return like.new_empty(made.shape, dtype=made.dtype)


def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, functions, coefficients, _, ctx.problem, ctx.implementation = inputs
    ctx.save_for_backward(x, functions, coefficients)


def gradient_of_forward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return *partial_gradients(ctx, gradient, ctx.saved_tensors, ctx.needs_input_grad[:4]), None, None


def save_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    gradient, x, functions, coefficients, ctx.problem, ctx.implementation, _ = inputs
    ctx.save_for_backward(gradient, x, functions, coefficients)
    ctx.set_materialize_grads(False)


def gradient_of_backward(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
    """With v the gradient of one of the first three results: v in place of x, functions or coefficients."""
    gradient, *saved = ctx.saved_tensors
    needed = ctx.needs_input_grad[:4]
    total: list[Tensor | None] = [None] * 4
    *of_inputs, of_bias = given
    if needed[0] and of_bias is not None and of_bias.numel():
        total[0] = of_bias.reshape(-1, 1, 1).expand_as(gradient)
    for index, v in enumerate(of_inputs):
        if v is None or not v.numel():
            continue
        replaced = [*saved]
        replaced[index] = v
        if needed[0]:
            x, functions, coefficients = replaced
            product = continuous_convolution(x, functions, coefficients, None, ctx.problem, ctx.implementation)
            total[0] = add(total[0], product)
        wanted = [*(needed[1 + other] and other != index for other in range(3)), False]
        for other, part in enumerate(partial_gradients(ctx, gradient, replaced, wanted)[:3]):
            total[1 + other] = add(total[1 + other], part)
    return *total, None, None, None


def partial_gradients(
    ctx: Any, gradient: Tensor, inputs: Sequence[Tensor], wanted: Sequence[bool]
) -> list[Tensor | None]:
    """Those of x, functions, coefficients and bias that are wanted."""
    if not any(wanted):
        return [None] * 4
    x, functions, coefficients = inputs
    if not torch.is_grad_enabled() and are_plain(gradient, *inputs):  # nobody asks for more than numbers
        return gradients(gradient, x, functions, coefficients, ctx.problem, ctx.implementation, wanted)
    parts = torch.ops.cclib.continuous_convolution_backward(
        gradient, x, functions, coefficients, ctx.problem, ctx.implementation, list(wanted)
    )
    return [part if want else None for part, want in zip(parts, wanted, strict=True)]


def add(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    return part if total is None else total if part is None else total + part


def register() -> None:
    """Give the operators what they do."""
    name = "cclib::continuous_convolution"
    for suffix, function, fake in (("", forward, fake_forward), ("_backward", backward, fake_backward)):
        LIBRARY.impl(f"continuous_convolution{suffix}", function, "CompositeExplicitAutograd")
        torch.library.register_fake(f"{name}{suffix}", fake, lib=LIBRARY)
    LIBRARY.impl("table", table, "CompositeExplicitAutograd")
    LIBRARY.impl("table", torch.library.fallthrough_kernel, "Autograd")  # it has no gradient
    torch.library.register_fake("cclib::table", fake_table, lib=LIBRARY)
    torch.library.register_autograd(name, gradient_of_forward, setup_context=save, lib=LIBRARY)
    torch.library.register_autograd(f"{name}_backward", gradient_of_backward, setup_context=save_backward, lib=LIBRARY)


register()
