"""The continuous filters W: functions from a sub-pixel offset to a matrix of weights.

Every filter is a sum ``W(offset) = sum_h basis_h(offset) * coefficients_h`` of scalar functions with matrix
coefficients; an offset is (input tap − output position), in input pixels or whatever unit a call gives it, (vertical,
horizontal). A filter knows no images and no output grids.

A filter of your own is a subclass of ``Filter``, in a file or a notebook; its instances work wherever a filter is
taken. ``register`` makes it a choice by name, ``register_trunk`` a small network of the offset one of ``MLPFilter``.
"""

from cclib.filters.base import Filter
from cclib.filters.boxes import BoxFilter
from cclib.filters.bspline import BSplineFilter
from cclib.filters.classical import KERNELS, ClassicalFilter
from cclib.filters.fourier import Fourier
from cclib.filters.learned import LearnedFilter
from cclib.filters.mlp import TRUNKS, MLPFilter, register_trunk
from cclib.filters.registry import FILTERS, make, register
from cclib.filters.silu import Silu
from cclib.filters.siren import Siren
from cclib.filters.spline import SplineFilter

__all__ = [
    "FILTERS",
    "KERNELS",
    "TRUNKS",
    "BSplineFilter",
    "BoxFilter",
    "ClassicalFilter",
    "Filter",
    "Fourier",
    "LearnedFilter",
    "MLPFilter",
    "Silu",
    "Siren",
    "SplineFilter",
    "make",
    "register",
    "register_trunk",
]
