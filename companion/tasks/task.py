"""What every task has: data, a model, a loss and measures, declared by plain values.

Each task is a module of its own and imports no other task that it does not extend: a trained network is kept as long as
the code of its own task is unchanged. ``companion.train.training`` trains a task, the same one for every seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

INFERENCE_BATCH = 250  # images that a model is given at a time where nothing is learned

Batch = tuple[Tensor, ...]


class Task(Protocol):
    """A frozen dataclass of plain values with these methods; its values are the identity of a cached run.

    A model may be on any device: the methods leave it there and move the data to it.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # what makes a class a dataclass for type checkers

    def __hash__(self) -> int: ...

    def data_fingerprint(self) -> str:
        """A hash of the data that the task reads."""

    def build(self) -> nn.Module:
        """An untrained model, drawn from torch's global generator."""

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """The batches of one epoch, drawn from ``generator``, on the CPU."""

    def batches_per_epoch(self, batch_size: int) -> int: ...

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss to be minimised; the tensors of ``batch`` are on the model's device."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measures on the validation split, taken after every epoch."""

    def test(self, model: nn.Module) -> dict[str, float]:
        """Measures on the test split, taken once, after the last epoch."""


def device_of(model: nn.Module) -> torch.device:
    """The device of a model's parameters; the CPU for a model without any, such as a fixed resizer."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
