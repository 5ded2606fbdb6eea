"""The table of times and memory, beside what they must not exceed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import yaml

from companion.benchmark.cases import OVERHEAD, TABLE, Case, explanation, serves, workload
from companion.benchmark.libraries import libraries
from companion.benchmark.memory import extra_memory
from companion.benchmark.networks import NETWORKS, Networks, training
from companion.benchmark.timing import WIDEST_STEADY, median_and_quartiles, paired, steady, threads, written
from companion.files import project_root
from companion.processor import processor

CALL = "a call in inference, µs"
HEAD = (
    "Times: CCConv2d over Conv2d, median [quartiles] of pairs; training is forward and backward, inference forward "
    "alone, with the filter of\nthe call before. Must: what the notebook 11-efficiency sets as the most in training. "
    "Memory: at the peak, beyond input and output, in\nunits of input plus output. Products: share of the time of a "
    "training step that goes through a library.\n"
)


@lru_cache(maxsize=1)
def musts(profile: Path | None = None) -> dict[str, float]:
    """What each row of the table must not exceed, from the parameters of notebook 11 in the default profile.

    Raises:
        ValueError: they are not as many as the rows.
    """
    path = profile or project_root() / "profiles" / "default.yaml"
    numbers = yaml.safe_load(path.read_text(encoding="utf-8"))["nb-11-efficiency"]["musts"]
    rows = [*map(str, TABLE), *(pair.name for pair in NETWORKS), CALL]
    if len(numbers) != len(rows):
        raise ValueError(f"musts of 11-efficiency must be {len(rows)} numbers, one for each row, got {len(numbers)}")
    return dict(zip(rows, numbers, strict=True))


def thread_counts(cores: int | None = None) -> tuple[int, ...]:
    """One and two, or one where there is one core."""
    return (1, 2)[: cores or os.cpu_count() or 1]


def in_turn(
    runs: Sequence[Callable[[], object]], rounds: int, counts: Sequence[int], divided_by: float = 1.0
) -> list[list[float]]:
    """The ratios of the second run to the first, for each number of threads."""
    found = []
    for count in counts:
        with threads(count):
            found.append([ratio / divided_by for ratio in paired(runs, rounds)[1].ratios])
    return found


class Printer:
    """Formats rows, and counts the times that are not steady."""

    def __init__(self, counts: Sequence[int], limits: Mapping[str, float]) -> None:
        self.counts, self.limits = counts, limits
        self.times = self.unsteady = 0

    def time(self, values: Sequence[float], digits: int = 2) -> str:
        self.times += 1
        self.unsteady += not steady(values)
        return written(values, digits)

    def head(self) -> str:
        columns = "".join(f"{f'training, {count} thr.':>25}" for count in self.counts)
        return (
            f"{'case':<50}{'must':>6}{columns}{'inference':>25}{'Conv2d ms':>11}{'memory: train':>15}{'infer':>6}"
            f"{'ref.':>7}  {'picked':<9}products"
        )

    def row(self, name: str, training: Sequence[Sequence[float]], rest: str = "", digits: int = 2) -> str:
        must = f"{self.limits[name]:g}" if name in self.limits else "–"
        columns = "".join(f"{self.time(values, digits):>25}" for values in training)
        return f"{name:<50}{must:>6}{columns}{rest}".rstrip()


def of_layer(case: Case, rounds: int, printer: Printer) -> str:
    """The line of a layer; inference, memory and products are with the most threads."""
    conv, cc = workload("conv", case), workload("auto", case)
    trained = in_turn((conv.train, cc.train), rounds, printer.counts)
    with threads(printer.counts[-1]):
        inference = paired((conv.forward, cc.forward), rounds)[1].ratios
        milliseconds = 1e3 * median_and_quartiles(paired((conv.train,), rounds)[0].seconds)[0]
        memory = [extra_memory(cc, run) for run in (cc.train, cc.forward)]
        through = libraries(cc.train)
        most = "–"
        if serves("reference", case):
            reference = workload("reference", case)
            most = f"{extra_memory(reference, reference.train):.1f}"
    rest = f"{printer.time(inference):>25}{milliseconds:>11.2f}{memory[0]:>15.1f}{memory[1]:>6.1f}{most:>7}"
    return printer.row(str(case), trained, f"{rest}  {explanation(case).implementation:<9}{through}")


def of_networks(pair: Networks, rounds: int, printer: Printer) -> str:
    """The line of two networks: a step of training."""
    runs = training(pair.conv), training(pair.cc)
    trained = in_turn(runs, rounds, printer.counts, pair.work)
    with threads(printer.counts[-1]):
        milliseconds = 1e3 * median_and_quartiles(paired(runs[:1], rounds)[0].seconds)[0]
        through = libraries(runs[1])
    return printer.row(pair.name, trained, f"{'':>25}{milliseconds:>11.2f}{'':>28}  {'':<9}{through}")


def of_call(case: Case, rounds: int, printer: Printer) -> str:
    """The line of a layer that has next to nothing to do: the microseconds of a call in inference."""
    work = workload("auto", case)

    def often() -> None:
        for _ in range(20):
            work.forward()

    found = []
    for count in printer.counts:
        with threads(count):
            found.append([1e6 * each / 20 for each in paired((often,), rounds)[0].seconds])
    return printer.row(CALL, found, digits=0)


def table(
    cases: Sequence[Case] = TABLE,
    networks: Sequence[Networks] = NETWORKS,
    rounds: int = 25,
    counts: Sequence[int] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Iterator[str]:
    """The lines of the table, with the instructions of this process.

    Times whose quartiles lie wide apart are marked, and a last line warns of them.
    """
    printer = Printer(counts or thread_counts(), musts() if limits is None else limits)
    yield f"{processor()}\n"
    yield HEAD
    yield printer.head()
    for case in cases:
        yield of_layer(case, rounds, printer)
    for pair in networks:
        yield of_networks(pair, rounds, printer)
    yield of_call(OVERHEAD, rounds, printer)
    if printer.unsteady:
        yield (
            f"\nWarning: {printer.unsteady} of {printer.times} times, marked '?', have quartiles more than a factor of "
            f"{WIDEST_STEADY} apart. The machine was busy: run the benchmark again when it is idle."
        )
