"""Frames: exact positions, and layers that follow them."""

from fractions import Fraction

import pytest
import torch

from cclib import CCConv2d, Frame, cc_conv2d
from cclib.filters import ClassicalFilter


def edges(frame: Frame) -> list[tuple[Fraction, Fraction]]:
    """Of each axis, the outer edges of the first and the last sample."""
    axes = zip(frame.start, frame.step, frame.size, strict=True)
    return [(start - step / 2, start + (size - Fraction(1, 2)) * step) for start, step, size in axes]


def test_an_image_lies_at_its_pixels() -> None:
    assert Frame.of(5) == Frame.of((5, 5)) == Frame((5, 5), (Fraction(0),) * 2, (Fraction(1),) * 2)


def test_a_move_is_exact_and_can_be_undone() -> None:
    frame = Frame.of((6, 9)).moved((0.1, -3))
    assert frame.start == (Fraction(1, 10), -3)
    assert frame.step == (1, 1)
    assert frame.moved((-0.1, 3)) == Frame.of((6, 9))
    assert Frame.of(4).moved(2) == Frame.of(4).moved((2, 2))


@pytest.mark.parametrize("size", [1, 7, (3, 20), 28])
def test_a_resized_frame_covers_the_same_area(size: int | tuple[int, int]) -> None:
    frame = Frame.of((28, 10)).moved((1 / 3, 2))
    resized = frame.resized(size)
    assert resized.size == (size if isinstance(size, tuple) else (size, size))
    assert edges(resized) == edges(frame)
    assert resized.resized(frame.size) == frame


def test_where_a_frame_lies_in_another() -> None:
    image = Frame.of((8, 8))
    assert image.to(image) == {"size": (8, 8), "scale": (1, 1), "start": (0, 0)}
    half = image.resized((4, 2))
    assert image.to(half) == {"size": (4, 2), "scale": (Fraction(1, 2), Fraction(1, 4)), "start": (0.5, 1.5)}
    # A camera that starts a pixel further up sees the same point a pixel further down.
    assert image.moved((-1, 0.25)).to(half)["start"] == (1.5, 1.25)
    assert half.to(image)["start"] == (-0.25, -0.375)  # in samples of `half`


def test_a_frame_and_the_default_geometry_agree() -> None:
    torch.manual_seed(0)
    layer = CCConv2d(2, 3, 4).double()
    x, image = torch.randn(1, 2, 9, 12, dtype=torch.float64), Frame.of((9, 12))
    torch.testing.assert_close(layer(x, **image.to(image.resized((5, 7)))), layer(x, size=(5, 7)), rtol=0, atol=0)


@pytest.mark.parametrize("by", [(0, 0), (2, -1), (0.3, 1.75)])
def test_a_camera_that_moves_sees_the_same(by: tuple[float, float]) -> None:
    """A slope, which the cubic kernel keeps, resampled at the same points of the scene."""
    camera = Frame.of((12, 12)).moved(by)
    rows, columns = (float(start) + torch.arange(12, dtype=torch.float64) for start in camera.start)
    image = (3 * rows[:, None] - 2 * columns)[None, None]
    target = Frame.of((4, 5)).moved(4)
    resampled = cc_conv2d(image, ClassicalFilter("cubic", 1), **camera.to(target))
    expected = 3 * (4 + torch.arange(4.0))[:, None] - 2 * (4 + torch.arange(5.0))
    torch.testing.assert_close(resampled[0, 0], expected.double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda frame: Frame.of(0), "size must be at least 1, got 0"),
        (lambda frame: frame.of(2.5), "size must be an integer, got 2.5"),
        (lambda frame: frame.resized((3, 0)), "size must be at least 1, got 0"),
        (lambda frame: frame.moved(float("inf")), "by must be finite, got inf"),
        (lambda frame: frame.moved("1"), "by must be a number"),
        (lambda frame: frame.moved((1, 2, 3)), "by must be a number or a pair"),
    ],
)
def test_bad_arguments_are_named(call, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        call(Frame.of(4))
