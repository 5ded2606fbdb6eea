"""Frames: where the samples of an image or feature map lie, so that layers can keep to one coordinate system."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypedDict

from cclib.arguments import Scale, Size, as_fraction, as_pair, as_size

__all__ = ["Frame", "Geometry"]


class Geometry(TypedDict):
    """The arguments of ``CCConv2d`` and ``cc_conv2d`` that say where the outputs fall, exactly."""

    size: tuple[int, int]
    scale: tuple[Fraction, Fraction]
    start: tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Frame:
    """Where the samples of an image or a feature map lie in a common coordinate system, exactly.

    Sample i of an axis lies at ``start + i * step``. The unit is whatever the first frame of a network counts in,
    usually the pixels of its input.

    Args:
        size: number of samples, (vertical, horizontal).
        start: where sample 0 lies.
        step: distance of neighbouring samples.

    Example:
        >>> from cclib import CCConv2d
        >>> image = Frame.of((28, 28))
        >>> shifted = image.moved((0.5, -3))  # the same camera, half a pixel lower and three to the left
        >>> layer = CCConv2d(1, 8, 4)
        >>> x = torch.zeros(2, 1, 28, 28)
        >>> layer(x, **shifted.to(image.resized((14, 14)))).shape  # the samples that the unshifted image would give
        torch.Size([2, 8, 14, 14])
    """

    size: tuple[int, int]
    start: tuple[Fraction, Fraction]
    step: tuple[Fraction, Fraction]

    @classmethod
    def of(cls, size: Size) -> Frame:
        """The frame of an image: pixel i lies at i. ``size`` is an integer or a pair.

        Raises:
            ValueError, TypeError: ``size`` is not an integer of at least 1.
        """
        height, width = (as_size(side, "size") for side in as_pair(size, "size"))
        return cls((height, width), (Fraction(0), Fraction(0)), (Fraction(1), Fraction(1)))

    def moved(self, by: Scale) -> Frame:
        """The frame with every sample moved ``by`` (vertical, horizontal) units; a number moves both axes.

        Raises:
            ValueError, TypeError: ``by`` is not finite, or not a number.
        """
        distance = (as_fraction(side, "by") for side in as_pair(by, "by"))
        vertical, horizontal = (at + far for at, far in zip(self.start, distance, strict=True))
        return Frame(self.size, (vertical, horizontal), self.step)

    def resized(self, size: Size) -> Frame:
        """The frame of ``size`` samples (an integer or a pair) that covers the same area: the same outer edges.

        Raises:
            ValueError, TypeError: ``size`` is not an integer of at least 1.
        """
        height, width = (as_size(side, "size") for side in as_pair(size, "size"))
        vertical, horizontal = (
            step * n / new for step, n, new in zip(self.step, self.size, (height, width), strict=True)
        )
        top, left = (
            at + (new - old) / 2 for at, old, new in zip(self.start, self.step, (vertical, horizontal), strict=True)
        )
        return Frame((height, width), (top, left), (vertical, horizontal))

    def to(self, target: Frame) -> Geometry:
        """What to call a ``CCConv2d`` with, so that an input on this frame gives an output on ``target``."""
        vertical, horizontal = (step / new for step, new in zip(self.step, target.step, strict=True))
        top, left = ((new - at) / step for at, step, new in zip(self.start, self.step, target.start, strict=True))
        return {"size": target.size, "scale": (vertical, horizontal), "start": (top, left)}
