"""One run: a task, a training schedule and a seed become weights and measures; stopped at any moment, it resumes.

The result depends on task, schedule and seed alone; on the same CPU with the same threads, bit for bit. The model and
every epoch are drawn from generators of their own, so a resumed run sees what an uninterrupted one sees.
"""

from __future__ import annotations

import hashlib
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from companion.files import atomic_write, notice
from companion.tasks.task import Task

History = list[dict[str, float]]  # of each epoch: train loss, validation measures, seconds


@dataclass(frozen=True)
class Training:
    """AdamW with a linear warm-up and a cosine decay to zero.

    Args:
        epochs, batch_size: as usual.
        learning_rate: the peak.
        weight_decay: of AdamW.
        warmup: share of the steps over which the learning rate rises.
        device: "cpu" or "cuda".
        precision: "float32", or "bfloat16" for mixed precision (torch.autocast).
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    warmup: float = 0.15
    device: str = "cpu"
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be greater than 0, got {self.learning_rate}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup must be in [0, 1), got {self.warmup}")
        for name, choices in (("device", ("cpu", "cuda")), ("precision", ("float32", "bfloat16"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")

    def rate(self, progress: float) -> float:
        """The learning rate after a share ``progress`` of all steps."""
        if progress < self.warmup:
            return self.learning_rate * progress / self.warmup
        return self.learning_rate / 2 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


def fit(
    task: Task, training: Training, seed: int, checkpoint: Path, after_epoch: Callable[[int], Any] = lambda epoch: None
) -> tuple[nn.Module, History]:
    """Train, resuming from the file ``checkpoint`` if it is there, and writing it after every epoch.

    ``after_epoch`` is called with the number of epochs done, once at the start and then after each. A damaged
    checkpoint is reported on the terminal, and the run starts anew.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.build().to(training.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    history = resume(model, optimizer, checkpoint)
    after_epoch(len(history))
    for epoch in range(len(history), training.epochs):
        started = time.perf_counter()
        loss = train_epoch(model, optimizer, task, training, epoch, epoch_generator(seed, epoch))
        seconds = time.perf_counter() - started
        history.append({"train_loss": loss, **evaluate(model, task.validate), "seconds": seconds})
        save(checkpoint, model, optimizer, history)
        after_epoch(len(history))
    return model, history


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(1_000_003 * (seed + 1) + epoch)


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: Task,
    training: Training,
    epoch: int,
    generator: torch.Generator,
) -> float:
    """One pass over the data; the mean loss of its batches."""
    model.train()
    steps = task.batches_per_epoch(training.batch_size)
    total = torch.zeros((), dtype=torch.float64, device=training.device)
    for step, batch in enumerate(task.batches(training.batch_size, generator)):
        for group in optimizer.param_groups:
            group["lr"] = training.rate((epoch * steps + step) / (training.epochs * steps))
        with torch.autocast(training.device, torch.bfloat16, enabled=training.precision == "bfloat16"):
            loss = task.loss(model, tuple(part.to(training.device, non_blocking=True) for part in batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()  # read at the end: a GPU need not wait for it
    return total.item() / steps


def evaluate(model: nn.Module, measure: Callable[[nn.Module], dict[str, float]]) -> dict[str, float]:
    model.eval()
    with torch.no_grad():
        return measure(model)


def save(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer, history: History) -> None:
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": history}, buffer)
    content = buffer.getvalue()
    atomic_write(checkpoint, hashlib.sha256(content).digest() + content)


def resume(model: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Path) -> History:
    """Load a checkpoint into model and optimizer and return its history, which is empty without a sound checkpoint."""
    if not checkpoint.exists():
        return []
    content = checkpoint.read_bytes()
    digest, content = content[:32], content[32:]
    if hashlib.sha256(content).digest() != digest:
        notice(f"{checkpoint} is damaged: this run starts anew")
        return []
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # executes nothing
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["history"]
