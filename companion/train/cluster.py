"""Runs as tasks of Dask, on machines that share nothing with this one but the project.

An order goes to a worker with all that the run's result depends on; a worker that would compute other bits refuses it,
with a sentence. A finished run comes back as the bytes of its two files. On the way there it stays in the worker's
cache, in a folder that is the asking cache's alone: who asks again, from wherever it was killed, is sent to the worker
that holds the checkpoint or the result. When the client has stored a result, the worker forgets it.

A worker computes one run at a time, in one thread, since runs draw from torch's global generator and set the number of
threads. The scheduler needs Dask alone: orders pass through it as bytes.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import shlex
import shutil
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from companion import instructions
from companion.files import atomic_write, cache_folder, notice
from companion.train import runs
from companion.train.progress import progress_bar
from companion.train.workers import GPU, PATIENCE, dask, distributed

LOST = (CancelledError, distributed.comm.CommClosedError, distributed.client.ClosedClientError)  # the scheduler
Answer = dict[str, Any]  # of a worker: who it is, and either the files of a run, or why there are none

BACK = 60.0  # seconds that a client waits for the workers to come back to a scheduler that is back
SHORT = 10.0  # seconds for a question to all workers, of which one may not answer
TICK = 0.2  # seconds between looks for answers, and for workers that have gone
TOLD = "CCLIB_CLUSTER_TOLD"  # the environment variable with the scheduler that this process or its parent has named
KEPT: list[distributed.deploy.Cluster] = []  # of the batch systems that this process has asked for workers
TOPIC = "cclib-epochs"  # of the messages on how far a run has come


# What the client does.


def compute_there(missing: Sequence[runs.Run], setting: str) -> None:
    """Compute runs on the cluster that ``setting`` names, and store them in this machine's cache.

    It lasts until all are there, or one fails; a scheduler that goes is waited for. Those that have been stored stay.

    Raises:
        ValueError: the setting names no cluster, or no worker may compute a run.
        OSError: no scheduler answers, or a run has ended too many workers.
        RuntimeError: a run failed; the worker's traceback is in the message.
    """
    address = scheduler(setting)
    left = {run.key: run for run in missing}
    epochs = dict.fromkeys(left, -1)
    with progress_bar(
        [run.label for run in missing], [run.training.epochs for run in missing], lambda: list(epochs.values())
    ):
        workers = 0
        while left:
            try:
                with connected(address, PATIENCE) as client:
                    with suppress(TimeoutError):  # after a loss: they hold what had been begun
                        client.wait_for_workers(workers, BACK) if workers else None
                    workers = len(addresses(client))
                    client.subscribe_topic(
                        TOPIC, lambda event: epochs.update({k: n for k, n in [event[1]] if k in epochs})
                    )
                    gather(client, left, epochs)
            except LOST:
                notice(f"the scheduler at {address} has gone: waiting for it, with {len(left)} runs to do")


def gather(client: distributed.Client, left: dict[str, runs.Run], epochs: dict[str, int]) -> None:
    """Order the runs that are left, and store each as it comes, until none is left."""
    owner = cache_id()
    orders = Orders(client, owner, whereabouts(client, owner, left))
    orders.place(left.values())
    for run, future in orders.carried_out():
        try:
            answer: Answer = future.result()
        except distributed.KilledWorker as error:
            raise OSError(
                f"{run.label}: {error.allowed_failures + 1} workers died in this run, the last one being "
                f"{error.last_worker.address}: its log may say why; the number is set on the scheduler, by "
                "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"
            ) from None
        if "failed" in answer:
            last = answer["failed"].strip().rpartition("\n")[2]
            raise RuntimeError(f"{run.label} failed on worker {answer['worker']} with {last}\n\n{answer['failed']}")
        if "identity" in answer:
            if answer["worker"] not in orders.unfit:
                orders.unfit[answer["worker"]] = refusal(answer, {**run.identity, "numpy": np.__version__})
                notice(orders.unfit[answer["worker"]])
        elif "result" in answer:
            if runs.understood(run, answer["result"], answer["weights"]):
                runs.write(run, answer["result"], answer["weights"])
                epochs[run.key] = run.training.epochs
                del left[run.key]
                continue
            notice(f"{run.label} came damaged from {answer['worker']}: it is asked for again")
        orders.place([run])
    whereabouts(client, owner, left)


class Orders:
    """The runs that a client has asked for, as tasks of Dask.

    A run of which workers hold a checkpoint is bound to them. Were that a mere wish, Dask's work stealing would take it
    to an idle worker, which would start anew. When the last of them has gone, any worker may have it.

    Args:
        owner: the cache that asks.
        places: which workers hold something of a run: key -> their addresses.
    """

    def __init__(self, client: distributed.Client, owner: str, places: Mapping[str, Sequence[str]]) -> None:
        self.client, self.owner, self.places = client, owner, dict(places)
        self.unfit: dict[str, str] = {}  # worker -> why it computes nothing
        self.attempts: Counter[str] = Counter()
        self.asked: dict[distributed.Future, runs.Run] = {}
        self.bound: dict[distributed.Future, tuple[str, ...]] = {}
        self.answers = distributed.as_completed(loop=client.loop)

    def place(self, wanted: Iterable[runs.Run]) -> None:
        """Ask for runs, together for those that the same workers may carry out, since each message has its price."""
        fit = [worker for worker in addresses(self.client) if worker not in self.unfit] if self.unfit else []
        if self.unfit and not fit:
            raise ValueError(list(self.unfit.values())[-1])
        alike = defaultdict(list)
        for run in wanted:
            self.attempts[run.key] += 1
            holders = [worker for worker in self.places.get(run.key, ()) if worker not in self.unfit]
            alike[bool(holders), tuple(holders or fit), run.training.device].append(run)
        for (held, workers, device), group in sorted(alike.items(), reverse=True):  # first what has been begun
            futures = self.client.map(
                errand(),
                # A new run each, which has not computed its key.
                [(pickle.dumps(replace(run)), run.key, np.__version__, self.owner) for run in group],
                # The same for every client: two that ask for a run share it. A task has one answer, the next a name.
                key=[f"run-{run.key}-{self.attempts[run.key]}" for run in group],
                workers=list(workers) or None,
                allow_other_workers=bool(workers) and not held,
                resources={GPU: 1} if device == "cuda" else None,
            )
            self.asked.update(zip(futures, group, strict=True))
            if held:
                self.bound.update(dict.fromkeys(futures, workers))
            self.answers.update(futures)

    def carried_out(self) -> Iterator[tuple[runs.Run, distributed.Future]]:
        """Each run with its answer as it comes, until all that were asked for, meanwhile too, have one."""
        while self.asked:
            while not self.answers.has_ready():
                time.sleep(TICK)
                self.release()
            future = next(self.answers)
            self.bound.pop(future, None)
            if future in self.asked:  # else it was released
                yield self.asked.pop(future), future

    def release(self) -> None:
        """Ask anew for the runs that are bound to workers of which none is here any more."""
        if not self.bound:
            return
        here = set(addresses(self.client))
        gone = [future for future, workers in self.bound.items() if here.isdisjoint(workers)]
        for future in gone:
            future.cancel()
            del self.bound[future], self.places[self.asked[future].key]
        if gone:
            self.place([self.asked.pop(future) for future in gone])


def addresses(client: distributed.Client) -> list[str]:
    """Those of all workers."""
    try:
        return list(client.nthreads())
    except OSError as error:
        raise distributed.comm.CommClosedError(str(error)) from error  # one of LOST


def refusal(answer: Answer, there: Mapping[str, Any]) -> str:
    """Why a worker's bits would not be those of the client, whose run is ``there``."""
    why = difference(answer["identity"], there)
    return (
        f"worker {answer['worker']} computes nothing for this project: {why}; "
        "start it with `python -m companion worker`, from the same checkout"
    )


