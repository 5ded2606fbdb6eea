"""Records of runs: whoever computes one writes the same bytes, and who has one computes it for its weights alone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cclib.models.classifier import ClassifierConfig
from companion.tasks.classification import Classification
from companion.train import records, runs, training


def make_run(seed: int = 0, label: str = "a run") -> runs.Run:
    task = Classification(ClassifierConfig("cc", sizes=(28, 7), channels=(4,)), train_size=200, test_size=100)
    return runs.Run(task, training.Training(1, 50, 0.01), seed, label)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of the records; the cache lies beside it."""
    monkeypatch.setenv("CCLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(records.FOLDER, str(tmp_path / "records"))
    return tmp_path / "records"


def forget_cache(folder: Path) -> None:
    shutil.rmtree(folder.parent / "cache")


def test_whoever_computes_a_run_writes_the_same_bytes(folder: Path) -> None:
    (result,) = runs.run_all([make_run()], jobs=1)
    (path,) = folder.iterdir()
    assert path.stem == result.run.key
    first = path.read_bytes()
    assert b"seconds" not in first
    assert json.loads(first)["measured"]["test"] == result.test
    path.unlink()
    runs.run_all([make_run(label="from the cache")], jobs=1)
    assert path.read_bytes() == first
    path.unlink()
    forget_cache(folder)
    runs.run_all([make_run(label="another label")], jobs=1)
    assert path.read_bytes() == first


def test_what_has_a_record_is_not_computed_but_for_its_weights(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    run = make_run()
    (first,) = runs.run_all([run], jobs=1)
    weights = first.model().state_dict()
    forget_cache(folder)
    with monkeypatch.context() as patch:
        patch.setenv(records.FINISHED, "1")
        (recorded,) = runs.run_all([make_run()])
        assert recorded.test == first.test
        assert recorded.seconds_per_epoch is None
        assert [epoch["train_loss"] for epoch in recorded.history] == [epoch["train_loss"] for epoch in first.history]
        with pytest.raises(
            runs.Unfinished, match=r"^0 runs are not finished, and of 1 with a record the weights are not here; "
        ):
            recorded.model()
        with pytest.raises(runs.Unfinished, match=r"^2 runs are not finished; the first is: a run$"):
            runs.run_all([run, make_run(seed=1), make_run(seed=1), make_run(seed=2)])
    again = recorded.model().state_dict()
    assert all(torch.equal(again[name], value) for name, value in weights.items())
    forget_cache(folder)
    assert runs.each(lambda result: result.model().state_dict().keys(), [recorded], jobs=1) == [weights.keys()]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[" * 100_000,
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"accuracy": ', '"accuracy": 1'),
    ],
    ids=["cut", "nested", "list", "empty", "improved"],
)
@pytest.mark.parametrize("cached", [False, True])
def test_a_damaged_record_is_said_and_written_again(
    spoil: Callable[[str], str], cached: bool, folder: Path, capfd: pytest.CaptureFixture
) -> None:
    (first,) = runs.run_all([make_run()], jobs=1)
    (path,) = folder.iterdir()
    sound = path.read_text()
    path.write_text(spoil(sound))
    assert path.read_text() != sound
    if not cached:
        forget_cache(folder)
    capfd.readouterr()
    (again,) = runs.run_all([make_run()], jobs=1)
    assert again.test == first.test
    assert f"{path} is no sound record of its run, and is not used" in capfd.readouterr().err
    assert path.read_text() == sound


def test_the_record_of_another_run_is_not_believed(folder: Path) -> None:
    first, other = runs.run_all([make_run(), make_run(seed=1)], jobs=1)
    own = folder / f"{first.run.key}.json"
    sound = own.read_text()
    own.write_text((folder / f"{other.run.key}.json").read_text())
    forget_cache(folder)
    (again,) = runs.run_all([make_run()], jobs=1)
    assert again.test == first.test != other.test
    assert own.read_text() == sound


def test_a_record_that_says_otherwise_stays_and_is_told(folder: Path, capfd: pytest.CaptureFixture) -> None:
    (first,) = runs.run_all([make_run()], jobs=1)
    (path,) = folder.iterdir()
    path.unlink()
    runs.record(replace(first, test={**first.test, "accuracy": 99.0}))
    other = path.read_text()
    capfd.readouterr()
    (again,) = runs.run_all([make_run()], jobs=1)
    assert again.test == first.test  # the cache's
    assert f"{path} says otherwise than what the same run gave here" in capfd.readouterr().err
    assert path.read_text() == other


def test_no_records_are_kept_unasked(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv(records.FOLDER)
    runs.run_all([make_run()], jobs=1)
    assert not folder.exists()
