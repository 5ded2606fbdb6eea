"""The search for a rate ends inside its grid; results stay with their network."""

import math

import pytest

from cclib.models.classifier import ClassifierConfig
from companion.tasks.classification import Classification
from companion.train import runs, search
from companion.train.search import beyond
from companion.train.training import Training


def make_run(name: str, rate: float, seed: int) -> runs.Run:
    return runs.Run(Classification(ClassifierConfig(name)), Training(3, 10, rate), seed, f"{name} {rate} {seed}")


def result(run: runs.Run, measure: float, losses: tuple[float, ...] = (2.0, 1.0)) -> runs.Result:
    return runs.Result(run, {}, [{"train_loss": loss, "accuracy": measure, "seconds": 3.0} for loss in losses])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[runs.Run]:
    """Runs are not trained: conv is best at 0.04, cc at 0.001, and below that it diverges."""
    asked: list[runs.Run] = []

    def answer(wanted: list[runs.Run]) -> list[runs.Result]:
        asked.extend(wanted)
        answers = []
        for run in wanted:
            rate, of_conv = run.training.learning_rate, run.label.startswith("conv")
            measure = -abs(math.log(rate / (0.04 if of_conv else 0.001)))
            answers.append(result(run, measure if of_conv or rate > 0.0009 else math.nan))
        return answers

    monkeypatch.setattr(runs, "run_all", answer)
    return asked


def test_the_search_goes_on_until_the_best_has_neighbours(asked: list[runs.Run]) -> None:
    table, chosen = search.learning_rates(make_run, ["conv", "cc"], [0.01, 0.02], 7, "accuracy", rounds=9)
    assert chosen == {"conv": 0.04, "cc": 0.0013}
    assert {(run.seed, run.training.epochs) for run in asked} == {(7, 2)}
    tried = {name: [run.training.learning_rate for run in asked if run.label.split()[0] == name] for name in chosen}
    assert tried == {"conv": [0.01, 0.02, 0.04, 0.08], "cc": [0.01, 0.02, 0.005, 0.0025, 0.0013, 0.00068]}
    assert list(table.loc["cc"]) == ["nan", "-0.26", "-0.92", "-1.61", "-2.30", "-3.00", "", "", 0.0013, "yes"]
    assert list(table.columns) == [0.00068, 0.0013, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, "chosen", "inside"]


def test_the_search_ends_after_some_rounds(asked: list[runs.Run]) -> None:
    table, chosen = search.learning_rates(make_run, ["cc"], [0.01, 0.02], 7, "accuracy", rounds=1)
    assert chosen == {"cc": 0.005}
    assert table.loc["cc", "inside"] == "no"


@pytest.mark.parametrize("rates", [[0.01], [0.02, 0.01], [0.01, 0.01]])
def test_a_grid_that_cannot_grow(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="rates must be at least two, rising, got"):
        search.learning_rates(make_run, ["cc"], rates, 7, "accuracy")


def test_the_next_rate_is_as_far_as_the_last_step() -> None:
    assert beyond({0.003: 1.0, 0.01: 2.0}) == [0.033]
    assert beyond({0.003: 2.0, 0.01: 1.0}) == [0.0009]
    assert beyond({0.01: 1.0, 0.02: 3.0, 0.04: 2.0}) == []
    assert beyond({0.01: 1.0, 0.02: math.nan}) == [0.005]


def test_results_stay_with_their_network(asked: list[runs.Run]) -> None:
    results = search.over_seeds(make_run, {"conv": 0.01, "cc": 0.02}, 3)
    rates_and_seeds = {
        name: [(r.run.training.learning_rate, r.run.seed) for r in of_name] for name, of_name in results.items()
    }
    assert {run.training.epochs for run in asked} == {3}
    assert rates_and_seeds == {"conv": [(0.01, 0), (0.01, 1), (0.01, 2)], "cc": [(0.02, 0), (0.02, 1), (0.02, 2)]}
