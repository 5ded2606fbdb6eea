"""The search for each network's learning rate, and the networks trained at it with several seeds.

Networks go by their names; a notebook says how one becomes a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import pandas as pd

from companion.train import runs

Name = TypeVar("Name", bound=Hashable)  # of a network
MakeRun = Callable[[Name, float, int], runs.Run]  # of a name, a learning rate and a seed


def learning_rates(
    make_run: MakeRun[Name], names: Iterable[Name], rates: Sequence[float], seed: int, measure: str, rounds: int = 6
) -> tuple[pd.DataFrame, dict[Name, float]]:
    """The learning rates tried for each network, and what each reached on the validation split after its last epoch.

    A trial has half the epochs of its network, rounded up. First all ``rates`` are tried. Where the best of a network
    is the lowest or highest that it was tried with, the next one is tried as well, as far from it as its neighbour,
    until the best has a neighbour on both sides or the grid has grown ``rounds`` times. So all networks are searched by
    one rule, whatever rate suits them.

    Args:
        rates: at least two, rising.
        seed: of all trials, and of no other run.
        measure: of the task's ``validate``; more is better.
        rounds: how often the grid grows at most.

    Returns:
        A table to print, one row for each network and one column for each rate, empty where not tried, with whether
        the chosen one lies inside; and the rate that each network is to have.
    """
    if len(rates) < 2 or list(rates) != sorted(set(rates)):
        raise ValueError(f"rates must be at least two, rising, got {list(rates)}")
    reached: dict[Name, dict[float, float]] = {name: {} for name in names}
    wanted = [(name, rate) for name in reached for rate in rates]
    for _ in range(rounds + 1):
        trials = runs.run_all([shortened(make_run(name, rate, seed)) for name, rate in wanted])
        for (name, rate), trial in zip(wanted, trials, strict=True):
            reached[name][rate] = trial.history[-1][measure]
        wanted = [(name, rate) for name, tried in reached.items() for rate in beyond(tried)]
        if not wanted:
            break
    chosen = {name: best(tried) for name, tried in reached.items()}
    columns = sorted({rate for tried in reached.values() for rate in tried})
    cells = [[f"{tried[rate]:.2f}" if rate in tried else "" for rate in columns] for tried in reached.values()]
    table = pd.DataFrame(
        cells, pd.Index(reached, name="network"), pd.Index(columns, name="learning rate"), dtype=object
    )
    inside = ["no" if beyond(tried) else "yes" for tried in reached.values()]
    return table.assign(chosen=list(chosen.values()), inside=inside), chosen


def shortened(run: runs.Run) -> runs.Run:
    """The same run with half its epochs, rounded up."""
    return replace(run, training=replace(run.training, epochs=-(-run.training.epochs // 2)))


def best(tried: Mapping[float, float]) -> float:
    """The rate with the highest measure; a trial that diverged, NaN, is the worst."""
    return max(tried, key=lambda rate: -math.inf if math.isnan(tried[rate]) else tried[rate])


def beyond(tried: Mapping[float, float]) -> list[float]:
    """The rate to try next: none if the best of those tried has neighbours on both sides."""
    rates, chosen = sorted(tried), best(tried)
    if chosen not in (rates[0], rates[-1]):
        return []
    neighbour = rates[1] if chosen == rates[0] else rates[-2]
    following = float(f"{chosen * chosen / neighbour:.2g}")
    return [] if following in tried else [following]


def over_seeds(
    make_run: MakeRun[Name], chosen: Mapping[Name, float], seeds: int, first: int = 0
) -> dict[Name, list[runs.Result]]:
    """Every network trained at its rate on ``seeds`` seeds from ``first`` on: name -> one result for each seed."""
    asked = [make_run(name, rate, seed) for name, rate in chosen.items() for seed in range(first, first + seeds)]
    results = iter(runs.run_all(asked))
    return {name: [next(results) for _ in range(seeds)] for name in chosen}
