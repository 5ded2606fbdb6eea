"""The filters that a layer can be asked for by name. Those of cclib enter their names when ``cclib.filters`` is
imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from cclib.arguments import Scale, as_choice
from cclib.filters.base import Filter

__all__ = ["FILTERS", "Maker", "make", "register"]


class Maker(Protocol):
    """What makes a filter for a layer: a subclass of ``Filter``, or a function."""

    def __call__(
        self, in_channels: int, out_channels: int, kernel_size: Scale, *, groups: int, window: bool
    ) -> Filter: ...


M = TypeVar("M", bound=Maker)

FILTERS: dict[str, Maker] = {}


def register(name: str) -> Callable[[M], M]:
    """Make a filter a choice by name: ``CCConv2d(..., filter=name)``.

    The decorated class or function is called as ``Maker`` says, with the arguments of the layer. A name given again
    means the new filter, as where a cell of a notebook is run twice.

    Raises:
        TypeError: ``name`` is no text, or what is decorated cannot be called.

    Example:
        >>> from cclib.filters import SplineFilter, register
        >>> @register("fine spline")
        ... def fine_spline(in_channels, out_channels, kernel_size, *, groups, window):
        ...     return SplineFilter(in_channels, out_channels, kernel_size, groups=groups, spacing=1 / 2, window=window)
        >>> make("fine spline", 1, 1, 3, groups=1, window=False).counts
        (6, 6)
    """

    if not isinstance(name, str):
        raise TypeError(f'name must be text, as in @register("name"), got {name!r}')

    def enter(maker: M) -> M:
        if not callable(maker):
            raise TypeError(f"filter {name!r} must be a class or a function, got {maker!r}")
        FILTERS[name] = maker
        return maker

    return enter


def make(kind: str, in_channels: int, out_channels: int, kernel_size: Scale, *, groups: int, window: bool) -> Filter:
    """The filter that a layer asks for by name.

    Args:
        kind: a name in ``FILTERS``.
        in_channels, out_channels, groups: those of the layer.
        kernel_size: height and width of the support in input pixels; a classical kernel has its own.
        window: multiply a learned filter by a taper that is zero on the edge of its support.

    Raises:
        ValueError: ``kind`` is not known, or an argument breaks a rule of that filter.
        TypeError: what is registered under this name makes no ``Filter``.
    """
    maker = FILTERS[as_choice(kind, FILTERS, "filter", beside="a Filter or ")]
    filter = maker(in_channels, out_channels, kernel_size, groups=groups, window=window)
    if not isinstance(filter, Filter):
        raise TypeError(f"what is registered as {kind!r} must make a cclib.filters.Filter, got {type(filter).__name__}")
    return filter
