"""A scheduler, three workers and clients, each a process: whatever is killed or stopped, the bits are those of a serial
run, and no run is computed twice without need."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import psutil
import pytest
from tiny_project import ROOT

from companion.train.cluster import difference, scheduler

EPOCHS, SEEDS = 3, 4
SCENES = (0, 100, 200, 300, 400, 700)  # the first seed of each
BOUND = 900.0  # seconds after which something hangs, on a machine that is busy with other work too

# A worker writes down each epoch that it has trained, and takes its time, so that there is a middle to be killed in.
NOTING = """
import os, time
from companion.train import training

train_epoch = getattr(training, "train_epoch_alone", training.train_epoch)  # Dask reads this file twice
def noted(model, optimizer, task, schedule, epoch, generator, *others):
    seed = generator.initial_seed() // 1_000_003 - 1
    if seed == 500:
        raise ValueError("seed 500 fails")
    part = train_epoch(model, optimizer, task, schedule, epoch, generator, *others)
    time.sleep(0.3)
    with open(os.environ["NOTED"], "a") as file:
        file.write(f"{seed} {epoch} {os.getpid()}\\n")
    return part
training.train_epoch_alone, training.train_epoch = train_epoch, noted
"""
CLIENT = f"""
import sys
from companion import instructions
instructions.settle()
from test_runs import make_run
from companion.train import runs

if sys.argv[1] == "changed":
    runs.code = lambda task: {{"companion.train.training": "other code"}}
seeds = [seed for first in map(int, sys.argv[2:]) for seed in range(first, first + {SEEDS})]
runs.run_all([make_run(epochs={EPOCHS}, seed=seed, label=f"seed {{seed}}") for seed in seeds], jobs=1)
"""


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.05)


class Cluster:
    """Processes of this machine that share no folder; what they print is in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.noted = folder, folder / "noted"
        self.noted.touch()
        (folder / "noting.py").write_text(NOTING)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.started: list[subprocess.Popen] = []
        self.scheduler = self.start_scheduler()
        self.workers = [self.start_worker(f"worker-{index}") for index in range(3)]
        self.start_worker("other", CCLIB_INSTRUCTIONS="native")
        self.serial = self.start("serial", "-c", CLIENT, "", *map(str, SCENES))

    def start(self, name: str, *command: str, **environment: str) -> subprocess.Popen:
        path = os.pathsep.join(map(str, (ROOT / "tests/companion/train", ROOT / "tests/companion")))
        given = {**os.environ, "PYTHONPATH": path, "CCLIB_CACHE": str(self.folder / name), **environment}
        with open(self.folder / f"{name}.log", "a") as log:
            process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=given, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def start_scheduler(self) -> subprocess.Popen:
        port = self.address.rpartition(":")[2]
        options = ["--host", "127.0.0.1", "--port", port, "--dashboard-address", ":0", "--no-dashboard"]
        return self.start("scheduler", "-m", "distributed.cli.dask_scheduler", *options)

    def start_worker(self, name: str, **environment: str) -> subprocess.Popen:
        environment |= {"NOTED": str(self.noted), "DASK_DISTRIBUTED__WORKER__PRELOAD": str(self.folder / "noting.py")}
        return self.start(name, "-m", "companion", "worker", self.address, "--workers", "1", **environment)

    def start_client(self, first: int, how: str = "") -> subprocess.Popen:
        """Somebody with a cache of his own who asks for runs, the first one with this seed."""
        told = {"CCLIB_CLUSTER": self.address, "CCLIB_RECORDS": str(self.folder / "records")}
        return self.start(f"client-{first}", "-c", CLIENT, how, str(first), **told)

    def process_of(self, worker: subprocess.Popen) -> psutil.Process:
        """The process that computes, below the one that starts it again."""
        (process,) = [
            child for child in psutil.Process(worker.pid).children() if "spawn_main" in " ".join(child.cmdline())
        ]
        return process

    def epochs(self, first: int) -> Counter[tuple[int, int]]:
        """How often each epoch of the runs from a seed on was trained: (seed, epoch) -> times."""
        return Counter((seed, epoch) for seed, epoch, _ in self.trained(first))

    def trained(self, first: int) -> list[tuple[int, int, int]]:
        """The epochs of the runs from a seed on as they were trained: seed, epoch and the worker's process."""
        noted = [tuple(map(int, line.split())) for line in self.noted.read_text().splitlines()]
        return [(seed, epoch, process) for seed, epoch, process in noted if first <= seed < first + SEEDS]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def results(self, name: str) -> list[tuple[dict, bytes]]:
        """Measures and weights of the runs in a process's cache, without times."""
        found = []
        for path in (self.folder / name / "runs").glob("*/result.json"):
            result = json.loads(path.read_text())["result"]
            for epoch in result["history"]:
                del epoch["seconds"]
            found.append((result, (path.parent / "weights.safetensors").read_bytes()))
        return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    for process in cluster.started:
        process.kill()  # workers end with those that started them
        process.wait()


