"""A run: it learns, its rate follows the schedule, and where it stops makes no difference to where it ends."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cclib.models.classifier import ClassifierConfig
from companion.tasks.classification import Classification
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
    for one, other in zip(history, resumed_history, strict=True):
        assert {key: value for key, value in one.items() if key != "seconds"} == {
            key: value for key, value in other.items() if key != "seconds"
        }


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
