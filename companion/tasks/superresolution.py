"""Learning to enlarge photographs by any factor, from their reductions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from cclib.models.superresolution import SuperResolver, SuperResolverConfig, bicubic
from companion import data
from companion.data.pictures import read_image
from companion.tasks.task import Batch, device_of

SIDE = 384  # pixels: validation and test use the middle of a photograph, at most this high and wide
BORDER = 8  # pixels on each side of the large image that no measure counts

Factors = tuple[float, float]  # output size over input size, (vertical, horizontal)


@dataclass(frozen=True)
class SuperResolution:
    """Restore photographs from their anti-aliased bicubic reductions.

    Args:
        model: the super-resolver.
        ratios: the factors that training draws from, as (numerator, denominator).
        validated, tested: factors, (vertical, horizontal), of the validation and of the test.
        square: the least share of the batches whose axes have the same factor.
        epoch_batches: batches per epoch.
        patch: side of the small images of training, pixels, rounded down to a multiple of the denominator.
    """

    model: SuperResolverConfig
    ratios: tuple[tuple[int, int], ...]
    validated: tuple[Factors, ...]
    tested: tuple[Factors, ...]
    square: float = 0.5
    epoch_batches: int = 100
    patch: int = 24

    def data_fingerprint(self) -> str:
        return repr((data.photographs_fingerprint(), version("scikit-image")))  # its measures are a part of the result

    def build(self) -> nn.Module:
        return SuperResolver(self.model)

    def batches_per_epoch(self, batch_size: int) -> int:
        return self.epoch_batches

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Reductions and their originals, mirrored and transposed at random; one factor for each axis of a batch."""
        pictures = [load_luminance(name) for name in data.PHOTOGRAPHS["train"]]

        def below(bound: int) -> int:
            return int(torch.randint(bound, (), generator=generator))

        for _ in range(self.epoch_batches):
            chosen = [self.ratios[below(len(self.ratios))] for _ in range(2)]
            if torch.rand((), generator=generator) < self.square:
                chosen[1] = chosen[0]
            counts = [self.patch // denominator for _, denominator in chosen]
            height, width = (count * ratio[0] for count, ratio in zip(counts, chosen, strict=True))
            small_height, small_width = (count * ratio[1] for count, ratio in zip(counts, chosen, strict=True))
            large = torch.empty(batch_size, 1, height, width)
            for image in large:
                picture = pictures[below(len(pictures))]
                if below(2):
                    picture = picture.mT
                top, left = (below(n - side + 1) for n, side in zip(picture.shape[1:], (height, width), strict=True))
                crop = picture[:, top : top + height, left : left + width]
                image[:] = crop.flip([axis for axis in (1, 2) if below(2)])
            yield bicubic(large, (small_height, small_width)), large

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        small, large = batch
        return F.l1_loss(model(small, size=tuple(large.shape[2:])), large)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The mean PSNR in dB."""
        values = [
            quality(model, middle(load_luminance(name), SIDE, SIDE), factors)["psnr"]
            for name in data.PHOTOGRAPHS["validation"]
            for factors in self.validated
        ]
        return {"psnr": sum(values) / len(values)}

    def test(self, model: nn.Module) -> dict[str, float]:
        """PSNR in dB and SSIM of every photograph at every factor, as "psnr, camera, 2 x 2"."""
        return {
            f"{measure}, {name}, {a:g} x {b:g}": value
            for name in data.PHOTOGRAPHS["test"]
            for a, b in self.tested
            for measure, value in quality(model, middle(load_luminance(name), SIDE, SIDE), (a, b)).items()
        }


def quality(model: nn.Module, image: Tensor, factors: Factors) -> dict[str, float]:
    """How well ``model`` restores an image, (1, height, width) in [0, 1], from its reduction: PSNR in dB, and SSIM.

    What the model answers is clamped to [0, 1]. SSIM is that of Wang et al. (2004), with a Gaussian window of standard
    deviation 1.5; both measures are scikit-image's, in float64.
    """
    small, large = reduced(image, factors)
    answer = model(small[None].to(device_of(model)), size=tuple(large.shape[1:])).float().clamp(0, 1)
    inside = slice(BORDER, -BORDER)
    truth, restored = large[0, inside, inside].numpy(), answer[0, 0, inside, inside].cpu().numpy()
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return {
        "psnr": float(peak_signal_noise_ratio(truth, restored, data_range=1)),
        "ssim": float(structural_similarity(truth, restored, data_range=1, **window)),
    }


def reduced(image: Tensor, factors: Factors) -> tuple[Tensor, Tensor]:
    """A reduction, and its original: the largest middle of ``image`` that is exactly ``factors`` times as large.

    Raises:
        ValueError: the image has fewer pixels on an axis than the numerator of the axis's factor as a fraction.
    """
    ratios = [Fraction(factor).limit_denominator(100) for factor in factors]
    counts = [side // ratio.numerator for side, ratio in zip(image.shape[1:], ratios, strict=True)]
    if 0 in counts:
        raise ValueError(
            f"factors {factors}, as fractions {' and '.join(map(str, ratios))}, need an image at least as large as "
            f"the numerators, but image has only {tuple(image.shape[1:])} pixels"
        )
    height, width = (count * ratio.numerator for count, ratio in zip(counts, ratios, strict=True))
    small_height, small_width = (count * ratio.denominator for count, ratio in zip(counts, ratios, strict=True))
    large = middle(image, height, width)
    return bicubic(large[None], (small_height, small_width))[0], large


def middle(image: Tensor, height: int, width: int) -> Tensor:
    """The middle of an image, (1, at most height, at most width)."""
    top, left = max(image.shape[1] - height, 0) // 2, max(image.shape[2] - width, 0) // 2
    return image[:, top : top + height, left : left + width]


def ratios_between(
    low: float, high: float, largest_denominator: int, unseen: Iterable[float], gap: float
) -> tuple[tuple[int, int], ...]:
    """The factors in [low, high], rising, with denominators up to the largest, that keep ``gap`` from every ``unseen``.

    They are (numerator, denominator), in lowest terms.
    """
    kept = {
        Fraction(numerator, denominator)
        for denominator in range(1, largest_denominator + 1)
        for numerator in range(denominator, int(high * denominator) + 1)
        if low <= numerator / denominator <= high
        and all(abs(numerator / denominator - other) >= gap for other in unseen)
    }
    return tuple((factor.numerator, factor.denominator) for factor in sorted(kept))


def luminance(image: Tensor) -> Tensor:
    """The luminance of ITU-R BT.601 of a grey or RGB image, (channels, height, width) -> (1, height, width)."""
    if len(image) == 1:
        return image
    return torch.einsum("chw,c->hw", image, image.new_tensor([0.299, 0.587, 0.114]))[None]


def folder_images(folder: str) -> dict[str, Tensor]:
    """The luminance in [0, 1] of all PNG and JPEG files in a folder and its subfolders, by name, sorted.

    Raises:
        FileNotFoundError: there are none.
    """
    suffixes = (".png", ".jpg", ".jpeg")
    paths = sorted(path for path in Path(folder).rglob("[!.]*") if path.suffix.lower() in suffixes)
    if not paths:
        raise FileNotFoundError(f"{folder} holds no PNG or JPEG image: name another folder, or none (null)")
    return {str(path.relative_to(folder)): luminance(read_image(path).float() / 255) for path in paths}


def load_luminance(name: str) -> Tensor:
    """A photograph, (1, height, width) in [0, 1]."""
    return luminance(data.photographs()[name])
