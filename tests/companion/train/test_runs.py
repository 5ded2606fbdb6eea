"""The run cache: what is found again, what is not, and that no kill and no damage alters a result."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import joblib
import pytest
import safetensors.torch
import torch
from joblib.externals.loky import get_reusable_executor
from tiny_project import ROOT

from cclib.models.classifier import ClassifierConfig
from companion import instructions
from companion.tasks.classification import Classification
from companion.train import records, runs, training

# Runs; or, with two more arguments, kills itself instead of a call of the loss or of the last step of a write.
SCRIPT = """
import os, signal, sys
from test_runs import make_run
from companion.tasks.classification import Classification
from companion.train import runs

def deadly(function, calls):
    left = list(range(calls))
    def wrapped(*arguments):
        left.pop() if left else os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return wrapped

if len(sys.argv) > 1:
    owner, name = {"loss": (Classification, "loss"), "write": (os, "replace")}[sys.argv[1]]
    setattr(owner, name, deadly(getattr(owner, name), int(sys.argv[2])))
runs.run_all([make_run(epochs=4, train_size=500)], jobs=1)
"""


def make_run(epochs: int = 1, train_size: int = 200, seed: int = 0, label: str = "a run") -> runs.Run:
    model = ClassifierConfig("cc", sizes=(28, 7), channels=(4,))
    task = Classification(model, train_size=train_size, test_size=100)
    return runs.Run(task, training.Training(epochs, 50, 0.01), seed, label)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CCLIB_CACHE", str(tmp_path))
    get_reusable_executor().shutdown()  # worker processes keep the environment in which they started
    return tmp_path


def without_seconds(result: runs.Result) -> list[dict[str, float]]:
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in result.history]


def test_a_run_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = runs.run_all([make_run()], jobs=1)

    def forbidden(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(runs, "compute", forbidden)
    again, same = runs.run_all([make_run(label="another label"), make_run()])
    assert first.test == again.test == same.test
    assert first.history == again.history


def test_what_alters_a_result_alters_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    others = [
        make_run(seed=1),
        make_run(epochs=2),
        make_run(train_size=100),
        replace(run, training=replace(run.training, learning_rate=0.02)),
        replace(run, task=replace(run.task, model=ClassifierConfig("conv", sizes=(28, 14), channels=(4,)))),
    ]
    assert len({run.key, *(other.key for other in others)}) == len(others) + 1
    for name, value in instructions.SETTINGS.items():
        monkeypatch.setenv(name, value)
    assert make_run().key != run.key
    monkeypatch.undo()
    assert make_run(label="renamed").key == run.key
    key = run.key
    monkeypatch.setattr(runs, "code", lambda task: {"companion.train.training": "other code"})
    assert make_run().key != key
    monkeypatch.undo()
    monkeypatch.setattr(Classification, "data_fingerprint", lambda self: "other data")
    assert make_run().key != key


def test_processes_give_the_same_bits_as_one() -> None:
    several = [make_run(seed=seed, label=f"seed {seed}") for seed in range(3)]
    parallel = runs.run_all(several, jobs=2)
    for run, result in zip(several, parallel, strict=True):
        for file in run.folder.iterdir():
            file.unlink()
        runs.compute(run, os.getpid())
        alone = runs.load(run)
        assert alone is not None
        assert alone.test == result.test
        assert without_seconds(alone) == without_seconds(result)


def test_the_model_comes_back_with_its_weights() -> None:
    (result,) = runs.run_all([make_run()], jobs=1)
    model = result.model()
    assert not model.training
    assert result.run.task.test(model) == result.test
    threads = torch.get_num_threads()
    runs.compute(make_run(seed=5), os.getpid())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("file", ["result.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["truncate", "alter", "remove"])
def test_a_damaged_entry_is_said_and_computed_again(file: str, damage: str, capsys: pytest.CaptureFixture) -> None:
    run = make_run(label="the damaged one")
    (before,) = runs.run_all([run], jobs=1)
    path = run.folder / file
    content = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        at = content.rfind(b"0") if file == "result.json" else len(content) - 3
        changed = content[:at] if damage == "truncate" else content[:at] + b"7" + content[at + 1 :]
        path.write_bytes(changed)
    capsys.readouterr()
    (after,) = runs.run_all([run], jobs=1)
    not_there_yet = (file, damage) == ("result.json", "remove")
    assert ("(the damaged one) is damaged" in capsys.readouterr().err) != not_there_yet
    assert after.test == before.test
    assert without_seconds(after) == without_seconds(before)


def nested(folder: Path) -> None:
    (folder / "result.json").write_text("[" * 100_000)


def a_folder(folder: Path) -> None:
    (folder / "result.json").unlink()
    (folder / "result.json").mkdir()


def no_object(folder: Path) -> None:
    (folder / "result.json").write_text('["result"]')


def rewritten(folder: Path, change: Callable[[dict, dict[str, torch.Tensor]], object]) -> None:
    """An entry whose checksums are right, but which is none of this run."""
    result = json.loads((folder / "result.json").read_text())["result"]
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    change(result, weights)
    content = safetensors.torch.save(weights)
    (folder / "weights.safetensors").write_bytes(content)
    result["weights"] = hashlib.sha256(content).hexdigest()
    (folder / "result.json").write_text(json.dumps({"result": result, "checksum": records.checksum(result)}))


def without_a_field(folder: Path) -> None:
    rewritten(folder, lambda result, weights: result.pop("history"))


def of_other_shapes(folder: Path) -> None:
    rewritten(folder, lambda result, weights: weights.update({name: value[None] for name, value in weights.items()}))


@pytest.mark.parametrize("damage", [nested, a_folder, no_object, without_a_field, of_other_shapes])
def test_what_is_no_entry_is_said_and_computed_again(
    damage: Callable[[Path], None], capsys: pytest.CaptureFixture
) -> None:
    run = make_run(label="the damaged one")
    (before,) = runs.run_all([run], jobs=1)
    damage(run.folder)
    capsys.readouterr()
    (after,) = runs.run_all([run], jobs=1)
    assert "(the damaged one) is damaged" in capsys.readouterr().err
    assert after.test == before.test


def test_two_that_share_a_cache_compute_a_run_once(tmp_path: Path) -> None:
    """Three processes ask for the same runs at the same moment; each training writes its seed."""
    script = """