def finished(cluster: Cluster, client: subprocess.Popen, first: int) -> Counter[tuple[int, int]]:
    """The client ends, with the bits of a serial run; how often each epoch was trained."""
    assert client.wait(BOUND) == 0, cluster.log(f"client-{first}")
    assert cluster.serial.wait(BOUND) == 0, cluster.log("serial")
    own, serial = cluster.results(f"client-{first}"), cluster.results("serial")
    assert len(own) == SEEDS
    assert all(result in serial for result in own)
    keys = {path.parent.name for path in (cluster.folder / f"client-{first}" / "runs").glob("*/result.json")}
    assert keys <= {path.stem for path in (cluster.folder / "records").iterdir()}
    trained = cluster.epochs(first)
    assert set(trained) == {(seed, epoch) for seed in range(first, first + SEEDS) for epoch in range(EPOCHS)}
    return trained


def test_runs_come_back_and_are_computed_once(cluster: Cluster) -> None:
    trained = finished(cluster, cluster.start_client(0), 0)
    assert set(trained.values()) == {1}
    told = cluster.log("client-0")
    assert f"cluster {cluster.address}: " in told
    assert "; dashboard: http://127.0.0.1:" in told
    # The others did the work.
    assert re.search(r"worker tcp://\S+ computes nothing .* native \w+ .*, the client with shared", told)
    held = [path for name in ("worker-0", "worker-1", "worker-2") for path in (cluster.folder / name).rglob("*.json")]
    assert held == []  # forgotten, since the client has them
    assert cluster.start_client(0).wait(BOUND) == 0
    assert cluster.epochs(0) == trained


def test_a_cluster_of_workers_with_other_code_is_refused(cluster: Cluster) -> None:
    assert cluster.start_client(600, "changed").wait(BOUND) == 1
    told = cluster.log("client-600")
    assert len(re.findall(r"its code differs from the client's in .* and \d+ more modules; start it with", told)) >= 3
    assert re.search(r"ValueError: worker tcp://\S+ computes nothing", told)


def test_the_error_of_a_run_is_the_clients(cluster: Cluster) -> None:
    assert cluster.start_client(500).wait(BOUND) == 1
    assert re.search(
        r"RuntimeError: seed 500 failed on worker tcp://\S+ with ValueError: seed 500 fails", cluster.log("client-500")
    )


def test_a_killed_worker(cluster: Cluster) -> None:
    client = cluster.start_client(100)
    eventually(lambda: cluster.epochs(100))
    cluster.process_of(cluster.workers[0]).kill()
    trained = finished(cluster, client, 100)
    again = [seed for seed in range(100, 100 + SEEDS) if any(trained[seed, epoch] > 1 for epoch in range(EPOCHS))]
    assert len(again) <= 1, "only the run that the worker was at"