def difference(here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """What makes other bits of a run on a worker (``here``) than on the client."""
    if here["threads"] != 1:
        return (
            f"it has {here['threads']} threads, the client needs workers with one, since runs draw from torch's "
            "global generator"
        )
    if "unreadable" in here:
        return f"its code cannot read the client's order ({here['unreadable']})"
    for name in ("torch", "numpy"):
        if here[name] != there[name]:
            return f"it has {name} {here[name]}, the client has {there[name]}"
    own, asked = (" ".join(identity["instructions"]) for identity in (here, there))
    if own != asked:
        return f"it computes with {own} instructions, the client with {asked}"
    if here["code"] != there["code"]:
        modules = sorted({name for name, _ in here["code"].items() ^ there["code"].items()})
        more = f" and {len(modules) - 3} more modules" if len(modules) > 3 else ""
        return f"its code differs from the client's in {', '.join(modules[:3])}{more}"
    return "its data differ from the client's"


def errand() -> Callable[..., Answer]:
    """``carry_out``, as a function that the scheduler reads without the project: it comes by value, not by name."""

    def carry_out(order: Any) -> Answer:
        from companion.train import cluster

        return cluster.carry_out(*order)

    return carry_out


def whereabouts(client: distributed.Client, owner: str, left: Mapping[str, runs.Run]) -> dict[str, list[str]]:
    """Which workers hold a checkpoint or the result of a run: key -> their addresses.

    They forget the results that have been stored here. Workers that do not answer soon are as if they held nothing.
    """
    places = defaultdict(list)
    with suppress(TimeoutError, OSError):
        held = client.run(held_for, owner, on_error="ignore", callback_timeout=SHORT)
        for worker, keys in held.items():
            for key in keys:
                places[key].append(worker)
        stored = [key for key in places if key not in left and (cache_folder() / "runs" / key / "result.json").exists()]
        holders = sorted({worker for key in stored for worker in places[key]})
        if stored:
            client.run(forget, owner, stored, workers=holders, on_error="ignore", callback_timeout=SHORT)
    return places


def cache_id() -> str:
    """A name for the runs of this cache, which lives as long as they do.

    `make repro` deletes them, to compute everything anew; what workers still hold for the old name is then nobody's.
    """
    path = cache_folder() / "runs" / "id"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, secrets.token_hex(8))
    return path.read_text()


