"""The layers that are timed, and every way to compute one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cclib.functional import IMPLEMENTATIONS, explain
from cclib.functional.choice import Explanation
from cclib.functional.implementations import OPERATORS
from cclib.geometry import Axis
from cclib.layers import CCConv2d

WAYS = tuple(OPERATORS)  # among which auto picks
METHODS = ("conv", "auto", *IMPLEMENTATIONS, "resize + conv")

MOST_PHASES = 100  # pairs; beyond, "phases" makes so many small calls with groups that timing it takes minutes
LARGEST_REFERENCE = 2**26  # weights; the reference makes all at once, and a call that would hold more is refused

ROOT_HALF, ROOT_TWO = math.sqrt(0.5), math.sqrt(2)


@dataclass(frozen=True)
class Case:
    """A square layer: ``scale`` is that of the call where ``new_size`` alone would not say it."""

    batch: int
    in_channels: int
    out_channels: int
    size: int
    new_size: int
    kernel_size: int
    scale: float | None = None
    groups: int = 1

    def __str__(self) -> str:
        text = f"{self.batch} × {self.in_channels} → {self.out_channels}, {self.size} → {self.new_size}"
        text += f", {self.kernel_size} taps" + (f", scale {self.scale:.4f}" if self.scale else "")
        return text + (f", {self.groups} groups" if self.groups > 1 else "")


# The order is that of the musts in profiles/default.yaml.
TABLE = (
    Case(16, 64, 64, 32, 24, 4),
    Case(16, 32, 32, 32, 24, 4),
    Case(16, 32, 32, 16, 24, 4),
    Case(16, 32, 32, 16, 32, 4),
    Case(32, 32, 32, 28, 14, 4),
    Case(32, 32, 32, 14, 12, 4),
    Case(32, 32, 32, 28, 28, 3),
    Case(16, 32, 32, 32, 23, 4, ROOT_HALF),
    Case(16, 64, 64, 32, 24, 4, groups=64),
    Case(1, 64, 64, 128, 96, 4),
)

OVERHEAD = Case(1, 8, 8, 8, 6, 4)  # so little work that its time is that of the call


def gradual(batch: int, sizes: Sequence[int], channels: Sequence[int]) -> list[Case]:
    """The layers of a network that shrinks its maps a little at a time."""
    ends = zip(pairwise(channels), pairwise(sizes), strict=True)
    return [Case(batch, *pair, *size, kernel_size=3) for pair, size in ends]


SHRINKING = (28, 24, 20, 17, 14, 12, 10, 8, 7)
SHRINKING_IN_COLOUR = (32, 29, 26, 23, 20, 18, 16, 14, 12, 10, 8)

# The layers that the constants of the choice are fitted to.
FITTING = (
    *TABLE,
    *gradual(100, SHRINKING, (1, 4, 6, 8, 8, 12, 14, 16, 24)),
    *gradual(100, SHRINKING, (1, 6, 8, 10, 12, 16, 20, 24, 32)),
    Case(1, 8, 8, 8, 6, 4),
    Case(1, 16, 16, 16, 12, 3),
    Case(1, 32, 32, 24, 17, 3),
    Case(1, 64, 64, 48, 36, 3),
    Case(1, 128, 128, 16, 12, 4),
    Case(1, 3, 32, 64, 48, 4),
    Case(1, 32, 3, 48, 72, 3),
    Case(2, 32, 32, 24, 36, 5),
    Case(2, 64, 64, 20, 31, 3),
    Case(4, 16, 16, 40, 30, 4),
    Case(4, 32, 32, 32, 32, 5),
    Case(4, 48, 48, 24, 17, 4, ROOT_HALF),
    Case(4, 24, 24, 20, 29, 3, ROOT_TWO),
    Case(8, 8, 8, 48, 34, 4, ROOT_HALF),
    Case(8, 64, 64, 16, 12, 3),
    Case(8, 16, 16, 30, 20, 6),
    Case(8, 128, 64, 12, 9, 3),
    Case(16, 16, 16, 24, 19, 3),
    Case(16, 24, 24, 20, 40, 4),
    Case(16, 8, 8, 32, 27, 3),
    Case(32, 16, 16, 16, 11, 4),
    Case(32, 4, 4, 28, 21, 3),
    Case(32, 64, 64, 10, 8, 3),
    Case(64, 8, 16, 20, 15, 4),
    Case(64, 32, 32, 14, 7, 4),
    Case(64, 16, 32, 9, 7, 3),
    Case(8, 32, 32, 24, 18, 4, groups=4),
    Case(16, 48, 48, 20, 14, 3, groups=48),
    Case(4, 32, 32, 24, 17, 3, ROOT_HALF, groups=32),
    Case(1, 64, 64, 28, 21, 3, groups=8),
    Case(2, 24, 48, 16, 24, 4, groups=24),
)

# Those that the choice is judged on; none is among the above.
CHOICE = (
    *gradual(64, SHRINKING, (1, 5, 7, 9, 9, 14, 17, 20, 28)),
    *gradual(16, SHRINKING_IN_COLOUR, (3, 16, 20, 24, 28, 32, 40, 48, 56, 64, 64)),
    Case(8, 48, 48, 40, 27, 4),
    Case(4, 64, 32, 56, 40, 3),
    Case(32, 24, 24, 20, 15, 5),
    Case(2, 16, 16, 96, 71, 4),
    Case(1, 12, 12, 20, 15, 3),
    Case(1, 48, 48, 32, 23, 4),
    Case(1, 96, 96, 24, 18, 3),
    Case(1, 32, 32, 96, 128, 3),
    Case(1, 3, 16, 120, 80, 4),
    Case(2, 128, 128, 14, 10, 3),
    Case(2, 40, 40, 30, 45, 4),
    Case(4, 20, 20, 36, 28, 3),
    Case(4, 32, 64, 28, 14, 4),
    Case(4, 40, 40, 20, 14, 4, ROOT_HALF),
    Case(8, 12, 12, 40, 57, 3, ROOT_TWO),
    Case(8, 24, 24, 28, 40, 3, ROOT_TWO),
    Case(16, 6, 6, 40, 28, 4, ROOT_HALF),
    Case(16, 48, 48, 18, 12, 4),
    Case(16, 12, 12, 26, 22, 3),
    Case(32, 8, 8, 24, 36, 4),
    Case(32, 48, 48, 12, 11, 3),
    Case(64, 6, 6, 30, 26, 3),
    Case(64, 24, 24, 12, 9, 4),
    Case(64, 16, 16, 14, 28, 3),
    Case(4, 64, 64, 28, 21, 4, groups=64),
    Case(16, 32, 64, 16, 12, 3, groups=8),
    Case(8, 24, 24, 30, 21, 4, ROOT_HALF, groups=24),
    Case(1, 48, 48, 40, 60, 3, groups=4),
)


@dataclass(frozen=True)
class Workload:
    """A layer, its input, and the gradient of its output."""

    layer: Callable[[Tensor], Tensor]
    parameters: tuple[Tensor, ...]
    x: Tensor
    gradient: Tensor

    def forward(self) -> Tensor:
        """The output in inference; the filter is that of the call before."""
        with torch.no_grad():
            return self.layer(self.x)

    def train(self) -> None:
        """The output, and the gradients of input and parameters."""
        self.x.grad = None
        for parameter in self.parameters:
            parameter.grad = None
        self.layer(self.x).backward(self.gradient)


def workload(method: str, case: Case, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Workload:
    """``case`` computed by one of ``METHODS``, with the weights and the input of seed 0.

    - "conv": ``Conv2d`` with the same taps and channels on an image that gives the same output size: one of
      ``new_size + kernel_size − 1`` pixels, unpadded.
    - "auto", ``WAYS`` and "reference": ``CCConv2d``; the reference makes all weights at once.
    - "resize + conv": anti-aliased bilinear ``interpolate`` to the output size, then a padded ``Conv2d``.
    """
    torch.manual_seed(0)
    size = case.new_size + case.kernel_size - 1 if method == "conv" else case.size
    channels, groups = (case.in_channels, case.out_channels, case.kernel_size), case.groups
    module: nn.Module
    if method in ("conv", "resize + conv"):
        module = nn.Conv2d(*channels, groups=groups)
    elif method in METHODS:
        module = CCConv2d(*channels, groups=groups, implementation=method)
    else:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    module = module.to(device, dtype)

    def layer(x: Tensor) -> Tensor:
        if method == "resize + conv":
            x = F.interpolate(x, size=(case.new_size, case.new_size), mode="bilinear", antialias=True)
            x = F.pad(x, ((case.kernel_size - 1) // 2, case.kernel_size // 2) * 2)
        return module(x, scale=case.scale, size=case.new_size) if isinstance(module, CCConv2d) else module(x)

    x = torch.randn(case.batch, case.in_channels, size, size, device=device, dtype=dtype, requires_grad=True)
    gradient = torch.randn(case.batch, case.out_channels, case.new_size, case.new_size, device=device, dtype=dtype)
    return Workload(layer, tuple(module.parameters()), x, gradient)


@lru_cache
def explanation(case: Case) -> Explanation:
    """What ``auto`` picks on a CPU, and why."""
    with torch.random.fork_rng(devices=[]):
        layer = CCConv2d(case.in_channels, case.out_channels, case.kernel_size, groups=case.groups)
    shape = case.batch, case.in_channels, case.size, case.size
    return explain(shape, layer.filter, scale=case.scale, size=case.new_size)


def serves(method: str, case: Case) -> bool:
    """Whether a method can compute ``case``: the reference must hold all weights."""
    taps = (case.new_size * case.kernel_size) ** 2
    weights = taps * case.in_channels * case.out_channels // case.groups
    return method != "reference" or weights <= LARGEST_REFERENCE


def phases_of(case: Case) -> int:
    """Pairs of phases, at most as many as output pixels."""
    axis = Axis.resize(case.size, case.scale, case.new_size)
    return min(axis.period, axis.n_out) ** 2


def timed_ways(case: Case) -> tuple[str, ...]:
    """All ways; with groups none of "phases" beyond ``MOST_PHASES``, unless ``auto`` picks it."""
    picked = explanation(case).implementation
    few = case.groups == 1 or phases_of(case) <= MOST_PHASES
    return tuple(way for way in WAYS if way != "phases" or few or picked == way)
