"""The panel of the trained super-resolver: a photograph by any factor, beside bicubic and the truth."""

from __future__ import annotations

import ipywidgets as widgets
import torch
from torch import Tensor

from cclib.models.superresolution import bicubic
from companion.playground import shipped
from companion.playground.article import LARGE, PHOTOGRAPH, SMALL
from companion.playground.layer import read_grey
from companion.playground.live import Picture, live, update_image
from companion.tasks.measures import decibels
from companion.tasks.superresolution import load_luminance, middle

BORDER = 4  # pixels that PSNR leaves out on each side


class RestoredPicture(Picture):
    """The small picture, bicubic interpolation, what the network makes of it, and the truth."""

    def __init__(self) -> None:
        super().__init__(11, 3.1)
        self.figure.subplots_adjust(0.01, 0.01, 0.99, 0.9, wspace=0.04)
        self.images = []
        for axes in self.figure.subplots(1, 4):
            axes.set(xticks=[], yticks=[])
            self.images.append(axes.imshow([[0]], cmap="gray", vmin=0, vmax=1))

    def draw(self, small: Tensor, restored: Tensor, truth: Tensor) -> bytes:
        """The picture of three square ones, each (side, side), as a PNG file."""
        plain = bicubic(small[None, None], (len(truth), len(truth)))[0, 0]
        shown = {
            f"small, {len(small)} x {len(small)}": small,
            f"bicubic, {psnr(plain, truth):.2f} dB": plain,
            f"continuous, {psnr(restored, truth):.2f} dB": restored,
            f"truth, {len(truth)} x {len(truth)}": truth,
        }
        for image, (title, values) in zip(self.images, shown.items(), strict=True):
            update_image(image, values, (0.0, 1.0))
            image.axes.set_title(title, fontsize=10)
        return self.png()


def psnr(picture: Tensor, truth: Tensor) -> float:
    """In dB, without the border."""
    inside = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    return decibels(((picture.clamp(0, 1) - truth)[inside] ** 2).mean()[None])


def restorer_panel() -> widgets.Widget:
    """A slider for the factor, and an image of the reader's own, whose middle is reduced first."""
    model = shipped.trained(shipped.RESTORING, shipped.RESTORER)
    picture = RestoredPicture()
    example = middle(load_luminance(PHOTOGRAPH), LARGE, LARGE)[0]
    factor = widgets.FloatSlider(2.6, min=1.1, max=LARGE / SMALL, step=0.05, description="factor")
    upload = widgets.FileUpload(accept="image/*", description="your image")

    def draw() -> bytes:
        uploaded = [read_grey(file["name"], bytes(file["content"]), LARGE) for file in upload.value]
        large = uploaded[0] if uploaded else example
        side = min(large.shape)
        large = middle(large[None], side, side)
        small = bicubic(large[None], (SMALL, SMALL))
        size = round(factor.value * SMALL)
        with torch.no_grad():
            restored = model(small, size=(size, size))[0, 0]
        return picture.draw(small[0, 0], restored, bicubic(large[None], (size, size))[0, 0])

    return live(draw, [[factor, upload]])
