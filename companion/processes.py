"""No process outlives whoever asked for its work: the watch that a run and its worker processes keep on their starter.

``watched`` is for a run that starts others; ``end_with_starter`` for a worker process.
"""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import FrameType

import psutil

# DVC and make start commands through one of these.
_SHELLS = ("sh", "bash", "dash", "zsh", "ash", "ksh", "fish")
_SECONDS_BETWEEN_LOOKS = 0.5


class Watchdog(threading.Thread):
    """Ends this process and all below it once whoever started it is gone.

    Without it, kill -9 of DVC leaves the kernel computing, and the next run starts a second one beside it.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True, name="watchdog")
        self._starters = _starters()
        self._finished = threading.Event()

    def run(self) -> None:
        while not self._finished.wait(_SECONDS_BETWEEN_LOOKS):
            self.look()
            if _starters() != self._starters:
                self.end_descendants()
                os._exit(1)

    def look(self) -> None:
        """What is done between two looks at the starters: nothing."""

    def end_descendants(self) -> None:
        """Kill every process below this one; those that have ended already are no matter."""
        _kill(psutil.Process().children(recursive=True))


class RunWatchdog(Watchdog):
    """The watchdog of a run: it also ends what the run leaves behind, and takes its peak memory.

    ``peak_bytes`` is the peak of the summed resident sizes of this process and all below it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak_bytes = 0
        self._seen: set[psutil.Process] = set()

    def look(self) -> None:
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

    def stop(self) -> None:
        """Stop watching, and end what the run left behind."""
        self._finished.set()
        self.join()
        self.end_descendants()

    def end_descendants(self) -> None:
        super().end_descendants()
        _kill(self._seen)


@contextmanager
def watched() -> Iterator[RunWatchdog]:
    """A watchdog over the block; a signal to stop ends all descendants, then unwinds as SystemExit."""
    watchdog = RunWatchdog()

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


@lru_cache(maxsize=1)  # once a process
def end_with_starter() -> None:
    """From now on, this process and all below it end as soon as whoever started it is gone: for worker processes."""
    Watchdog().start()


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()  # checks that the id has not passed to another process
        except psutil.NoSuchProcess:
            continue


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
