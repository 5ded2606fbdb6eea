"""The search for each network's learning rate, and the networks trained at it with several seeds.

Networks go by their names; a notebook says how one becomes a run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import pandas as pd

from companion.train import runs

Name = TypeVar("Name", bound=Hashable)  # of a network
MakeRun = Callable[[Name, float, int], runs.Run]  # of a name, a learning rate and a seed


def learning_rates(
    make_run: MakeRun[Name],
    names: Iterable[Name],
    rates: Sequence[float],
    seeds: Sequence[int],
    measure: str,
    close: float,
    rounds: int = 12,
) -> tuple[pd.DataFrame, dict[Name, float]]:
    """The learning rates tried for each network, and the mean of what each reached on the validation split at the end.

    A trial is a whole training. First all ``rates`` are tried with the first seed. From then on, in rounds: where the
    best is the lowest or highest rate of those tried, the next one is tried, as far from it as its neighbour; and where
    others have a mean within ``close`` of the best, these and the best get the next seed, until they have all. It ends
    when the best has a neighbour on both sides and all that are close to it have all seeds, or after ``rounds``. So all
    networks are searched by one rule, whatever rate suits them, and luck of less than ``close`` does not decide.

    Args:
        rates: at least two, rising.
        seeds: of the trials, and of no other run.
        measure: of the task's ``validate``; more is better.
        close: in the unit of the measure.
        rounds: how many at most, after the first.

    Returns:
        A table to print, one row for each network and one column for each rate, empty where not tried, else the mean
        with the number of seeds behind it, with whether the chosen one lies inside; and the rate that each network is
        to have.

    Raises:
        ValueError: fewer than two rates, or not rising; no seeds.
    """
    if len(rates) < 2 or list(rates) != sorted(set(rates)):
        raise ValueError(f"rates must be at least two, rising, got {list(rates)}")
    if not seeds:
        raise ValueError("seeds must hold at least one")
    reached: dict[Name, dict[float, list[float]]] = {name: {} for name in names}
    wanted = [(name, rate) for name in reached for rate in rates]
    for _ in range(rounds + 1):
        asked = [make_run(name, rate, seeds[len(reached[name].get(rate, []))]) for name, rate in wanted]
        for (name, rate), trial in zip(wanted, runs.run_all(asked), strict=True):
            reached[name].setdefault(rate, []).append(trial.history[-1][measure])
        wanted = [(name, rate) for name, tried in reached.items() for rate in asked_next(tried, len(seeds), close)]
        if not wanted:
            break
    per_name = {name: means(tried) for name, tried in reached.items()}
    chosen = {name: best(mean) for name, mean in per_name.items()}
    columns = sorted({rate for tried in reached.values() for rate in tried})
    cells = [
        [f"{statistics.fmean(tried[rate]):.2f} ({len(tried[rate])})" if rate in tried else "" for rate in columns]
        for tried in reached.values()
    ]
    table = pd.DataFrame(
        cells, pd.Index(reached, name="network"), pd.Index(columns, name="learning rate"), dtype=object
    )
    inside = ["no" if beyond(mean) or mean[best(mean)] == -math.inf else "yes" for mean in per_name.values()]
    return table.assign(chosen=list(chosen.values()), inside=inside), chosen


def means(tried: Mapping[float, Sequence[float]]) -> dict[float, float]:
    """Of what each rate reached, one number for each seed; a rate of which one trial diverged, NaN, is the worst."""
    return {
        rate: -math.inf if any(map(math.isnan, values)) else statistics.fmean(values) for rate, values in tried.items()
    }


def best(mean: Mapping[float, float]) -> float:
    """The rate with the highest mean; of equal ones the lowest, since where all diverged lower ones may not."""
    return max(mean, key=lambda rate: (mean[rate], -rate))


def asked_next(tried: Mapping[float, Sequence[float]], seeds: int, close: float) -> list[float]:
    """The rates to try with one seed more, of ``seeds`` at most: those close to the best, and the next one beyond."""
    mean = means(tried)
    highest = mean[best(mean)]
    contenders = [rate for rate, value in mean.items() if value >= highest - close]
    if len(contenders) == 1 or highest == -math.inf:
        contenders = []
    return [*(rate for rate in contenders if len(tried[rate]) < seeds), *beyond(mean)]


def beyond(mean: Mapping[float, float]) -> list[float]:
    """The rate to try next: none if the best of those tried has neighbours on both sides."""
    rates, chosen = sorted(mean), best(mean)
    if chosen not in (rates[0], rates[-1]):
        return []
    neighbour = rates[1] if chosen == rates[0] else rates[-2]
    following = float(f"{chosen * chosen / neighbour:.2g}")
    return [] if following in mean else [following]


def over_seeds(
    make_run: MakeRun[Name], chosen: Mapping[Name, float], seeds: int, first: int = 0
) -> dict[Name, list[runs.Result]]:
    """Every network trained at its rate on ``seeds`` seeds from ``first`` on: name -> one result for each seed."""
    asked = [make_run(name, rate, seed) for name, rate in chosen.items() for seed in range(first, first + seeds)]
    results = iter(runs.run_all(asked))
    return {name: [next(results) for _ in range(seeds)] for name in chosen}
