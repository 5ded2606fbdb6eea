"""What ``auto`` loses against the best way, on layers that its constants were not fitted to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from companion.benchmark.cases import CHOICE, Case, explanation, timed_ways, workload
from companion.benchmark.timing import paired, threads
from companion.processor import processor


def times_of(case: Case, rounds: int) -> dict[str, float]:
    """The seconds of forward and backward of each of ``timed_ways``: medians of runs in turn."""
    ways = timed_ways(case)
    timed = paired([workload(way, case).train for way in ways], rounds)
    return {way: statistics.median(timing.seconds) for way, timing in zip(ways, timed, strict=True)}


def loss(picked: str, times: Mapping[str, float]) -> float:
    """The time of the picked way over that of the best one."""
    return times[picked] / min(times.values())


def summary(losses: Sequence[float]) -> str:
    mean = math.exp(statistics.mean(map(math.log, losses)))
    return f"{len(losses)} layers: geometric mean {mean:.3f}, worst {max(losses):.2f}"


def lines(cases: Sequence[Case] = CHOICE, rounds: int = 7, count: int = 1) -> Iterator[str]:
    """The lines of a table: for each layer what is picked, its loss, and the times of all ways, in milliseconds."""
    yield f"{processor()}, threads: {count}\n"
    yield f"{'case':<56}{'picked':<10}{'loss':>6}  ms, forward and backward"
    losses = []
    with threads(count):
        for case in cases:
            times, picked = times_of(case, rounds), explanation(case).implementation
            losses.append(loss(picked, times))
            each = ", ".join(f"{way} {1e3 * time:.2f}" for way, time in times.items())
            yield f"{case!s:<56}{picked:<10}{losses[-1]:>6.2f}  {each}"
    yield f"\n{summary(losses)}"
