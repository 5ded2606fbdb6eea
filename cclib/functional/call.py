"""The public function ``cc_conv2d``, its checks, and the call of the implementation."""

from __future__ import annotations

import torch
from torch import Tensor

from cclib.arguments import Scale, Size, Start, as_size
from cclib.filters.base import Filter
from cclib.functional.choice import choose
from cclib.functional.eager import outside_of_graphs
from cclib.functional.implementations import IMPLEMENTATIONS
from cclib.functional.problem import Problem
from cclib.functional.sampling import PADDING_MODES, Axes, resize_axes, result_dtype

__all__ = ["cc_conv2d", "check_input", "convolve"]


@outside_of_graphs
def cc_conv2d(
    x: Tensor,
    filter: Filter,
    bias: Tensor | None = None,
    *,
    scale: Scale | None = None,
    size: Size | None = None,
    start: Start | None = None,
    groups: int = 1,
    padding_mode: str = "zeros",
    stretch: bool = False,
    implementation: str = "auto",
) -> Tensor:
    """Convolve an image with a continuous filter and sample the result on a grid of any size.

    1. Place the output grid on the input: output o falls at ``start + o / scale`` on each axis, in input pixels.
    2. Take the input pixels (taps) in the filter's support about each output position; outside the image
       ``padding_mode`` decides.
    3. Evaluate the filter at (tap − position).
    4. Sum taps times weights over taps and channels (cross-correlation: nothing is flipped), and add the bias.

    Args:
        x: (batch, in_channels, height, width), or (in_channels, height, width).
        filter: the continuous filter; its weights are (out_channels, in_channels / groups) matrices.
        bias: (out_channels,) or None.
        scale: output size over input size, a number (int, float, ``Fraction``) or a pair (height, width). Alone, the
            output size is ceil(input size * scale). Default: size over input size where a size is given, else 1.
        size: output size, an integer or a pair.
        start: position of output 0 in input pixels, a number or a pair. Default: the centres of both grids coincide.
        groups: as in ``Conv2d``.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        stretch: anti-aliasing. On an axis with scale < 1 the support grows by 1 / scale and the filter is read at
            scale * offset; the taps of each output are divided by the sum of ``filter.mass`` over them (a classical
            filter's then sum to one).
        implementation: "auto", "reference", "phases", "basis" or "pixels" (with groups, or not on the CPU, the same
            as "basis"); ``explain`` says what "auto" picks.

    Returns:
        (batch, out_channels, *size), without batch where x has none.

    Raises:
        ValueError, TypeError: an argument breaks its rule; the message names it, its value and the rule.

    Source: Shocher et al., From Discrete to Continuous Convolution Layers, arXiv 2006.11120.

    Example:
        >>> from cclib.filters import ClassicalFilter
        >>> x = torch.arange(4.0).reshape(1, 1, 1, 4)
        >>> cc_conv2d(x, ClassicalFilter("linear", 1), size=(1, 2), stretch=True, padding_mode="replicate")
        tensor([[[[0.6250, 2.3750]]]])
    """
    check_input(x, filter, bias, groups, padding_mode)
    height, width = int(x.shape[-2]), int(x.shape[-1])
    return convolve(
        x,
        filter,
        bias,
        resize_axes(height, width, scale, size, start),
        groups,
        padding_mode,
        stretch,
        implementation,
    )


def convolve(
    x: Tensor,
    filter: Filter,
    bias: Tensor | None,
    axes: Axes,
    groups: int,
    padding_mode: str,
    stretch: bool,
    implementation: str,
) -> Tensor:
    """``cc_conv2d`` where the positions of the outputs, ``axes``, are known; x has passed ``check_input``.

    Raises:
        ValueError: there is no such implementation, or the image is too small for a reflection.
    """
    if x.ndim == 3:
        return convolve(x.unsqueeze(0), filter, bias, axes, groups, padding_mode, stretch, implementation).squeeze(0)
    problem = Problem.of(x, filter, axes, groups, padding_mode, stretch)
    if implementation == "auto":
        implementation = choose(problem).implementation
    elif implementation not in tuple(IMPLEMENTATIONS):
        names = ", ".join(("auto", *IMPLEMENTATIONS))
        raise ValueError(f"implementation must be one of {names}, got {implementation!r}")
    x = x.to(result_dtype(x))
    bias = None if bias is None else bias.to(x.dtype)
    return IMPLEMENTATIONS[implementation].compute(x, bias, problem)


def check_input(x: Tensor, filter: Filter, bias: Tensor | None, groups: int, padding_mode: str) -> None:
    """Refuse what ``cc_conv2d`` cannot work on.

    Raises:
        TypeError, ValueError: an argument breaks its rule; the message names it, its value and the rule.
    """
    if torch.compiler.is_compiling():  # and yet here: not torch.compile, which calls this outside of its graphs
        raise RuntimeError(
            "a continuous convolution cannot be exported; export the result of cclib.freeze(network, *inputs)"
        )
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a Tensor, got {type(x).__name__}")
    if x.ndim not in (3, 4):
        raise ValueError(
            f"x must have 4 dimensions (batch, channels, height, width), or 3 unbatched, got shape {tuple(x.shape)}"
        )
    if not x.is_floating_point():
        raise TypeError(f"x must be of a floating-point type, got {x.dtype}")
    if not isinstance(filter, Filter):
        raise TypeError(f"filter must be a cclib.filters.Filter, got {type(filter).__name__}")
    out_channels, in_per_group = filter.coefficients().shape[1:]
    as_size(groups, "groups")
    if out_channels % groups:
        raise ValueError(f"groups must divide the filter's {out_channels} out_channels, got {groups}")
    channels = in_per_group * groups
    if x.shape[-3] != channels:
        raise ValueError(
            f"x must have {channels} channels ({in_per_group} in each of {groups} groups), got {x.shape[-3]}"
        )
    if bias is not None and not isinstance(bias, Tensor):
        raise TypeError(f"bias must be a Tensor or None, got {type(bias).__name__}")
    if bias is not None and tuple(bias.shape) != (out_channels,):
        raise ValueError(f"bias must have shape ({out_channels},), got {tuple(bias.shape)}")
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}, got {padding_mode!r}")
    parameter = next(filter.parameters(), None)
    if parameter is not None and parameter.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
        raise TypeError(f"x and filter must have the same type, got {x.dtype} and {parameter.dtype}")
