"""What a run can be asked to learn: data, model, loss and measures of each task, as plain values.

One module for each task; this file imports none of them: a trained network is kept as long as the code of its own task
is unchanged. How a task is trained is ``companion.train.training``'s; a task is the same for every seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, ...]


class Task(Protocol):
    """A frozen dataclass of plain values with these methods; its values are the identity of a cached run.

    A model may sit on any device: the methods take it as it is and move data to it.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # what makes a class a dataclass for type checkers

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
    """Where a model sits; one without parameters, such as a fixed resizer, on the CPU."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
