"""Numbers, pairs, sizes, names and switches as a caller may give them, read exactly; errors name the argument.

Pairs are (vertical, horizontal). Imports no torch: a number in a tensor is taken out of it by the methods that arrays
of numpy have too.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Sequence
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Protocol, TypeAlias, TypeVar, cast

__all__ = ["Array", "Number", "Scale", "Size", "Start", "as_choice", "as_flag", "as_fraction", "as_pair", "as_scale"]
__all__ += ["as_size", "as_support", "check_numbers", "shown"]

# A float is read as the simplest fraction with a denominator up to this that rounds to the same float: 0.9 means 9/10
# and 2/3 means 2/3. Other floats (1 / sqrt(2)) are taken as the exact binary number that they are.
LARGEST_DENOMINATOR = 10_000

# A denominator has no more bits, so that what is computed of some numbers still has digits that can be written down.
MOST_BITS = 4096

# Sides of a support, in pixels: their product, and one over it, are numbers in float32.
SMALLEST_SIDE, LARGEST_SIDE = Fraction(1, 10**18), Fraction(10**18)

MOST_NUMBERS = 2**31  # of one parameter


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
        ValueError: not finite, larger than a float can be, or of a denominator of more than 4096 bits.
    """
    single = _single(value, name)
    if isinstance(single, bool) or not isinstance(single, Real):
        raise TypeError(f"{name} must be a number, got {shown(value)}")
    if isinstance(single, Rational):
        over, under = int(single.numerator), int(single.denominator)  # a numpy integer would stay of fixed width
        if abs(over) >= under << 1023 or under.bit_length() > MOST_BITS:
            raise ValueError(
                f"{name} must be less than 2^1023, with a denominator of at most {MOST_BITS} bits, got {shown(value)}"
            )
        return Fraction(over, under)
    number = float(single)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {shown(value)}")
    exact = Fraction(number)
    simple = exact.limit_denominator(LARGEST_DENOMINATOR)
    own_precision = cast(float, value)
    return simple if own_precision * 0 + float(simple) == own_precision else exact


def as_scale(value: object, name: str) -> Fraction:
    """``as_fraction``, and greater than 0 as a float too, else ``ValueError``."""
    scale = as_fraction(value, name)
    if float(scale) <= 0:
        raise ValueError(f"{name} must be greater than 0, got {float(scale)!r}")
    return scale


def as_size(value: object, name: str) -> int:
    """The integer ``value``, at least 1; a tensor without dimensions is one too.

    Raises:
        TypeError: not an integer.
        ValueError: less than 1.
    """
    single = _single(value, name)
    if isinstance(single, bool) or not isinstance(single, Integral):
        raise TypeError(f"{name} must be an integer, got {shown(value)}")
    if single < 1:
        raise ValueError(f"{name} must be at least 1, got {shown(value)}")
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
        if getattr(value, "is_sparse", False):
            raise TypeError(f"{name} must be a number or a pair (height, width), got a sparse tensor")
        items = tuple(cast(Sequence[T], value))
        if len(items) != 2:
            raise ValueError(f"{name} must be a number or a pair (height, width), got {shown(value)}")
        return items[0], items[1]
    return value, value


def as_support(value: object, name: str) -> tuple[Fraction, Fraction]:
    """Height and width of a filter's support in input pixels.

    Raises:
        TypeError, ValueError: ``value`` is no number or pair of numbers from 1e-18 to 1e18.
    """
    vertical, horizontal = as_pair(value, name)
    sides = as_scale(vertical, name), as_scale(horizontal, name)
    if min(sides) < SMALLEST_SIDE or max(sides) > LARGEST_SIDE:
        raise ValueError(
            f"{name} must be from 1e-18 to 1e18, since filters are evaluated in float32; got {shown(value)}"
        )
    return sides


def as_flag(value: object, name: str) -> bool:
    """``value``, which must be True or False, else ``TypeError``."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return value


def as_choice(value: object, choices: Collection[str], name: str, beside: str = "") -> str:
    """``value``, which must be one of the names ``choices``, else ``ValueError``; ``beside`` says what else may be
    given."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be {beside}one of {', '.join(choices)}, got {shown(value)}")
    return value


def check_numbers(numbers: int, names: str) -> None:
    """Refuse a parameter of so many ``numbers``, which follow from the arguments ``names``: ``ValueError``."""
    if numbers > MOST_NUMBERS:
        raise ValueError(f"{names} ask for a parameter of more than {MOST_NUMBERS:,} numbers; smaller ones need fewer")


class _Short(reprlib.Repr):
    """``repr``, shortened; an integer of very many digits, which has none, by its size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 200

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() <= MOST_BITS else f"an integer of {x.bit_length()} bits"


def shown(value: object) -> str:
    """``value`` as an error shows it."""
    if isinstance(value, Fraction):
        parts = [_SHORT.repr(part) for part in (value.numerator, value.denominator)]
        return f"Fraction({', '.join(parts)})"
    return _SHORT.repr(value)


_SHORT = _Short()


def _single(value: object, name: str) -> object:
    """The number in a tensor without dimensions; anything else as it is."""
    if getattr(value, "is_meta", False):
        raise TypeError(f"{name} must be a number, got a tensor without values, on the device meta")
    return cast(Array, value).item() if getattr(value, "shape", None) == () else value
