"""The photographs: those of scikit-image, each in one split, read without network and verified."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from companion import data
from companion.data import natural_images


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    data.photographs.cache_clear()
    yield
    data.photographs.cache_clear()


class TestPhotographs:
    def test_are_those_of_scikit_image_and_need_no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "socket", None)
        images = data.photographs()
        assert list(images) == sorted(images)
        assert {"astronaut", "camera", "chelsea", "coffee"} < set(images)
        for name, image in images.items():
            assert image.dtype == torch.float32
            assert image.shape[0] in (1, 3)
            assert min(image.shape[1:]) >= 200
            assert 0 <= image.min() < image.max() <= 1
            assert f"{name} ({'RGB' if len(image) == 3 else 'grey'} {image.shape[1]}x{image.shape[2]})" in " ".join(
                str(data.photographs.__doc__).split()
            )

    def test_values(self) -> None:
        from skimage import data as skimage_data

        images = data.photographs()
        assert np.array_equal((images["chelsea"] * 255).round().permute(1, 2, 0), skimage_data.chelsea())
        assert np.array_equal((images["camera"][0] * 255).round(), skimage_data.camera())

    def test_each_is_in_one_split(self) -> None:
        names = [name for split in data.PHOTOGRAPHS.values() for name in split]
        assert sorted(names) == sorted(data.photographs())

    def test_missing_or_other_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(natural_images.PHOTOGRAPHS_SHA256, "camera.png", "0" * 64)
        with pytest.raises(ValueError, match=r"camera\.png is altered.* expected 0{64}: install the pinned version"):
            data.photographs()
        monkeypatch.setattr(natural_images, "PHOTOGRAPHS_SHA256", {"nothing.png": "0" * 64})
        with pytest.raises(FileNotFoundError, match=r"nothing\.png is missing.*install the pinned version"):
            data.photographs()