def test_a_stopped_worker(cluster: Cluster) -> None:
    client = cluster.start_client(200)
    eventually(lambda: cluster.epochs(200))
    process = cluster.process_of(cluster.workers[1])
    process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    process.send_signal(signal.SIGCONT)
    assert set(finished(cluster, client, 200).values()) == {1}


def test_a_killed_client(cluster: Cluster) -> None:
    client = cluster.start_client(300)
    eventually(lambda: sum(cluster.epochs(300).values()) > EPOCHS)
    client.kill()
    client.wait()
    assert set(finished(cluster, cluster.start_client(300), 300).values()) == {1}


def test_a_killed_scheduler(cluster: Cluster) -> None:
    client = cluster.start_client(400)
    eventually(lambda: sum(cluster.epochs(400).values()) > EPOCHS)
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    cluster.scheduler = cluster.start_scheduler()
    assert set(finished(cluster, client, 400).values()) == {1}
    assert "has gone: waiting for it" in cluster.log("client-400")


def test_a_killed_worker_that_holds_what_is_asked_for(cluster: Cluster) -> None:
    client = cluster.start_client(700)
    eventually(lambda: cluster.epochs(700))
    client.kill()
    client.wait()
    time.sleep(2)  # until the workers have given up what they were at
    before = len(cluster.trained(700))
    client = cluster.start_client(700)
    eventually(lambda: len(cluster.trained(700)) > before)
    psutil.Process(cluster.trained(700)[-1][2]).kill()
    assert max(finished(cluster, client, 700).values()) <= 2


def test_no_process_is_left(cluster: Cluster) -> None:
    started = [child for worker in cluster.workers for child in psutil.Process(worker.pid).children(recursive=True)]
    for worker in cluster.workers:
        worker.kill()
        worker.wait()
    eventually(lambda: not any(process.is_running() and process.status() != "zombie" for process in started))


IDENTITY = {
    "torch": "2.13.0+cpu",
    "numpy": "2.4.6",
    "instructions": ["shared", "AVX2"],
    "code": {"cclib.layers": "1", "cclib.geometry": "2"},
    "data": "d",
}


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ({"torch": "2.12.0+cpu"}, "it has torch 2.13.0+cpu, the client has 2.12.0+cpu"),
        ({"numpy": "2.4.5"}, "it has numpy 2.4.6, the client has 2.4.5"),
        (
            {"instructions": ["native", "AVX512"]},
            "it computes with shared AVX2 instructions, the client with native AVX512",
        ),
        ({"code": {"cclib.layers": "1"}}, "its code differs from the client's in cclib.geometry"),
        ({"data": "e"}, "its data differ from the client's"),
        ({}, "it has 4 threads, the client needs workers with one"),
    ],
)
def test_what_differs_is_named_with_both(there: dict, sentence: str) -> None:
    here = IDENTITY | {"threads": 1 if there else 4}
    assert difference(here, IDENTITY | there).startswith(sentence)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1]", "must map names to values, as Dask's configuration does"),
        ("a: {", "is not YAML"),
        ("distributed: {}", "must have scheduler-address, or jobqueue and jobs"),
    ],
)
def test_a_file_that_names_no_cluster(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"cluster.yaml: {words}"):
        scheduler(str(path))


@pytest.mark.skipif(importlib.util.find_spec("dask_jobqueue") is not None, reason="dask-jobqueue is installed")
def test_batch_systems_need_an_extra(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("{jobqueue: {slurm: {cores: 1}}, jobs: 2}")
    with (
        dask.config.set({}),
        pytest.raises(ValueError, match=r"needs dask-jobqueue, .* pip install -e '\.\[jobqueue\]'"),
    ):
        scheduler(str(path))


def test_no_cluster_goes_by_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"CLUSTER must be an address such as tcp://host:8786 or a .yaml file, got 'host'"
    ):
        scheduler("host")
    monkeypatch.setenv("CCLIB_CACHE", str(tmp_path))
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(OSError, match=r"no scheduler answers at tcp://127.0.0.1:9"),
    ):
        scheduler("tcp://127.0.0.1:9")
