"""Learning to imitate anti-aliased bicubic down-scaling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cclib.models.downscaler import Downscaler, DownscalerConfig
from companion import data
from companion.tasks.measures import decibels
from companion.tasks.task import Batch, device_of


@dataclass(frozen=True)
class Downscaling:
    """Imitate anti-aliased bicubic down-scaling, shown on crops of photographs and on white noise.

    Args:
        model: the down-scaler.
        factors: range of the factors (input size over output size) of training, drawn independently for each axis.
        unseen: factors of the test, (vertical, horizontal).
        gap: training keeps this far from every factor in ``unseen``, unless ``factors`` is a single one.
        epoch_batches, crop: batches per epoch; side of the square crops, pixels.
    """

    model: DownscalerConfig
    factors: tuple[float, float]
    unseen: tuple[tuple[float, float], ...]
    gap: float = 0.02
    epoch_batches: int = 100
    crop: int = 36

    def data_fingerprint(self) -> str:
        return data.photographs_fingerprint()

    def build(self) -> nn.Module:
        return Downscaler(self.model)

    def batches_per_epoch(self, batch_size: int) -> int:
        return self.epoch_batches

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Half of a batch are crops of photographs, half is noise; all have the same factors."""
        pictures = [load_grey(name) for name in data.PHOTOGRAPHS["train"]]
        for _ in range(self.epoch_batches):
            images = torch.rand(batch_size, 1, self.crop, self.crop, generator=generator)
            for image in images[: batch_size // 2]:
                picture = pictures[int(torch.randint(len(pictures), (), generator=generator))]
                top, left = (int(torch.randint(n - self.crop, (), generator=generator)) for n in picture.shape[1:])
                image[:] = picture[:, top : top + self.crop, left : left + self.crop]
            factor = [self.draw_factor(generator), self.draw_factor(generator)]
            yield images, torch.tensor(factor, dtype=torch.float64)

    def draw_factor(self, generator: torch.Generator) -> float:
        low, high = self.factors
        forbidden = {side for pair in self.unseen for side in pair} if low < high else set()
        while True:
            factor = low + (high - low) * float(torch.rand((), generator=generator))
            if all(abs(factor - other) >= self.gap for other in forbidden):
                return factor

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        images, factor = batch
        return squared_error(model, images, (float(factor[0]), float(factor[1])))

    def validate(self, model: nn.Module) -> dict[str, float]:
        middle = sum(self.factors) / 2
        return {"psnr": mean_psnr(model, data.PHOTOGRAPHS["validation"], (middle, middle))}

    def test(self, model: nn.Module) -> dict[str, float]:
        """PSNR in dB at each unseen factor, on photographs that training never saw."""
        return {f"{a:g} x {b:g}": mean_psnr(model, data.PHOTOGRAPHS["test"], (a, b)) for a, b in self.unseen}


def mean_psnr(model: nn.Module, photographs: Iterable[str], factor: tuple[float, float]) -> float:
    """The mean over photographs of the PSNR to bicubic down-scaling, in dB; the peak is 1."""
    crops = (load_grey(name)[None, :, 100:228, 100:228].to(device_of(model)) for name in photographs)
    return decibels(torch.stack([squared_error(model, crop, factor) for crop in crops]))


def squared_error(model: nn.Module, images: Tensor, factor: tuple[float, float], border: int = 3) -> Tensor:
    """The mean squared error to bicubic down-scaling, but for ``border`` output pixels on each side."""
    scales = tuple(1 / side for side in factor)
    truth = F.interpolate(images, scale_factor=scales, mode="bicubic", antialias=True, recompute_scale_factor=False)
    inside = (..., slice(border, -border), slice(border, -border))
    return F.mse_loss(model(images, factor)[inside], truth[inside])


def load_grey(name: str) -> Tensor:
    """A photograph as one channel, the mean of its colours: (1, height, width)."""
    return data.photographs()[name].mean(0, keepdim=True)
