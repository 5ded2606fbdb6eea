"""The ways to sum taps times weights, by name. All give the same numbers.

An implementation maps (x, filter, bias, axes, groups, padding_mode, stretch) to (batch, out_channels, height, width).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cclib.filters import Filter
from cclib.functional.basis import basis
from cclib.functional.phases import phases
from cclib.functional.pixels import pixels
from cclib.functional.reference import reference
from cclib.functional.sampling import Axes

IMPLEMENTATIONS: dict[str, Callable[[Tensor, Filter, Tensor | None, Axes, int, str, bool], Tensor]] = {
    "phases": phases,
    "basis": basis,
    "pixels": pixels,
    "reference": reference,
}
