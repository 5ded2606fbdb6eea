"""The continuous filters W: functions from a sub-pixel offset to a matrix of weights.

Every filter is a sum ``W(offset) = sum_h basis_h(offset) * coefficients_h`` of scalar functions with matrix
coefficients; an offset is (input tap − output position), in input pixels, (vertical, horizontal). A filter knows no
images and no output grids.
"""

from __future__ import annotations

from typing import Any

from cclib.filters.base import Filter
from cclib.filters.classical import KERNELS, ClassicalFilter
from cclib.filters.learned import TRUNKS, LearnedFilter, MLPFilter, SplineFilter

__all__ = ["ClassicalFilter", "Filter", "LearnedFilter", "MLPFilter", "SplineFilter", "make"]

OWN = (MLPFilter, SplineFilter, ClassicalFilter)  # whose output depends on their offsets and tensors alone

FILTERS = (*TRUNKS, "spline", *KERNELS)


def make(kind: str, in_channels: int, out_channels: int, kernel_size: Any, *, groups: int, window: bool) -> Filter:
    """The filter that a layer asks for by name: a trunk of ``MLPFilter``, "spline", or a classical kernel."""
    if kind in TRUNKS:
        return MLPFilter(in_channels, out_channels, kernel_size, groups=groups, trunk=kind, window=window)
    if kind == "spline":
        return SplineFilter(in_channels, out_channels, kernel_size, groups=groups, window=window)
    if kind in KERNELS:
        if not in_channels == out_channels == groups:
            raise ValueError(
                f"filter={kind!r} works on each channel alone: in_channels={in_channels}, out_channels={out_channels} "
                f"and groups={groups} must be equal"
            )
        return ClassicalFilter(kind, in_channels)
    raise ValueError(f"filter must be a Filter or one of {', '.join(FILTERS)}, got {kind!r}")
