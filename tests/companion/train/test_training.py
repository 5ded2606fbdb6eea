"""A run: it learns, its rate follows the schedule, and where it stops makes no difference to where it ends."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cclib.models.classifier import ClassifierConfig
from companion.tasks.classification import Classification, FlexibleClassification
from companion.train import training

TASK = Classification(ClassifierConfig("cc", sizes=(28, 7), channels=(4,)), train_size=300, test_size=100)
SCHEDULE = training.Training(epochs=3, batch_size=50, learning_rate=0.02)


class Stop(Exception):
    pass


def stop_after(epochs: int):
    def after_epoch(done: int) -> None:
        if done == epochs:
            raise Stop

    return after_epoch


def without_seconds(history: training.History) -> training.History:
    return [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in history]


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def test_a_run_learns(tmp_path: Path) -> None:
    _, history = training.fit(replace(TASK, train_size=2000), SCHEDULE, 0, tmp_path / "checkpoint")
    assert len(history) == 3
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["accuracy"] > 25  # chance is 10


@pytest.mark.parametrize("stopped", [1, 2])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path: Path, stopped: int) -> None:
    straight, history = training.fit(TASK, SCHEDULE, 0, tmp_path / "straight")
    with pytest.raises(Stop):
        training.fit(TASK, SCHEDULE, 0, tmp_path / "broken", stop_after(stopped))
    resumed, resumed_history = training.fit(TASK, SCHEDULE, 0, tmp_path / "broken")
    assert all(torch.equal(a, b) for a, b in zip(weights(straight), weights(resumed), strict=True))
    assert without_seconds(history) == without_seconds(resumed_history)


FLEXIBLE = FlexibleClassification(
    TASK.model, train_size=300, test_size=100, augment=True, growth=(0.8, 1.2), nominal_maps=0.3
)


@pytest.mark.parametrize("task", [TASK, FLEXIBLE], ids=["plain", "drawing in every batch"])
@pytest.mark.parametrize("stops", [[1], [4, 2], [6], [8, 1, 1], [17]])
def test_a_run_stopped_within_an_epoch_ends_in_the_same_bits(
    tmp_path: Path, task: Classification, stops: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, history = training.fit(task, SCHEDULE, 0, tmp_path / "straight")
    told: list[int] = []
    steps: list[int] = []
    loss = type(task).loss

    def stop(epochs: int) -> None:
        told.append(epochs)
        if len(told) == 1 + written:
            raise Stop

    def counted(*arguments: Any) -> torch.Tensor:
        steps.append(1)
        return loss(*arguments)

    monkeypatch.setattr(type(task), "loss", counted)
    for number, written in enumerate(stops):
        told.clear()
        with pytest.raises(Stop):
            training.fit(task, SCHEDULE, 0, tmp_path / "broken", stop, checkpoint_seconds=0)
        done = sum(stops[:number])
        assert told == [step // 6 for step in range(done, done + written + 1)]  # an epoch has six
    resumed, resumed_history = training.fit(task, SCHEDULE, 0, tmp_path / "broken")
    assert len(steps) == 18  # none twice
    assert all(torch.equal(a, b) for a, b in zip(weights(straight), weights(resumed), strict=True))
    assert without_seconds(history) == without_seconds(resumed_history)


def test_checkpoints_within_an_epoch_come_after_some_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=100)  # a look at it takes 100 seconds
    monkeypatch.setattr(training.time, "perf_counter", lambda: float(next(clock)))
    told: list[int] = []
    schedule = replace(SCHEDULE, epochs=1)
    _, history = training.fit(TASK, schedule, 0, tmp_path / "checkpoint", told.append, checkpoint_seconds=250)
    assert told == [
        0,
        0,
        1,
    ]  # at the start, after 300 seconds, and at the end; after the last step there is nothing left
    assert history[0]["seconds"] == 700


def test_seconds_go_on_where_a_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=100)
    monkeypatch.setattr(training.time, "perf_counter", lambda: float(next(clock)))
    told: list[int] = []

    def stop(epochs: int) -> None:
        told.append(epochs)
        if len(told) == 3:
            raise Stop

    with pytest.raises(Stop):
        training.fit(TASK, SCHEDULE, 0, tmp_path / "checkpoint", stop, checkpoint_seconds=0)
    _, history = training.fit(TASK, SCHEDULE, 0, tmp_path / "checkpoint")
    assert history[0]["seconds"] == 200 + 500


def test_seeds_differ_and_the_global_generator_is_left_alone(tmp_path: Path) -> None:
    schedule = training.Training(epochs=1, batch_size=100, learning_rate=0.01)
    before = torch.random.get_rng_state()
    first, _ = training.fit(TASK, schedule, 0, tmp_path / "0")
    second, _ = training.fit(TASK, schedule, 1, tmp_path / "1")
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.equal(weights(first)[0], weights(second)[0])


@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda content: content[:50] + b"x" + content[51:]])
def test_a_damaged_checkpoint_is_reported_and_the_run_starts_anew(tmp_path: Path, damage, capsys) -> None:
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Stop):
        training.fit(TASK, SCHEDULE, 0, checkpoint, stop_after(1))
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    epochs_seen: list[int] = []
    training.fit(TASK, SCHEDULE, 0, checkpoint, epochs_seen.append)
    assert f"{checkpoint} is damaged" in capsys.readouterr().err
    assert epochs_seen == [0, 1, 2, 3]


def test_the_rate_rises_then_falls_to_zero() -> None:
    schedule = training.Training(epochs=1, batch_size=1, learning_rate=0.4, warmup=0.2)
    assert schedule.rate(0.0) == 0.0
    assert schedule.rate(0.1) == pytest.approx(0.2)
    assert schedule.rate(0.2) == pytest.approx(0.4)
    assert schedule.rate(0.6) == pytest.approx(0.2)
    assert schedule.rate(1.0) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, got -1"),
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0"),
        ({"warmup": 1.0}, r"warmup must be in \[0, 1\)"),
    ],
)
def test_bad_schedules_are_named(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        training.Training(**{"epochs": 1, "batch_size": 1, "learning_rate": 0.1, **changes})


def test_mixed_precision_trains_and_gives_other_bits(tmp_path: Path) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        schedule = training.Training(1, 100, 0.01, precision=precision)
        model, history = training.fit(TASK, schedule, 0, tmp_path / precision)
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        losses[precision] = history[-1]["train_loss"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bfloat16"] != losses["float32"]


@pytest.mark.parametrize(("name", "value"), [("device", "tpu"), ("precision", "float8")])
def test_unknown_devices_and_precisions_are_named(name: str, value: str) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{name} must be one of .*, got '{value}'"):
        replace(SCHEDULE, **changes)
