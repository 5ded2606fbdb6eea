"""Image files: reading one, and listing those in a folder of classes."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image


def class_files(folder: Path) -> dict[str, list[Path]]:
    """The image files of each class folder, folders and files sorted.

    Raises ValueError for anything else that is not hidden, and for a class without images; FileNotFoundError for a
    missing folder.
    """
    layout = "expected <class>/*.png, *.jpg or *.jpeg"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing: {layout} in it")
    classes = {}
    for entry in sorted(folder.glob("[!.]*")):
        if not entry.is_dir():
            raise ValueError(f"{entry} is not a class folder: {layout} in {folder}; move it away")
        classes[entry.name] = sorted(entry.glob("[!.]*"))
        for path in classes[entry.name]:
            if path.suffix.lower() not in (".png", ".jpg", ".jpeg") or not path.is_file():
                raise ValueError(f"{path} is not a PNG or JPEG file: {layout} in {folder}; move it away")
    for name in classes or {"<class>": []}:
        if not classes.get(name):
            raise ValueError(f"{folder / name} holds no images: {layout} in {folder}")
    return classes


def read_image(path: Path) -> torch.Tensor:
    """An 8-bit grey or RGB image, uint8 (channels, height, width); ValueError for any other file."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            mode, pixels = image.mode, np.array(image)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow reports a broken PNG by a SyntaxError
        raise ValueError(f"{path} is not a whole PNG or JPEG image ({error}): replace it") from error
    if mode not in ("L", "RGB"):
        raise ValueError(f"{path} has Pillow mode {mode!r}, expected 8-bit grey ('L') or 'RGB': convert it")
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1).contiguous()
