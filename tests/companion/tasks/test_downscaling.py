"""Imitating down-scaling: factors and crops are drawn as said, and the PSNR is that of a known error."""

import math

import pytest
import torch
from torch import nn

from cclib.models.downscaler import DownscalerConfig
from companion.tasks.downscaling import Downscaling

UNSEEN = ((1.6, 1.6), (2.0, 2.7))
SCALE_DOWN = Downscaling(DownscalerConfig("siren", 4, True), (1.5, 3.0), UNSEEN, gap=0.1, epoch_batches=4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_generator_draws_the_same_batches() -> None:
    first, again, other = (list(SCALE_DOWN.batches(8, generator(seed))) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for x, y in zip(first, again, strict=True) for a, b in zip(x, y, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


def test_training_factors_keep_away_from_the_unseen() -> None:
    drawn = [SCALE_DOWN.draw_factor(source) for source in [generator()] for _ in range(2000)]
    assert min(drawn) >= 1.5
    assert max(drawn) <= 3.0
    assert max(drawn) - min(drawn) > 1.2
    assert min(abs(factor - other) for factor in drawn for other in (1.6, 2.0, 2.7)) >= 0.1


def test_a_task_at_one_factor_draws_that_factor() -> None:
    task = Downscaling(SCALE_DOWN.model, (2.0, 2.0), ((2.0, 2.0),))
    assert task.draw_factor(generator()) == 2.0


def test_half_of_a_batch_are_photographs() -> None:
    images, factor = next(SCALE_DOWN.batches(8, generator()))
    assert images.shape == (8, 1, 36, 36)
    assert factor.shape == (2,)
    roughness = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))  # of uniform noise: 1 / 3
    assert roughness[:4].max() < 0.2 < 0.3 < roughness[4:].min()


class Shifted(nn.Module):
    """The bicubic answer with a constant error."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: torch.Tensor, factor: tuple[float, float]) -> torch.Tensor:
        scales = tuple(1 / side for side in factor)
        return self.error + nn.functional.interpolate(
            x, scale_factor=scales, mode="bicubic", antialias=True, recompute_scale_factor=False
        )


@pytest.mark.parametrize("error", [0.1, 0.01])
def test_psnr_of_a_known_error(error: float) -> None:
    measured = SCALE_DOWN.test(Shifted(error))
    assert list(measured) == ["1.6 x 1.6", "2 x 2.7"]
    assert all(math.isclose(value, -20 * math.log10(error), abs_tol=0.01) for value in measured.values())
