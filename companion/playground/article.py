"""The trained networks as the article runs them: their weights, some pictures, and how well they do."""

from __future__ import annotations

import base64
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from cclib import filters
from cclib.models.downscaler import Downscaler
from companion import data
from companion.evidence.costs import multiply_adds_at
from companion.playground import shipped
from companion.tasks.classification import logits
from companion.tasks.downscaling import load_grey, mean_psnr
from companion.tasks.normalisation import channel_statistics
from companion.tasks.shifting import darkest
from companion.tasks.superresolution import load_luminance, middle

LAST_SIDES = range(4, 12)  # of the last feature map; the others keep their proportions: the schedules of notebook 05

PHOTOGRAPH = "camera"
LARGE, SMALL = 256, 64  # sides of the photograph's middle and of its reduction
LOUPE = (0.1, 0.3)  # the corner of what is shown of it, as shares of its side
CUT_OFF = 0.25  # cycles per pixel, of the pictures that move: that of notebook 07's rows
REDUCED = "coffee"  # of the test photographs of notebook 08
CROP = slice(100, 228)  # of its rows and columns: that on which the notebook measures
TENTHS = range(12, 41)  # of the factors of the figure: beyond those of training on both sides
SHOWN = 6  # which of the pictures that move is seen: a shirt


def trained() -> dict[str, dict[str, Any]]:
    """All of it, by the names of the article's templates."""
    return {"network": network(), "restorer": restorer(), "shift": shift(), "kernel": kernel()}


def restorer() -> dict[str, Any]:
    """Plain values for JSON; bytes are base64."""
    picture = middle(load_luminance(PHOTOGRAPH), LARGE, LARGE)
    return {
        "weights": base64.b64encode(shipped.RESTORER.read_bytes()).decode(),
        "picture": base64.b64encode((255 * picture).round().to(torch.uint8).numpy().tobytes()).decode(),
        "side": LARGE,
        "small": SMALL,
        "loupe": list(LOUPE),
    }


def kernel() -> dict[str, Any]:
    """Plain values for JSON: bytes are base64; ``psnr`` is in dB, a mean over the test photographs, by method.

    The methods are the two shipped kernels, and anti-aliased bilinear resizing.
    """
    models = {name: shipped.trained(task, shipped.KERNELS[name]) for name, task in shipped.REDUCING.items()}
    classical = Downscaler(shipped.REDUCING["cc"].model)
    classical.layer.filter = filters.ClassicalFilter("linear", 1)
    picture = load_grey(REDUCED)[0, CROP, CROP]
    photographs = data.PHOTOGRAPHS["test"]
    with torch.no_grad():
        psnr = {
            name: [mean_psnr(InTenths(model), photographs, (tenths / 10, tenths / 10)) for tenths in TENTHS]
            for name, model in (models | {"classical": classical}).items()
        }
    return {
        **{name: base64.b64encode(path.read_bytes()).decode() for name, path in shipped.KERNELS.items()},
        "picture": base64.b64encode((255 * picture).round().to(torch.uint8).numpy().tobytes()).decode(),
        "side": picture.shape[0],
        "tenths": list(TENTHS),
        "psnr": psnr,
        "photographs": len(photographs),
        "trained": list(shipped.KERNEL_FACTORS),
        "one": shipped.ONE_FACTOR[0],
    }


class InTenths(nn.Module):
    """A down-scaler, by exact tenths: a float that is none has about as many phases as the output has pixels, and a
    filter of many functions is large at so many offsets."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, factor: tuple[float, float]) -> Tensor:
        """As ``Downscaler``."""
        y: Tensor = self.model(x, tuple(Fraction(round(10 * side), 10) for side in factor))
        return y


def shift() -> dict[str, Any]:
    """Plain values for JSON; the pictures are those of ``network``."""
    task = shipped.MOVED["continuous"]
    side, *sizes = task.model.sizes
    return {
        **{name: base64.b64encode(path.read_bytes()).decode() for name, path in shipped.MOVING.items()},
        "side": side,
        "sizes": sizes,
        "margin": task.margin,
        "background": darkest(task).item(),
        "cutOff": CUT_OFF,
        "shown": SHOWN,
    }


def network() -> dict[str, Any]:
    """Plain values for JSON: bytes are base64, ``cost`` is relative to the nominal sizes, ``accuracy`` in per cent."""
    model, _ = shipped.load()
    config = model.config
    dataset = data.load()
    pictures, labels = shipped.TASK.split("test")
    firsts = [int((labels == label).nonzero()[0, 0]) for label in range(len(dataset.classes))]
    mean, deviation = channel_statistics(dataset.train)
    side, *nominal = config.sizes
    schedules = [[size * last // nominal[-1] for size in nominal] for last in LAST_SIDES]
    with torch.no_grad():
        right = [(logits(model, pictures, sizes).argmax(1) == labels).double().mean().item() for sizes in schedules]
    costs = [multiply_adds_at(config, side, sizes) for sizes in schedules]
    at_nominal = schedules.index(list(nominal))
    return {
        "weights": base64.b64encode(shipped.SHIPPED.read_bytes()).decode(),
        "images": base64.b64encode(dataset.test.images[firsts].numpy().tobytes()).decode(),
        "labels": labels[firsts].tolist(),
        "classes": list(dataset.classes),
        "side": side,
        "mean": mean.item(),
        "deviation": deviation.item(),
        "tested": len(labels),
        "nominal": at_nominal,
        "schedules": [
            {"sizes": sizes, "cost": cost / costs[at_nominal], "accuracy": 100 * share}
            for sizes, cost, share in zip(schedules, costs, right, strict=True)
        ],
    }
