"""Normalisation: statistics by hand, and the errors."""

import pytest
import torch

from companion import data
from companion.tasks.normalisation import channel_statistics, normalised


class TestNormalisation:
    def test_statistics_by_hand(self) -> None:
        images = torch.tensor([[[[0, 255]], [[51, 51]]], [[[0, 255]], [[102, 102]]]], dtype=torch.uint8)
        mean, std = channel_statistics(data.Split(images, torch.zeros(2, dtype=torch.int64)))
        torch.testing.assert_close(mean, torch.tensor([0.5, 0.3]))
        torch.testing.assert_close(std, torch.tensor([0.5, 0.1]))

    def test_normalised_has_mean_zero_and_deviation_one(self) -> None:
        split = data.load().validation
        images = normalised(split.images, *channel_statistics(split))
        assert images.dtype == torch.float32
        assert abs(images.double().mean()) < 1e-6
        assert abs(images.double().std() - 1) < 1e-6

    def test_bad_arguments(self) -> None:
        one, images = torch.ones(1), torch.zeros(2, 1, 3, 3, dtype=torch.uint8)
        with pytest.raises(TypeError, match=r"images is torch\.float32 \(2, 1, 3, 3\), but must be uint8"):
            normalised(images.float(), one, one)
        with pytest.raises(ValueError, match=r"mean has shape \(3,\), but must be \(1,\)"):
            normalised(images, torch.ones(3), one)
        with pytest.raises(ValueError, match=r"std is \[0\.0\], but must be positive"):
            normalised(images, one, torch.zeros(1))
