"""The natural photographs and textures in scikit-image's wheel, and their split."""

import hashlib
import importlib.resources
from functools import lru_cache
from pathlib import Path

import torch

from companion.data.downloads import verify
from companion.data.pictures import read_image

# Files of scikit-image's wheel whose documentation says that they are free of copyright restrictions.
PHOTOGRAPHS_SHA256 = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
}
PHOTOGRAPHS = {
    "train": ("astronaut", "brick", "coins", "gravel"),
    "validation": ("chelsea",),
    "test": ("camera", "coffee", "grass"),
}


@lru_cache(maxsize=1)
def photographs() -> dict[str, torch.Tensor]:
    """The natural photographs and textures in scikit-image's wheel, read from disk, once in a process, without network.

    Returns float32 tensors (channels, height, width) in [0, 1] by name, in this order, height x width:
    astronaut (RGB 512x512), brick (grey 512x512), camera (grey 512x512), chelsea (RGB 300x451),
    coffee (RGB 400x600), coins (grey 303x384), grass (grey 512x512), gravel (grey 512x512).
    Raises FileNotFoundError for a file that is missing, ValueError for one with other content.
    """
    folder = Path(str(importlib.resources.files("skimage"))) / "data"
    images = {}
    for file, sha256 in PHOTOGRAPHS_SHA256.items():
        verify(folder / file, sha256, "install the pinned version of scikit-image again")
        images[Path(file).stem] = read_image(folder / file).to(torch.float32) / 255
    return images


def photographs_fingerprint() -> str:
    """A SHA-256 over the pixels of all photographs and their split, a part of a run's key."""
    fingerprint = hashlib.sha256(repr(PHOTOGRAPHS).encode())
    for name, image in photographs().items():
        fingerprint.update(repr((name, tuple(image.shape))).encode())
        fingerprint.update(image.numpy().data)
    return fingerprint.hexdigest()
