"""The published upsamplers against loops over outputs, written from their papers."""

import math

import pytest
import torch
from torch import Tensor

from cclib.models.upsampling import LocalImplicitFunction, MetaUpscale

SIZES = [(7, 9), (6, 5), (12, 10), (3, 4), (20, 13)]


def patch(x: Tensor, row: int, column: int) -> Tensor:
    """The 3 × 3 features about a pixel, zeros outside, (channels, 3, 3)."""
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    return padded[:, row : row + 3, column : column + 3]


@pytest.mark.parametrize("size", SIZES)
def test_local_implicit_function_by_loops(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    layer = LocalImplicitFunction(3, hidden=4).double()
    x = torch.randn(1, 3, 6, 5, dtype=torch.float64)
    bias = layer.of_features.bias
    assert bias is not None
    expected = torch.zeros(size, dtype=torch.float64)
    extent = [x.shape[2] / size[0], x.shape[3] / size[1]]
    for i in range(size[0]):
        for j in range(size[1]):
            place = [(i + 0.5) * extent[0] - 0.5, (j + 0.5) * extent[1] - 0.5]
            areas, answers = [], []
            for row in (math.floor(place[0]), math.floor(place[0]) + 1):
                for column in (math.floor(place[1]), math.floor(place[1]) + 1):
                    at = min(max(row, 0), 5), min(max(column, 0), 4)
                    read = (patch(x[0], *at) * layer.of_features.weight).sum((1, 2, 3)) + bias
                    distance = torch.tensor([place[0] - at[0], place[1] - at[1], *extent], dtype=torch.float64)
                    answers.append(layer.answer(layer.rest(read + layer.of_place(distance))).squeeze())
                    # of the rectangle between the output and the pixel diagonally opposite
                    areas.append((1 - abs(place[0] - row)) * (1 - abs(place[1] - column)))
            assert sum(areas) == pytest.approx(1)
            expected[i, j] = sum(area * answer.item() for area, answer in zip(areas, answers, strict=True))
    torch.testing.assert_close(layer(x, size)[0, 0], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_meta_upscale_by_loops(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    layer = MetaUpscale(3, kernel_size=3, hidden=4).double()
    x = torch.randn(1, 3, 6, 5, dtype=torch.float64)
    expected = torch.zeros(size, dtype=torch.float64)
    extent = [x.shape[2] / size[0], x.shape[3] / size[1]]
    for i in range(size[0]):
        for j in range(size[1]):
            at = i * 6 // size[0], j * 5 // size[1]
            inside = i * extent[0] - at[0], j * extent[1] - at[1]
            weights = layer.weights(layer.of_place(torch.tensor([*inside, *extent], dtype=torch.float64)))
            expected[i, j] = (patch(x[0], *at).flatten() * weights).sum().item()
    torch.testing.assert_close(layer(x, size)[0, 0], expected, rtol=1e-10, atol=1e-10)
