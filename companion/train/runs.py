"""Many runs: cached by content, in parallel over processes or on a cluster, with one progress bar.

A run is known by a hash of all that its result depends on: task, data, training, seed, the code behind them, torch's
version and the instructions that it computes with. Its folder in the cache holds ``result.json`` and
``weights.safetensors``, or the checkpoint on the way there. Whoever computes it owns a lock, which ends with its
process: several notebooks compute each run once. Where ``CCLIB_CLUSTER`` names a cluster, ``companion.train.cluster``
computes what is missing, and the results come back into the same cache. Where records are kept
(``companion.train.records``), a run that has one is computed again only for its weights.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import shutil
import statistics
import sys
import sysconfig
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import joblib
import safetensors.torch
import torch
from filelock import FileLock
from safetensors import SafetensorError
from torch import nn

from cclib.functional import kernels
from companion import instructions
from companion.files import atomic_write, cache_folder, json_bytes, notice
from companion.fingerprint import PACKAGES, closure
from companion.processes import end_with_starter
from companion.tasks.task import Task
from companion.train import records, training
from companion.train.progress import progress_bar

CLUSTER = "CCLIB_CLUSTER"  # the environment variable that names one
EPOCHS_DONE = "epochs-done"  # the file in a run's folder that its progress is read from
JOBS_PER_GPU = 4
# What a run imports without effect on its numbers: reading data, whose content the key holds itself; writing files;
# layers in other forms, from discrete ones or for deployment.
APART = ("companion.data", "companion.files", "cclib.conversion", "cclib.frozen")
# Where Python's own modules and installed ones lie; torch may be in a folder apart from the others.
INSTALLED = (
    *(Path(sysconfig.get_paths()[kind]).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
    Path(torch.__path__[0]).resolve().parent,
)


@dataclass(frozen=True)
class Run:
    """A task, how it is trained, and the seed. ``label`` is for people; it does not tell runs apart."""

    task: Task
    training: training.Training
    seed: int
    label: str

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that the result depends on."""
        return {
            "task": [type(self.task).__name__, asdict(self.task)],
            "training": asdict(self.training),
            "seed": self.seed,
            "data": self.task.data_fingerprint(),
            "code": code(self.task),
            "torch": torch.__version__,
            "instructions": instructions_in_use(),
        }

    @cached_property
    def key(self) -> str:
        """The hash of the identity."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def folder(self) -> Path:
        return cache_folder() / "runs" / self.key


def instructions_in_use() -> list[str]:
    """Which settings and vectors numbers are computed with, and whether by compiled kernels or by torch alone.

    Raises:
        OSError: the kernels are older than the checkout.
    """
    by = "torch" if kernels.library() is None else "kernels"
    return [instructions.in_use(), torch.backends.cpu.get_cpu_capability(), by]


def code(task: Task) -> dict[str, str]:
    """The code behind the numbers of a run of ``task``: module -> hash."""
    return hashes(sources(task))


@lru_cache
def hashes(sources: frozenset[Path]) -> dict[str, str]:
    return closure(sources, apart=APART)


def sources(task: Task) -> frozenset[Path]:
    """The files whose code, with all that they import, is behind the numbers: of the task, the training, the model.

    A layer finds its filter by name, which no import shows; so the model is built, to see what it is made of.
    """
    return model_files(task) | {Path(inspect.getfile(type(task))), Path(str(training.__file__))}


@lru_cache
def model_files(task: Task) -> frozenset[Path]:
    """The files of the project that build the model of ``task``, or define the class of a part of it.

    Raises:
        ValueError: a part is defined in a notebook, or in a module that is neither the project's nor installed. A key
            could not tell its versions apart.
    """
    modules: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            modules.add(frame.f_globals.get("__name__", ""))

    with torch.random.fork_rng(devices=[]):
        task.build()  # what it imports first is executed now, and not noted
        earlier = sys.getprofile()
        sys.setprofile(note)
        try:
            model = task.build()
        finally:
            sys.setprofile(earlier)
    modules |= {type(part).__module__ for part in model.modules()}
    own = {name for name in modules if name.split(".")[0] in PACKAGES}
    for name in sorted(modules - own):
        if name == "__main__" or not is_installed(name):
            where = "a notebook" if name == "__main__" else f"{name}, a module outside of {' and '.join(PACKAGES)}"
            raise ValueError(
                f"the model of {type(task).__name__} has a part that is defined in {where}: move it to a module of the "
                "project, so that a run with it is trained again when it changes"
            )
    return frozenset(Path(str(sys.modules[name].__file__)) for name in own)


def is_installed(name: str) -> bool:
    """Whether a module is Python's or an installed one; what has no file is."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is None or any(Path(file).resolve().is_relative_to(folder) for folder in INSTALLED)


