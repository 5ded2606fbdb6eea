"""Published ways from a feature map to an image of any size, as the opponents of a continuous layer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LocalImplicitFunction", "MetaUpscale"]


class LocalImplicitFunction(nn.Module):
    """An output is what a small network makes of the features about it, and of where it lies between them.

    The network reads the 3 × 3 features about the nearest pixel, the distance to that pixel, and the extent of an
    output pixel. It is asked for each of the four nearest pixels, and its answers are averaged by the areas between
    output and pixel: feature unfolding, cell decoding and local ensemble of Y. Chen, S. Liu and X. Wang, "Learning
    Continuous Image Representation with Local Implicit Image Function", CVPR 2021. Its first layer is linear in the
    features, so their part is computed once for each pixel, as a convolution.

    Args:
        channels: of the feature map.
        hidden: width of both hidden layers; theirs are five times as many and 256 wide.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.of_features = nn.Conv2d(channels, hidden, 3, padding=1)
        self.of_place = nn.Linear(4, hidden, bias=False)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.answer = nn.Linear(hidden, 1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(batch, channels, height, width) -> (batch, 1, *size): the same area."""
        features = self.of_features(x).movedim(1, -1)
        rows, columns = (neighbours(n, new, x) for n, new in zip(x.shape[2:], size, strict=True))
        cell = x.new_tensor([x.shape[2] / size[0], x.shape[3] / size[1]]).expand(*size, 2)
        total = x.new_zeros(())
        for row, above, height in rows:
            for column, left, width in columns:
                distances = torch.stack(torch.broadcast_tensors(above[:, None], left), -1)
                place = self.of_place(torch.cat([distances, cell], -1))
                answer = self.answer(self.rest(features[:, row][:, :, column] + place))[..., 0]
                total = total + answer * (height[:, None] * width)
        return total[:, None]


class MetaUpscale(nn.Module):
    """An output is a convolution of the features about it, with weights that a small network gives for its place.

    The network reads where the output lies between the pixels, and the extent of an output pixel. X. Hu, H. Mu, X.
    Zhang, Z. Wang, T. Tan and J. Sun, "Meta-SR: A Magnification-Arbitrary Network for Super-Resolution", CVPR 2019;
    there the extent is one number, since both axes have the same factor.

    Args:
        channels: of the feature map.
        kernel_size: of the weights.
        hidden: width of the hidden layer; theirs is 256.
    """

    def __init__(self, channels: int, kernel_size: int, hidden: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.of_place = nn.Sequential(nn.Linear(4, hidden), nn.ReLU())
        self.weights = nn.Linear(hidden, channels * kernel_size**2)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(batch, channels, height, width) -> (batch, 1, *size): the same area."""
        (row, above), (column, left) = (
            (whole, places - whole)
            for n, new in zip(x.shape[2:], size, strict=True)
            for places in [torch.arange(new, device=x.device, dtype=torch.float64) * n / new]
            for whole in [places.floor()]
        )
        extent = x.new_tensor([x.shape[2] / size[0], x.shape[3] / size[1]]).expand(*size, 2)
        fractions = torch.stack(torch.broadcast_tensors(above[:, None], left), -1).to(x.dtype)
        weights = self.weights(self.of_place(torch.cat([fractions, extent], -1)))
        patches = F.unfold(x, self.kernel_size, padding=self.kernel_size // 2).unflatten(2, x.shape[2:])
        read = patches.permute(2, 3, 0, 1).contiguous()[row.long()][:, column.long()]  # (*size, batch, patch)
        y: Tensor = (read @ weights[..., None])[..., 0].permute(2, 0, 1)[:, None]
        return y


def neighbours(n: int, new: int, like: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each output of an axis of n pixels resized to ``new`` both pixels about it: index, distance to it, weight.

    At the ends both are the same pixel. The weights are the distances to the other pixel, whose sum is one.
    """
    places = (torch.arange(new, device=like.device, dtype=torch.float64) + 0.5) * n / new - 0.5
    below = places.floor()
    found = []
    for index in (below, below + 1):
        pixel = index.clamp(0, n - 1)
        weight = 1 - (places - index).abs()
        found.append((pixel.long(), (places - pixel).to(like.dtype), weight.to(like.dtype)))
    return found
