"""Fits the constants of ``auto``'s estimates to times, and writes them to cclib/functional/speeds.json."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from cclib.functional.choice import MEMORY_LIMIT, Candidate
from cclib.functional.registry import Speed, speeds
from companion.benchmark.cases import FITTING, Case, explanation
from companion.benchmark.choice import loss, summary, times_of
from companion.benchmark.timing import threads
from companion.files import atomic_write, project_root, write_json
from companion.processor import processor

SPEEDS = project_root() / "cclib" / "functional" / "speeds.json"
PARTS = ("multiply_adds", "moved", "calls", "pieces")


@dataclass(frozen=True)
class Measured:
    """The seconds of forward and backward of a layer, by the name of the way, on one core in float32."""

    case: Case
    seconds: Mapping[str, float]


def measure(cases: Sequence[Case] = FITTING, rounds: int = 7) -> Iterator[Measured]:
    """Times the ``timed_ways`` of each layer, with one thread."""
    with threads(1):
        for case in cases:
            yield Measured(case, times_of(case, rounds))


def stored(path: Path) -> list[Measured]:
    """The times of a file that ``store`` wrote.

    Raises:
        ValueError: it is no such file.
    """
    try:
        layers = json.loads(path.read_text(encoding="utf-8"))["layers"]
        return [Measured(Case(**layer["case"]), layer["seconds"]) for layer in layers]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold times as --refit --times writes them") from error


def store(path: Path, measured: Sequence[Measured]) -> None:
    """Write times as JSON, with the processor that they are of."""
    layers = [{"case": asdict(each.case), "seconds": dict(each.seconds)} for each in measured]
    write_json(path, {"processor": asdict(processor()), "threads": 1, "layers": layers})


def parts(candidate: Candidate) -> list[float]:
    """What a ``Speed`` multiplies."""
    return [float(getattr(candidate, part)) for part in PARTS]


def fit(measured: Sequence[Measured]) -> dict[str, Speed]:
    """The constants, none below zero, with the least squares of the relative errors of the estimates.

    No way is taken to multiply more than twice as fast as the fastest took for a whole layer, or arithmetic could come
    out as free.
    All ways of a layer also share what is none of theirs, such as evaluating the filter; a time for that, one for all
    layers, is fitted with them and dropped.
    """
    ways = sorted({way for each in measured for way in each.seconds})
    rows, fastest = [], math.inf
    for each in measured:
        of_way = {candidate.implementation: candidate for candidate in explanation(each.case).candidates}
        for way, seconds in each.seconds.items():
            if way not in of_way:
                continue
            row = np.zeros(len(ways) * len(PARTS) + 1)
            first = ways.index(way) * len(PARTS)
            row[first : first + len(PARTS)] = parts(of_way[way])
            row[-1] = 1
            rows.append(row / seconds)
            fastest = min(fastest, seconds / of_way[way].multiply_adds)
    matrix = np.array(rows)
    least = np.zeros(matrix.shape[1])
    least[PARTS.index("multiply_adds") : -1 : len(PARTS)] = fastest / 2
    units = np.linalg.norm(matrix, axis=0)
    units[units == 0] = 1
    numbers = least + nnls(matrix / units, 1 - matrix @ least)[0] / units
    of_ways = numbers[:-1].reshape(len(ways), len(PARTS))
    return {
        way: Speed(*(float(f"{number:.3g}") for number in of_way)) for way, of_way in zip(ways, of_ways, strict=True)
    }


def estimate(candidate: Candidate, speed: Speed) -> float:
    """Seconds, by other constants than the stored ones."""
    return math.fsum(part * getattr(speed, name) for part, name in zip(parts(candidate), PARTS, strict=True))


def picked(case: Case, of: Mapping[str, Speed]) -> str:
    """What ``auto`` would pick by these constants."""

    def order(candidate: Candidate) -> tuple[bool, float]:
        large = candidate.bytes > MEMORY_LIMIT
        return large, candidate.bytes if large else estimate(candidate, of[candidate.implementation])

    return min(explanation(case).candidates, key=order).implementation


def losses(measured: Sequence[Measured], of: Mapping[str, Speed]) -> list[float]:
    """Of each layer, what is lost by these constants; infinite where a way would be picked that was not timed."""
    ways = ((each, picked(each.case, of)) for each in measured)
    return [loss(way, each.seconds) if way in each.seconds else math.inf for each, way in ways]


def write(of: Mapping[str, Speed], path: Path = SPEEDS) -> None:
    """A line for each way, in the order of the ways."""
    order = [*(way for way in speeds() if way in of), *(way for way in of if way not in speeds())]
    entries = ",\n".join(f"  {json.dumps(way)}: {json.dumps(asdict(of[way]))}" for way in order)
    atomic_write(path, f"{{\n{entries}\n}}\n")


def refit(
    times: Path | None = None, rounds: int = 7, path: Path = SPEEDS, cases: Sequence[Case] = FITTING
) -> Iterator[str]:
    """Time or read, fit and write; the lines say what the fitting layers lose before and after.

    Args:
        times: a file; its times are taken if it exists, else those measured now go there.
        rounds: of timing.
        path: where the constants go.
        cases: the layers to time.
    """
    if times is not None and times.exists():
        measured = stored(times)
        yield f"times of {times.name}: {len(measured)} layers"
    else:
        yield f"{processor()}, threads: 1"
        measured = []
        for each in measure(cases, rounds):
            measured.append(each)
            best = min(each.seconds, key=each.seconds.__getitem__)
            yield f"{each.case!s:<56}{best:<10}{1e3 * each.seconds[best]:>9.2f} ms"
        if times is not None:
            store(times, measured)
    fitted = {**speeds(), **fit(measured)}
    yield f"\nloss before, {summary(losses(measured, speeds()))}"
    yield f"loss after,  {summary(losses(measured, fitted))}"
    write(fitted, path)
    yield f"written: {path.name}. Another pick gives other bits: dvc repro computes what changes"
