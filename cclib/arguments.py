"""Numbers, pairs and sizes as a caller may give them, read exactly; errors name the argument.

Pairs are (vertical, horizontal). Imports no torch: a number in a tensor is taken out of it by the methods that arrays
of numpy have too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Protocol, TypeAlias, TypeVar, cast

__all__ = ["Array", "Number", "Scale", "Size", "Start", "as_fraction", "as_pair", "as_scale", "as_size"]

# A float is read as the simplest fraction with a denominator up to this that rounds to the same float: 0.9 means 9/10
# and 2/3 means 2/3. Other floats (1 / sqrt(2)) are taken as the exact binary number that they are.
LARGEST_DENOMINATOR = 10_000


class Array(Protocol):
    """A tensor, or an array of numpy: of one number without dimensions, or of two (vertical, horizontal)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """() or (2,)."""

    def item(self) -> object:
        """The number, where it is one."""


T = TypeVar("T")

Number: TypeAlias = int | float | Fraction | Array
"""A number. A float means the simplest fraction that rounds to it: 2/3 is two thirds."""

Scale: TypeAlias = Number | Sequence[Number]
"""A number for both axes, or a pair (vertical, horizontal), also in a tensor."""

Start: TypeAlias = Number | Sequence[Number | None]
"""As ``Scale``; None leaves an axis at its default."""

Size: TypeAlias = int | Array | Sequence[int | Array]
"""An integer for both axes, or a pair (vertical, horizontal), also in a tensor."""


def as_fraction(value: object, name: str) -> Fraction:
    """The exact rational number meant by ``value``.

    Args:
        value: an int, float or ``Fraction``, or a tensor without dimensions. What rounds to the same float is decided
            in the precision of ``value``: a tensor of 0.9 in float32 means 9/10 too.
        name: what an error calls it.

    Raises:
        TypeError: not a real number.
        ValueError: not finite.
    """
    single = _single(value)
    if isinstance(single, bool) or not isinstance(single, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if isinstance(single, Rational):
        return Fraction(int(single.numerator), int(single.denominator))  # a numpy integer would stay of fixed width
    number = float(single)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    exact = Fraction(number)
    simple = exact.limit_denominator(LARGEST_DENOMINATOR)
    own_precision = cast(float, value)
    return simple if own_precision * 0 + float(simple) == own_precision else exact


def as_scale(value: object, name: str) -> Fraction:
    """``as_fraction``, and greater than 0, else ``ValueError``."""
    scale = as_fraction(value, name)
    if scale <= 0:
        raise ValueError(f"{name} must be greater than 0, got {float(scale)!r}")
    return scale


def as_size(value: object, name: str) -> int:
    """The integer ``value``, at least 1; a tensor without dimensions is one too.

    Raises:
        TypeError: not an integer.
        ValueError: less than 1.
    """
    single = _single(value)
    if isinstance(single, bool) or not isinstance(single, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if single < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")
    return int(single)


def as_pair(value: T | Sequence[T], name: str) -> tuple[T, T]:
    """``value`` for both axes, or its two items (vertical, horizontal); a tensor of two numbers is a pair.

    Raises:
        ValueError: a sequence of another length, or a tensor of another shape.
    """
    shape = getattr(value, "shape", ())
    if shape not in ((), (2,)):
        raise ValueError(f"{name} must be a number or a pair (height, width), got a tensor of shape {tuple(shape)}")
    if len(shape) or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
        items = tuple(cast(Sequence[T], value))
        if len(items) != 2:
            raise ValueError(f"{name} must be a number or a pair (height, width), got {value!r}")
        return items[0], items[1]
    return value, value


def _single(value: object) -> object:
    """The number in a tensor without dimensions; anything else as it is."""
    return cast(Array, value).item() if getattr(value, "shape", None) == () else value