@dataclass(frozen=True)
class Result:
    """What a run gave: its test measures, the history of its epochs, and its weights, unless it is a record's."""

    run: Run
    test: dict[str, float]
    history: training.History

    @property
    def seconds_per_epoch(self) -> float | None:
        """The median over epochs; it varies from machine to machine, and a record does not hold it."""
        return statistics.median(epoch["seconds"] for epoch in self.history) if "seconds" in self.history[0] else None

    @property
    def has_weights(self) -> bool:
        """Whether the cache holds the run; a record has none."""
        return (self.run.folder / "result.json").exists()

    def model(self) -> nn.Module:
        """The trained model, on the CPU, in evaluation mode; trained anew where there is but a record.

        Raises:
            As ``obtain``.
        """
        if not self.has_weights:
            obtain([self.run], jobs=1)
        with torch.random.fork_rng(devices=[]):
            model = self.run.task.build()
        model.load_state_dict(safetensors.torch.load_file(self.run.folder / "weights.safetensors"))
        return model.eval()


def run_all(runs: Sequence[Run], jobs: int | None = None) -> list[Result]:
    """The results of ``runs``, in their order; those neither in the cache nor recorded are computed.

    Args:
        runs: in any order; what they have in common is computed once.
        jobs: as for ``compute_here``.

    Raises:
        As ``obtain``.
    """
    obtain([run for run in runs if found(run) is None], jobs)
    results = [result for result in map(found, runs) if result is not None]
    if len(results) < len(runs):
        raise OSError(f"results vanished from {cache_folder() / 'runs'} as soon as they were written")
    for result in results:
        record(result)
    return results


def obtain(missing: Sequence[Run], jobs: int | None = None) -> None:
    """Compute runs, here or on the cluster, into the cache.

    Raises:
        ValueError: a run cannot be computed here, or on the cluster; no cluster goes by what ``CCLIB_CLUSTER`` says.
        OSError: the cluster has gone and not come back.
        RuntimeError: a run failed on the cluster.
        Unfinished: ``CCLIB_FINISHED`` is set, and there are any runs.
    """
    missing = list({run.key: run for run in missing}.values())
    if missing and os.environ.get(records.FINISHED):
        recorded = sum(found(run) is not None for run in missing)
        of_these = f", and of {recorded} with a record the weights are not here" if recorded else ""
        raise Unfinished(f"{len(missing) - recorded} runs are not finished{of_these}; the first is: {missing[0].label}")
    if missing and os.environ.get(CLUSTER):
        from companion.train import cluster  # needs Dask, which is optional

        cluster.compute_there(missing, os.environ[CLUSTER])
    elif missing:
        compute_here(missing, jobs)


class Unfinished(Exception):
    """Runs would have to be computed, and only finished ones are wanted."""


def compute_here(runs: Sequence[Run], jobs: int | None = None) -> None:
    """Compute runs in processes of this machine.

    Args:
        jobs: processes at a time, each with one thread; by default what ``joblib.parallel_config`` says, or else one
            for each core that this process may use, on "cuda" at most a few for each GPU, over which they spread.

    Raises:
        ValueError: a run is to be on "cuda", and torch finds no such device.
    """
    needed = {run.training.device for run in runs}
    if "cuda" in needed and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but torch finds no CUDA device here: set the parameter device to 'cpu'")
    labels, epochs = [run.label for run in runs], [run.training.epochs for run in runs]
    with progress_bar(labels, epochs, lambda: [epochs_done(run) for run in runs]), no_worker_warnings():
        joblib.Parallel(n_jobs=jobs or default_jobs(needed))(
            joblib.delayed(compute)(run, os.getpid(), index) for index, run in enumerate(runs)
        )


def each(function: Callable[[Result], Any], results: Sequence[Result], jobs: int | None = None) -> list[Any]:
    """``function`` of every result, in order, without gradients: what is measured on trained models.

    It runs in parallel processes of this machine, wherever the models were trained, with one thread each, and nothing
    is cached. Models of which there is but a record are trained first. ``jobs`` as for ``compute_here``.

    Raises:
        As ``obtain``.
    """
    obtain([result.run for result in results if not result.has_weights], jobs)
    jobs = jobs or default_jobs({result.run.training.device for result in results})
    with no_worker_warnings():
        return joblib.Parallel(n_jobs=jobs)(
            joblib.delayed(measure)(function, result, os.getpid(), index) for index, result in enumerate(results)
        )


def default_jobs(devices: Collection[str] = ()) -> int:
    """How many processes work at a time on runs on these devices."""
    configured = joblib.parallel.get_active_backend()[1]
    # Without a GPU what was trained on one, elsewhere, is only measured here.
    on_gpu = "cuda" in devices and torch.cuda.is_available()
    most = JOBS_PER_GPU * torch.cuda.device_count() if on_gpu else joblib.cpu_count()
    return configured or max(1, min(joblib.cpu_count(), most))


def measure(function: Callable[[Result], Any], result: Result, parent: int, index: int) -> Any:
    with alone(parent, index), torch.no_grad():
        return function(result)


