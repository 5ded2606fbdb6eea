"""The search for each network's learning rate by whole trainings, with several seeds wherever rates are close.

The notebooks that use it are 05 and 06; the others follow when they are next trained, and then it takes the place of
``search.learning_rates``.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from companion.train import runs
from companion.train.search import MakeRun, Name, beyond

Reached = Mapping[float, Sequence[float]]  # of one network: the rate -> what it reached, one number for each seed


def learning_rates(
    make_run: MakeRun[Name],
    names: Iterable[Name],
    rates: Sequence[float],
    seeds: Sequence[int],
    measure: str,
    close: float,
    rounds: int = 10,
) -> tuple[pd.DataFrame, dict[Name, float]]:
    """The learning rates tried for each network, and the mean of what each reached on the validation split at the end.

    A trial is a whole training. First all ``rates`` are tried with the first seed. From then on, in rounds: rates whose
    mean is within ``close`` of the best one are tried with all other seeds as well, unless the best is alone; and where
    the best is the lowest or highest of those tried, the next one is tried, as far from it as its neighbour. It ends
    when the best has a neighbour on both sides, and all that are close to it have all seeds, or after ``rounds``. So
    all networks are searched by one rule, whatever rate suits them, and luck of less than ``close`` does not decide.

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
    """
    if len(rates) < 2 or list(rates) != sorted(set(rates)):
        raise ValueError(f"rates must be at least two, rising, got {list(rates)}")
    if not seeds:
        raise ValueError("seeds must hold at least one")
    reached: dict[Name, dict[float, list[float]]] = {name: {} for name in names}
    wanted = [(name, rate, seeds[0]) for name in reached for rate in rates]
    for _ in range(rounds + 1):
        trials = runs.run_all([make_run(name, rate, seed) for name, rate, seed in wanted])
        for (name, rate, _), trial in zip(wanted, trials, strict=True):
            reached[name].setdefault(rate, []).append(trial.history[-1][measure])
        wanted = [
            (name, rate, seed)
            for name, tried in reached.items()
            for rate, count in asked_next(tried, len(seeds), close).items()
            for seed in seeds[len(tried.get(rate, [])) : count]
        ]
        if not wanted:
            break
    per_name = {name: means(tried) for name, tried in reached.items()}
    chosen = {name: max(mean, key=mean.__getitem__) for name, mean in per_name.items()}
    columns = sorted({rate for tried in reached.values() for rate in tried})
    cells = [
        [f"{statistics.fmean(tried[rate]):.2f} ({len(tried[rate])})" if rate in tried else "" for rate in columns]
        for tried in reached.values()
    ]
    table = pd.DataFrame(
        cells, pd.Index(reached, name="network"), pd.Index(columns, name="learning rate"), dtype=object
    )
    inside = ["no" if beyond(mean) else "yes" for mean in per_name.values()]
    return table.assign(chosen=list(chosen.values()), inside=inside), chosen


def means(tried: Reached) -> dict[float, float]:
    """Of each rate; a rate of which one trial diverged, NaN, is the worst."""
    return {
        rate: -math.inf if any(map(math.isnan, values)) else statistics.fmean(values) for rate, values in tried.items()
    }


def asked_next(tried: Reached, seeds: int, close: float) -> dict[float, int]:
    """The rates to try next, with the number of seeds that each is to have by then."""
    mean = means(tried)
    best = max(mean.values())
    contenders = [rate for rate, value in mean.items() if value >= best - close]
    further = {rate: seeds for rate in contenders if len(tried[rate]) < seeds} if len(contenders) > 1 else {}
    return further | dict.fromkeys(beyond(mean), 1)
