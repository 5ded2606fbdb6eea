"""One run: a task, a training schedule and a seed become weights and measures; stopped at any moment, it resumes.

The result depends on task, schedule and seed alone; on the same CPU with the same threads, bit for bit. The model and
every epoch are drawn from generators of their own, so a resumed run sees what an uninterrupted one sees, also where it
was stopped within an epoch.
"""

from __future__ import annotations

import hashlib
import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from companion.files import atomic_write, notice
from companion.tasks.task import Task

History = list[dict[str, float]]  # of each epoch: train loss, validation measures, seconds
CHECKPOINT_SECONDS = 300.0  # of training, between checkpoints within an epoch


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


@dataclass(frozen=True)
class Part:
    """How much of an epoch has been trained."""

    steps: int = 0
    loss: float = 0.0  # the sum over these steps
    seconds: float = 0.0


def fit(
    task: Task,
    training: Training,
    seed: int,
    checkpoint: Path,
    after_checkpoint: Callable[[int], Any] = lambda epochs: None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> tuple[nn.Module, History]:
    """Train, resuming from the file ``checkpoint`` if it is there.

    It is written after every epoch and, where an epoch takes long, after every ``checkpoint_seconds``.
    ``after_checkpoint`` is called with the number of epochs done, once at the start and whenever it has been written. A
    damaged one is reported on the terminal, and the run starts anew.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.build().to(training.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    history, part = resume(model, optimizer, checkpoint)
    after_checkpoint(len(history))

    def keep(part: Part) -> None:
        save(checkpoint, model, optimizer, history, part)
        after_checkpoint(len(history))

    for epoch in range(len(history), training.epochs):
        generator = epoch_generator(seed, epoch)
        part = train_epoch(model, optimizer, task, training, epoch, generator, part, keep, checkpoint_seconds)
        measures = evaluate(model, task.validate)
        history.append({"train_loss": part.loss / part.steps, **measures, "seconds": part.seconds})
        part = Part()
        keep(part)
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
    done: Part = Part(),
    keep: Callable[[Part], Any] = lambda part: None,
    keep_seconds: float = CHECKPOINT_SECONDS,
) -> Part:
    """One pass over the data, or what is left of it; ``keep`` is given what is done every ``keep_seconds``."""
    model.train()
    steps = task.batches_per_epoch(training.batch_size)
    total = torch.tensor(done.loss, dtype=torch.float64, device=training.device)
    started, kept = time.perf_counter() - done.seconds, done.seconds
    for step, batch in enumerate(task.batches(training.batch_size, generator)):
        if step < done.steps:  # trained before; drawn again, for the sake of what the generator gives next
            continue
        for group in optimizer.param_groups:
            group["lr"] = training.rate((epoch * steps + step) / (training.epochs * steps))
        with torch.autocast(training.device, torch.bfloat16, enabled=training.precision == "bfloat16"):
            loss = task.loss(model, tuple(part.to(training.device, non_blocking=True) for part in batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()  # read at the end: a GPU need not wait for it
        seconds = time.perf_counter() - started
        if seconds - kept >= keep_seconds and step + 1 < steps:
            keep(Part(step + 1, total.item(), seconds))
            kept = seconds
    return Part(steps, total.item(), time.perf_counter() - started)


def evaluate(model: nn.Module, measure: Callable[[nn.Module], dict[str, float]]) -> dict[str, float]:
    model.eval()
    with torch.no_grad():
        return measure(model)


def save(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer, history: History, part: Part) -> None:
    buffer = io.BytesIO()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "history": history, "part": asdict(part)}
    torch.save(state, buffer)
    content = buffer.getvalue()
    atomic_write(checkpoint, hashlib.sha256(content).digest() + content)


def resume(model: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Path) -> tuple[History, Part]:
    """Load a checkpoint into model and optimizer; the epochs done, and the part of the next one.

    Both are empty without a sound checkpoint.
    """
    if not checkpoint.exists():
        return [], Part()
    content = checkpoint.read_bytes()
    digest, content = content[:32], content[32:]
    if hashlib.sha256(content).digest() != digest:
        notice(f"{checkpoint} is damaged: this run starts anew")
        return [], Part()
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # executes nothing
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["history"], Part(**state["part"])
