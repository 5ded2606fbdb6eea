"""What is under a running notebook: processes, memory, hardware, versions and commit, progress on the terminal.

It makes sure that no process outlives the run, however the run ends. It knows nothing of results.
"""

import importlib.metadata
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

# DVC and make start commands through one of these.
_SHELLS = ("sh", "bash", "dash", "zsh", "ash", "ksh", "fish")
_SECONDS_BETWEEN_LOOKS = 0.5
_PACKAGES = ("torch", "numpy", "scipy", "pandas", "scikit-image", "matplotlib")


class Watchdog(threading.Thread):
    """Ends this process and all below it once whoever started it is gone; meanwhile takes their peak memory.

    Without it, kill -9 of DVC leaves the kernel computing, and the next run starts a second one beside it.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True, name="watchdog")
        self.peak_bytes = 0
        self.started = time.monotonic()
        self._starters = _starters()
        self._seen: set[psutil.Process] = set()
        self._finished = threading.Event()

    def run(self) -> None:
        while not self._finished.wait(_SECONDS_BETWEEN_LOOKS):
            self._look()
            if _starters() != self._starters:
                self.end_descendants()
                os._exit(1)

    def stop(self) -> None:
        """Stop watching, and end what the run left behind."""
        self._finished.set()
        self.join()
        self.end_descendants()

    def _look(self) -> None:
        here = psutil.Process()
        total = here.memory_info().rss
        for process in here.children(recursive=True):
            # Remembered, since a child whose own parent dies first is no longer found from here.
            self._seen.add(process)
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.peak_bytes = max(self.peak_bytes, total)

    def end_descendants(self) -> None:
        """Kill every process started below this one; those that have ended already are no matter."""
        for process in self._seen | set(psutil.Process().children(recursive=True)):
            try:
                process.kill()  # Checks that the id has not passed to another process.
            except psutil.NoSuchProcess:
                continue

    def measurements(self) -> dict[str, Any]:
        """Wall time (s), peak of the summed resident sizes of all processes (MiB), hardware and versions."""
        return {
            "wall_seconds": round(time.monotonic() - self.started, 1),
            "peak_memory_mib": round(self.peak_bytes / 2**20),
            "hardware": hardware(),
            "versions": {"python": platform.python_version()}
            | {package: importlib.metadata.version(package) for package in _PACKAGES},
        }


@contextmanager
def watched() -> Iterator[Watchdog]:
    """A watchdog over the block; a signal to stop ends all descendants, then unwinds as SystemExit."""
    watchdog = Watchdog()

    def stop(number: int, frame: FrameType | None) -> None:
        watchdog.end_descendants()
        raise SystemExit(128 + number)

    earlier = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup's wish
            earlier[number] = signal.signal(number, stop)
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _starters() -> list[int]:
    """The processes that started this one: its ancestors up to the first that is not a shell."""
    starters = []
    try:
        process = psutil.Process()
        while parent := process.parent():
            starters.append(parent.pid)
            if parent.name() not in _SHELLS:
                break
            process = parent
    except psutil.NoSuchProcess:
        starters.append(-1)
    return starters


def hardware() -> dict[str, str | int | float]:
    """What the speed depends on: processor, cores, memory, GPU, system. No name of host or user."""
    import torch  # Seconds to import: not before it is needed.

    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.machine()}",
    }


def commit(root: Path) -> str:
    """The commit that `root` is at, with "+" where its sources differ from it; "unknown" without git."""
    git = ["git", "--no-optional-locks", "-C", str(root)]
    sources = ["cclib", "companion", "notebooks", "profiles", "data", "constraints.txt"]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        status = [*git, "status", "--porcelain", "--", *sources]
        changed = subprocess.run(status, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout else "")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


class Progress:
    """The terminal's view of a run: which cell is at work, and the notebook's own progress bars (stderr)."""

    def __init__(self, name: str, cells: int) -> None:
        self._name, self._cells = name, cells
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        print(f"{name}: {cells} cells", file=sys.stderr, flush=True)

    def cell_started(self, cell: Any, cell_index: int) -> None:
        if self._terminal:
            # Back to the line's start, and clear it.
            self.write(f"\r\x1b[K{self._name}: cell {cell_index + 1} of {self._cells} ")

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def close(self) -> None:
        end = "\r\x1b[K" if self._terminal else ""
        self.write(f"{end}{self._name}: {time.monotonic() - self._started:.0f} s\n")