@contextmanager
def connected(address: str, patience: float) -> Iterator[distributed.Client]:
    """A client of the scheduler at an address.

    Raises:
        OSError: no scheduler answers there in ``patience`` seconds.
    """
    for name in ("distributed", "distributed.client"):  # it tells by `notice` what there is to tell
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions that differ: those that matter are refused
        try:
            client = distributed.Client(address, timeout=patience, set_as_default=False)
        except OSError:
            raise OSError(
                f"no scheduler answers at {address}: start one there with `dask scheduler`, or leave CLUSTER out"
            ) from None
        with client:
            yield client


# How it finds a cluster.


@lru_cache
def scheduler(setting: str) -> str:
    """The address of the scheduler that a setting names, told on the terminal once, with that of its dashboard.

    Args:
        setting: an address, or a YAML file of Dask's configuration. There ``scheduler-address`` is one, or
            ``jobqueue: {slurm: {...}}`` (or another of dask-jobqueue's systems) describes a job, and ``jobs`` says how
            many of them are to be started: they end with this process.

    Raises:
        ValueError: it is neither, or the file does not say enough.
        OSError: no scheduler answers.
    """
    if setting.endswith((".yaml", ".yml")):
        address = configured(Path(setting))
    elif "://" in setting:
        address = setting
    else:
        raise ValueError(f"CLUSTER must be an address such as tcp://host:8786 or a .yaml file, got {setting!r}")
    if os.environ.get(TOLD) != address:
        with connected(
            address, dask.utils.parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
        ) as client:
            count = len(addresses(client))
            start = "" if count or address != setting else f"; start some with `python -m companion worker {address}`"
            notice(f"cluster {address}: {count} workers{start}; dashboard: {client.dashboard_link}")
        os.environ[TOLD] = address
    return address


