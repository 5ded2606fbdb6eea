"""The PSNR of known errors."""

import math

import pytest
import torch

from companion.tasks.measures import decibels, psnr


def test_psnr_of_a_known_error() -> None:
    images = torch.full((2, 1, 4, 4), 0.5)
    assert math.isclose(psnr(images + 0.1, images), 20, abs_tol=1e-4)
    assert math.isclose(psnr(images, images), 120, abs_tol=1e-4)


def test_several_errors_are_averaged_in_decibels() -> None:
    assert decibels(torch.tensor([0.01, 0.0001])) == pytest.approx(30)