def compute(
    run: Run, parent: int, index: int = 0, after_checkpoint: Callable[[int], Any] = lambda epochs: None
) -> None:
    """Carry out a run in one thread and store its result; continues from the run's checkpoint if there is one.

    ``parent`` is the process that asked for it; a worker process ends with it. ``index`` is the run's among those
    that were asked for. ``after_checkpoint`` as in ``training.fit``.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    with alone(parent, index), FileLock(run.folder.with_suffix(".lock")):
        if load(run) is not None:  # by another process, while this one waited
            return
        for left_by_a_kill in run.folder.glob(".*.partial"):
            left_by_a_kill.unlink()
        checkpoint = run.folder / "checkpoint"

        def note(epochs: int) -> None:
            atomic_write(run.folder / EPOCHS_DONE, str(epochs))
            after_checkpoint(epochs)

        model, history = training.fit(run.task, run.training, run.seed, checkpoint, note)
        store(run, model, training.evaluate(model, run.task.test), history)
        checkpoint.unlink(missing_ok=True)


@contextmanager
def no_worker_warnings() -> Iterator[None]:
    """Without the warning of a worker process that was replaced since it had grown: it would end up in a notebook."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
        yield


@contextmanager
def alone(parent: int, index: int) -> Iterator[None]:
    """One thread and, by ``index``, one GPU while it lasts; a worker process ends with ``parent``, which asked."""
    if os.getpid() != parent:
        end_with_starter()
    if torch.cuda.is_available():
        torch.cuda.set_device(index % torch.cuda.device_count())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def epochs_done(run: Run) -> int:
    """How many epochs of a run are done; −1 if it has not started."""
    try:
        return int((run.folder / EPOCHS_DONE).read_text())
    except (FileNotFoundError, ValueError):
        return -1


def store(run: Run, model: nn.Module, test: dict[str, float], history: training.History) -> None:
    weights = safetensors.torch.save({name: value.cpu().contiguous() for name, value in model.state_dict().items()})
    measured = {"test": as_json(test), "history": list(map(as_json, history))}
    result = {**measured, "weights": hashlib.sha256(weights).hexdigest()}
    write(run, json_bytes({"result": result, "checksum": records.checksum(result)}), weights)


def write(run: Run, result: bytes, weights: bytes) -> None:
    """The two files of a finished run, and its record where records are kept."""
    run.folder.mkdir(parents=True, exist_ok=True)
    atomic_write(run.folder / "weights.safetensors", weights)
    # Last: where result.json is, the run is complete.
    atomic_write(run.folder / "result.json", result)
    record(result_of(run, json.loads(result)["result"]))


def read(run: Run) -> tuple[bytes, bytes]:
    """What ``write`` wrote."""
    return (run.folder / "result.json").read_bytes(), (run.folder / "weights.safetensors").read_bytes()


def found(run: Run) -> Result | None:
    """The result of a run in the cache, or that of its record, which has no weights; None without either."""
    result = load(run)
    if result is None and (measured := records.read(run.key)) is not None:
        return result_of(run, measured)
    return result


def as_json(measures: Mapping[str, float]) -> dict[str, float | None]:
    """Measures as files hold them: null for those of a training that diverged."""
    return {name: value if math.isfinite(value) else None for name, value in measures.items()}


def result_of(run: Run, told: Mapping[str, Any]) -> Result:
    """The result that a file tells of; NaN where a training diverged."""
    test, *history = [
        {name: math.nan if value is None else value for name, value in measures.items()}
        for measures in (told["test"], *told["history"])
    ]
    return Result(run, test, history)


def record(result: Result) -> None:
    """Keep what a run measured, but for times, where records are kept."""
    epochs = [as_json({name: value for name, value in epoch.items() if name != "seconds"}) for epoch in result.history]
    records.keep(result.run.key, result.run.identity, {"test": as_json(result.test), "history": epochs})


def load(run: Run) -> Result | None:
    """The stored result of a run, or None; a damaged one is removed, with a line on the terminal."""
    if not (run.folder / "result.json").exists():
        return None
    try:
        result = understood(run, *read(run))
    except OSError:
        result = None
    if result is None:
        notice(f"{run.folder} ({run.label}) is damaged: the run is computed again")
        for name in ("result.json", "weights.safetensors", EPOCHS_DONE):
            remove(run.folder / name)
    return result


def understood(run: Run, result: bytes, weights: bytes) -> Result | None:
    """What the two files of a finished run say; None where they are damaged or none of this run."""
    try:
        content = json.loads(result)
        told = content["result"]
        sound = (
            content["checksum"] == records.checksum(told)
            and told["weights"] == hashlib.sha256(weights).hexdigest()
            and shapes(safetensors.torch.load(weights)) == shapes_of(run.task)
        )
        return result_of(run, told) if sound else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError):
        return None


def remove(path: Path) -> None:
    """What stands at a path, file or folder, if anything."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def shapes(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in weights.items()}


@lru_cache
def shapes_of(task: Task) -> dict[str, torch.Size]:
    """Those of the weights of a model of ``task``."""
    with torch.random.fork_rng(devices=[]):
        return shapes(task.build().state_dict())
