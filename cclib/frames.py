"""Frames: where the samples of an image or feature map lie, so that layers can keep to one coordinate system."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from cclib.geometry import as_fraction, as_pair, as_size


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
        >>> image = Frame.of((28, 28))
        >>> shifted = image.moved((0.5, -3))  # the same camera, half a pixel lower and three to the left
        >>> layer = CCConv2d(1, 8, 4)
        >>> y = layer(x, **shifted.to(image.resized((14, 14))))  # the samples that the unshifted image would give
    """

    size: tuple[int, int]
    start: tuple[Fraction, Fraction]
    step: tuple[Fraction, Fraction]

    @classmethod
    def of(cls, size: Any) -> Frame:
        """The frame of an image: pixel i lies at i. ``size`` is an integer or a pair.

        Raises:
            ValueError, TypeError: ``size`` is not an integer of at least 1.
        """
        height, width = (as_size(side, "size") for side in as_pair(size, "size"))
        return cls((height, width), (Fraction(0), Fraction(0)), (Fraction(1), Fraction(1)))

    def moved(self, by: Any) -> Frame:
        """The frame with every sample moved ``by`` (vertical, horizontal) units; a number moves both axes.

        Raises:
            ValueError, TypeError: ``by`` is not finite, or not a number.
        """
        distance = (as_fraction(side, "by") for side in as_pair(by, "by"))
        vertical, horizontal = (at + far for at, far in zip(self.start, distance, strict=True))
        return Frame(self.size, (vertical, horizontal), self.step)

    def resized(self, size: Any) -> Frame:
        """The frame of ``size`` samples (an integer or a pair) that covers the same area: the same outer edges.

        Raises:
            ValueError, TypeError: ``size`` is not an integer of at least 1.
        """
        pair = tuple(as_size(side, "size") for side in as_pair(size, "size"))
        steps = tuple(step * n / new for step, n, new in zip(self.step, self.size, pair, strict=True))
        starts = tuple(at + (new - old) / 2 for at, old, new in zip(self.start, self.step, steps, strict=True))
        return Frame((pair[0], pair[1]), (starts[0], starts[1]), (steps[0], steps[1]))

    def to(self, target: Frame) -> dict[str, tuple]:
        """What to call a ``CCConv2d`` with, so that an input on this frame gives an output on ``target``."""
        axes = tuple(zip(self.start, self.step, target.start, target.step, strict=True))
        return {
            "size": target.size,
            "scale": tuple(step / new_step for _, step, _, new_step in axes),
            "start": tuple((new_at - at) / step for at, step, new_at, _ in axes),
        }