import sys
from pathlib import Path
from test_runs import make_run
from companion.train import runs, training

fit = training.fit
def noted(task, schedule, seed, *rest, **options):
    with open(sys.argv[1], "a") as file:
        file.write(f"{seed}\\n")
    return fit(task, schedule, seed, *rest, **options)
training.fit = noted
results = runs.run_all([make_run(epochs=3, seed=seed) for seed in range(3)], jobs=1)
print([result.test for result in results])
"""
    noted = tmp_path / "noted"
    path = os.pathsep.join(map(str, (Path(__file__).parent, ROOT / "tests" / "companion")))
    environment = os.environ | {"PYTHONPATH": path, "CCLIB_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", script, str(noted)]
    started = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], ended
    assert len({output for output, _ in ended}) == 1
    assert sorted(noted.read_text().split()) == ["0", "1", "2"]


def test_a_training_that_diverges_has_a_result() -> None:
    run = make_run()
    (first,) = runs.run_all([replace(run, training=replace(run.training, learning_rate=1e30))], jobs=1)
    assert math.isnan(first.history[-1]["train_loss"])
    assert math.isnan(first.test["loss"])
    assert not math.isnan(first.test["accuracy"])


def test_nothing_is_left_of_the_way_there() -> None:
    run = make_run()
    run.folder.mkdir(parents=True)
    (run.folder / ".checkpoint.0123.partial").write_bytes(b"left by a kill")
    (run.folder / runs.EPOCHS_DONE).write_bytes(b"")
    runs.run_all([run], jobs=1)
    assert {path.name for path in run.folder.iterdir()} == {"result.json", "weights.safetensors", runs.EPOCHS_DONE}
    assert json.loads((run.folder / "result.json").read_text())["result"]["test"]["accuracy"] >= 0


def test_a_full_disk_is_said_and_leaves_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    run = make_run()
    monkeypatch.setattr(training, "atomic_write", full)
    with pytest.raises(OSError, match="No space left"):
        runs.run_all([run], jobs=1)
    assert runs.load(run) is None


def test_killed_at_any_moment_it_ends_in_the_same_bits(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """kill -9 in an epoch and in a write; then the run goes on and equals one that was never stopped."""
    straight = tmp_path_factory.mktemp("straight")

    def start(folder: Path, *death: str) -> int:
        command = [sys.executable, "-c", SCRIPT, *death]
        path = os.pathsep.join(map(str, (Path(__file__).parent, ROOT / "tests" / "companion")))
        environment = {**os.environ, "CCLIB_CACHE": str(folder), "PYTHONPATH": path}
        return subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL).returncode

    assert start(straight) == 0
    run = make_run(epochs=4, train_size=500)
    reached = []
    # An epoch has ten batches and two writes: its checkpoint, then how far the run has come, which a start writes too.
    for death in (("loss", "5"), ("loss", "15"), ("loss", "5"), ("write", "3"), ("write", "2")):
        assert start(cache, *death) == -signal.SIGKILL
        assert runs.load(run) is None
        reached.append(runs.epochs_done(run))
    assert reached == [0, 1, 1, 2, 2]
    assert start(cache) == 0
    resumed = runs.load(run)
    os.environ["CCLIB_CACHE"] = str(straight)  # the fixture puts it back
    uninterrupted = runs.load(run)
    assert resumed is not None
    assert uninterrupted is not None
    assert resumed.test == uninterrupted.test
    assert without_seconds(resumed) == without_seconds(uninterrupted)
    weights = [folder / "runs" / run.key / "weights.safetensors" for folder in (cache, straight)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_measures_come_in_the_order_of_the_results() -> None:
    results = runs.run_all([make_run(seed=seed) for seed in range(3)], jobs=2)

    def measure(result: runs.Result) -> tuple[int, float, int, bool]:
        accuracy = result.run.task.test(result.model())["accuracy"]
        return result.run.seed, accuracy, torch.get_num_threads(), torch.is_grad_enabled()

    expected = [(seed, result.test["accuracy"], 1, False) for seed, result in enumerate(results)]
    assert runs.each(measure, results, jobs=2) == expected


def test_joblib_says_how_many_processes() -> None:
    assert runs.default_jobs() == joblib.cpu_count()
    with joblib.parallel_config(backend="loky", n_jobs=7):
        assert runs.default_jobs() == 7


def test_a_missing_gpu_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = make_run()
    with pytest.raises(ValueError, match="device is 'cuda', but torch finds no CUDA device"):
        runs.run_all([replace(run, training=replace(run.training, device="cuda"))])
    assert not run.folder.parent.exists()


def test_processes_on_a_gpu_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib, "cpu_count", lambda: 64)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert runs.default_jobs({"cuda"}) == 64  # nothing is trained, only measured, where there is none
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runs.default_jobs({"cpu"}) == 64
    assert runs.default_jobs({"cuda"}) == 2 * runs.JOBS_PER_GPU