def configured(path: Path) -> str:
    """The address of the scheduler that a YAML file describes; where it describes jobs, they are started."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: must map names to values, as Dask's configuration does, got {content!r}")
    jobs = content.pop("jobs", None)
    dask.config.update(dask.config.config, content)
    if "jobqueue" in content:
        KEPT.append(job_cluster(path, content["jobqueue"], jobs))
        return KEPT[-1].scheduler_address
    address = dask.config.get("scheduler-address", None)
    if address is None:
        raise ValueError(f"{path}: must have scheduler-address, or jobqueue and jobs")
    return address


def job_cluster(path: Path, systems: Any, jobs: Any) -> distributed.deploy.Cluster:
    """A scheduler in this process, and workers as jobs of a batch system, that compute with these instructions."""
    try:
        import dask_jobqueue
    except ModuleNotFoundError:
        raise ValueError(
            f"{path}: jobqueue needs dask-jobqueue, which is not installed: pip install -e '.[jobqueue]'"
        ) from None
    classes = {kind.job_cls.config_name: kind for kind in dask_jobqueue.JobQueueCluster.__subclasses__()}
    if not isinstance(systems, dict) or len(systems) != 1 or not set(systems) <= set(classes):
        raise ValueError(f"{path}: jobqueue must hold one of {', '.join(sorted(classes))}, got {systems!r}")
    if type(jobs) is not int or jobs < 1:
        raise ValueError(f"{path}: jobs must be the number of jobs to start, got {jobs!r}")
    (system,) = systems
    job = {name: dask.config.get(f"jobqueue.{system}.{name}") for name in ("cores", "processes", "job-script-prologue")}
    if job["processes"] != job["cores"]:
        got = f"got {job['processes']} and {job['cores']}"
        raise ValueError(f"{path}: a worker has one thread, so a job needs as many processes as cores, {got}")
    started = classes[system](job_script_prologue=[*(job["job-script-prologue"] or []), *exports()])
    started.scale(jobs=jobs)
    return started


def exports() -> list[str]:
    """The lines of a shell that give what it starts the instructions of this process."""
    if instructions.wanted() == instructions.NATIVE:
        return []
    return [f"export {name}={shlex.quote(value)}" for name, value in instructions.SETTINGS.items()]


# What a worker does.


@dataclass(frozen=True)
class Guest(runs.Run):
    """A run that a worker carries out for the cache that is called ``owner``."""

    owner: str

    @property
    def folder(self) -> Path:
        return guests(self.owner) / self.key


def guests(owner: str) -> Path:
    return cache_folder() / "cluster" / owner


def carry_out(order: bytes, key: str, numpy: str, owner: str) -> Answer:
    """Compute a run in this worker, or go on with it, and give its files; or say why not.

    Args:
        order: the run.
        key, numpy: its key, and the version of numpy, on the client.
        owner: the cache that asks.
    """
    worker = distributed.get_worker()
    try:
        asked = pickle.loads(order)
        run = Guest(asked.task, asked.training, asked.seed, asked.label, owner)
        here = {**run.identity, "numpy": np.__version__}
    except (ImportError, AttributeError, TypeError) as error:
        here = {"unreadable": str(error)}
    here["threads"] = worker.state.nthreads
    if "unreadable" in here or here["threads"] != 1 or (run.key, np.__version__) != (key, numpy):
        return {"worker": worker.address, "identity": here}
    task = worker.get_current_task()

    def tell(epochs: int) -> None:
        worker.log_event(TOPIC, [run.key, epochs])
        state = worker.state.tasks.get(task)
        if state is None or state.state == "cancelled" or worker.status in ENDED:
            raise Abandoned

    try:
        runs.compute(run, os.getpid(), after_checkpoint=tell)
        result, weights = runs.read(run)
    except Abandoned:  # its checkpoint stays
        return {"worker": worker.address}
    except Exception:  # as text: a client that cannot unpickle an exception would wait for ever
        return {"worker": worker.address, "failed": traceback.format_exc()}
    return {"worker": worker.address, "result": result, "weights": weights}


ENDED = (distributed.Status.closing, distributed.Status.closed)


class Abandoned(Exception):
    """Nobody waits for this run any more, as far as this worker knows."""


def held_for(owner: str) -> list[str]:
    """The keys of the runs that this worker's cache holds for another cache."""
    return [path.name for path in guests(owner).glob("*") if path.is_dir()]


def forget(owner: str, keys: Sequence[str]) -> None:
    for key in keys:
        shutil.rmtree(guests(owner) / key, ignore_errors=True)
        (guests(owner) / f"{key}.lock").unlink(missing_ok=True)
