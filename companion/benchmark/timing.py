"""Times of runs taken in turn, compared pair by pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

WIDEST_STEADY = 1.5  # upper over lower quartile; pairs that vary more say that the machine had other work to do


def seconds(run: Callable[[], object], device: str = "cpu") -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def median_and_quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and between which half of the values lie."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


@dataclass(frozen=True)
class Timing:
    """Paired times: of each run, and of its ratio to the first one."""

    seconds: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median of the pairs."""
        return statistics.median(self.ratios)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between which half of the pairs lie."""
        return median_and_quartiles(self.ratios)[1:]

    @property
    def steady(self) -> bool:
        """Whether the quartiles are so close that the median can be relied on."""
        return steady(self.ratios)

    def __str__(self) -> str:
        """The median with its quartiles, and a question mark unless they are steady."""
        return written(self.ratios)


def steady(values: Sequence[float]) -> bool:
    """Whether the quartiles of values are at most a factor of ``WIDEST_STEADY`` apart."""
    _, low, high = median_and_quartiles(values)
    return high <= WIDEST_STEADY * low


def written(values: Sequence[float], digits: int = 2) -> str:
    """The median of values with its quartiles, and a question mark unless they are steady."""
    middle, low, high = (f"{value:.{digits}f}" for value in median_and_quartiles(values))
    return f"{middle} [{low}, {high}]{'' if steady(values) else ' ?'}"


def keep_freed_memory() -> None:
    """Make the C library keep memory that tensors free, for the next ones.

    Else it may hand it back to the system after each run, and fetching it anew can take as long as a convolution: it
    hits one way or the other by the chance of sizes. A large block, freed, raises the threshold of glibc; elsewhere
    this does nothing.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def paired(runs: Sequence[Callable[[], object]], rounds: int, device: str = "cpu") -> list[Timing]:
    """Time ``runs`` in turn, ``rounds`` times, after two rounds that do not count."""
    keep_freed_memory()
    times: list[list[float]] = [[] for _ in runs]
    for round_number in range(rounds + 2):
        for run, into in zip(runs, times, strict=True):
            elapsed = seconds(run, device)
            if round_number >= 2:
                into.append(elapsed)
    first = times[0]
    return [Timing(tuple(each), tuple(t / base for t, base in zip(each, first, strict=True))) for each in times]


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads within torch's operations, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
