"""The search for a rate: it ends inside its grid, and a lucky training does not decide."""

import math

import pytest

from cclib.models.classifier import ClassifierConfig
from companion.tasks.classification import Classification
from companion.train import runs, search
from companion.train.training import Training

LUCKY = {(0.04, 7): 84.9}  # of rate and seed; what else is reached depends on the rate alone
REACHED = {0.01: 80.0, 0.02: 84.0, 0.04: 82.0, 0.08: math.nan}


def make_run(name: str, rate: float, seed: int) -> runs.Run:
    return runs.Run(Classification(ClassifierConfig("conv")), Training(3, 10, rate), seed, name)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[runs.Run]:
    """Runs are not trained: "even" reaches what the tables above say, "steep" ten times as far from the best, and "low"
    more the lower its rate is, down to where it diverges, and "wild" diverges above 0.004."""
    asked: list[runs.Run] = []

    def answer(wanted: list[runs.Run]) -> list[runs.Result]:
        asked.extend(wanted)
        answers = []
        for run in wanted:
            rate = run.training.learning_rate
            if run.label == "low":
                value = -10 * math.log(rate) if rate > 0.0009 else math.nan
            elif run.label == "wild":
                value = 1000 * rate if rate < 0.004 else math.nan
            elif run.label == "even":
                value = LUCKY.get((rate, run.seed), REACHED.get(rate, 0.0))
            else:
                value = REACHED[rate] * 10
            answers.append(runs.Result(run, {}, [{"accuracy": 0.0}, {"accuracy": value}]))
        return answers

    monkeypatch.setattr(runs, "run_all", answer)
    return asked


def tried(asked: list[runs.Run], name: str) -> list[tuple[float, int]]:
    return [(run.training.learning_rate, run.seed) for run in asked if run.label == name]


def test_a_lucky_training_does_not_decide(asked: list[runs.Run]) -> None:
    table, chosen = search.learning_rates(make_run, ["even"], [0.01, 0.02, 0.04], [7, 8, 9], "accuracy", close=1.0)
    assert chosen == {"even": 0.02}
    rounds = [[(0.01, 7), (0.02, 7), (0.04, 7)], [(0.02, 8), (0.04, 8), (0.08, 7)], [(0.02, 9), (0.04, 9)]]
    assert tried(asked, "even") == [trial for of_round in rounds for trial in of_round]
    assert {run.training.epochs for run in asked} == {3}
    assert list(table.loc["even"]) == ["80.00 (1)", "84.00 (3)", "82.97 (3)", "nan (1)", 0.02, "yes"]


def test_a_rate_that_falls_behind_gets_no_further_seeds(asked: list[runs.Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LUCKY, (0.04, 8), 79.0)  # and unlucky then: 81.95 over both
    search.learning_rates(make_run, ["even"], [0.01, 0.02, 0.04], [7, 8, 9], "accuracy", close=1.0)
    assert tried(asked, "even") == [(0.01, 7), (0.02, 7), (0.04, 7), (0.02, 8), (0.04, 8), (0.08, 7)]


def test_who_is_ahead_needs_no_further_seeds(asked: list[runs.Run]) -> None:
    _, chosen = search.learning_rates(make_run, ["steep"], [0.01, 0.02, 0.04], [7, 8, 9], "accuracy", close=1.0)
    assert chosen == {"steep": 0.02}
    assert tried(asked, "steep") == [(0.01, 7), (0.02, 7), (0.04, 7)]


def test_networks_are_searched_side_by_side(asked: list[runs.Run]) -> None:
    table, chosen = search.learning_rates(
        make_run, ["steep", "even"], [0.01, 0.02, 0.04], [7, 8], "accuracy", close=1.0
    )
    assert chosen == {"steep": 0.02, "even": 0.02}
    assert list(table.loc["steep"])[:3] == ["800.00 (1)", "840.00 (1)", "820.00 (1)"]
    assert list(table.loc["even"])[:3] == ["80.00 (1)", "84.00 (2)", "83.45 (2)"]


def test_the_search_goes_on_until_the_best_has_neighbours(asked: list[runs.Run]) -> None:
    table, chosen = search.learning_rates(make_run, ["low"], [0.01, 0.02], [7, 8], "accuracy", close=1.0)
    assert chosen == {"low": 0.0013}
    assert tried(asked, "low") == [(rate, 7) for rate in (0.01, 0.02, 0.005, 0.0025, 0.0013, 0.00068)]
    assert list(table.columns) == [0.00068, 0.0013, 0.0025, 0.005, 0.01, 0.02, "chosen", "inside"]


def test_one_seed_is_enough_where_there_is_no_other(asked: list[runs.Run]) -> None:
    _, chosen = search.learning_rates(make_run, ["even"], [0.02, 0.04], [7], "accuracy", close=1.0)
    assert chosen == {"even": 0.04}  # the lucky one
    assert tried(asked, "even") == [(0.02, 7), (0.04, 7), (0.08, 7)]


def test_the_search_goes_on_below_rates_that_diverge(asked: list[runs.Run]) -> None:
    _, chosen = search.learning_rates(make_run, ["wild"], [0.01, 0.02], [7, 8], "accuracy", close=1.0)
    assert chosen == {"wild": 0.0025}
    assert tried(asked, "wild") == [(rate, 7) for rate in (0.01, 0.02, 0.005, 0.0025, 0.0013)]


def test_a_rate_that_diverged_lies_nowhere_inside(asked: list[runs.Run]) -> None:
    table, _ = search.learning_rates(make_run, ["wild"], [0.01, 0.02, 0.04], [7], "accuracy", close=1.0, rounds=0)
    assert table.loc["wild", "inside"] == "no"


def test_the_search_ends_after_some_rounds(asked: list[runs.Run]) -> None:
    table, chosen = search.learning_rates(make_run, ["steep"], [0.01, 0.02], [7, 8], "accuracy", close=1.0, rounds=0)
    assert chosen == {"steep": 0.02}
    assert table.loc["steep", "inside"] == "no"


@pytest.mark.parametrize("rates", [[0.01], [0.02, 0.01], [0.01, 0.01]])
def test_a_grid_that_cannot_grow(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="rates must be at least two, rising, got"):
        search.learning_rates(make_run, ["even"], rates, [7], "accuracy", close=1.0)


def test_no_seed() -> None:
    with pytest.raises(ValueError, match="seeds must hold at least one"):
        search.learning_rates(make_run, ["even"], [0.01, 0.02], [], "accuracy", close=1.0)


def test_a_rate_with_one_diverged_training_is_the_worst() -> None:
    assert search.means({0.01: [80.0, math.nan], 0.02: [70.0]}) == {0.01: -math.inf, 0.02: 70.0}


def test_what_is_asked_next() -> None:
    assert search.asked_next({0.01: [80.0], 0.02: [80.9], 0.04: [70.0]}, 3, close=1.0) == [0.01, 0.02]
    assert search.asked_next({0.01: [80.0], 0.02: [82.0]}, 3, close=1.0) == [0.04]
    assert search.asked_next({0.01: [80.0] * 3, 0.02: [80.9] * 3, 0.04: [70.0]}, 3, close=1.0) == []
    assert search.asked_next({0.01: [81.0], 0.02: [80.9]}, 2, close=1.0) == [0.01, 0.02, 0.005]
    diverged = {0.01: [math.nan], 0.02: [math.nan], 0.005: [math.nan]}
    assert search.asked_next(diverged, 3, close=1.0) == [0.0025]


def test_the_next_rate_is_as_far_as_the_last_step() -> None:
    assert search.beyond({0.003: 1.0, 0.01: 2.0}) == [0.033]
    assert search.beyond({0.003: 2.0, 0.01: 1.0}) == [0.0009]
    assert search.beyond({0.01: 1.0, 0.02: 3.0, 0.04: 2.0}) == []
    assert search.beyond({0.01: 1.0, 0.02: -math.inf}) == [0.005]


def test_results_stay_with_their_network(asked: list[runs.Run]) -> None:
    results = search.over_seeds(make_run, {"even": 0.01, "steep": 0.02}, 3)
    rates_and_seeds = {
        name: [(r.run.training.learning_rate, r.run.seed) for r in of_name] for name, of_name in results.items()
    }
    assert {run.training.epochs for run in asked} == {3}
    assert rates_and_seeds == {"even": [(0.01, 0), (0.01, 1), (0.01, 2)], "steep": [(0.02, 0), (0.02, 1), (0.02, 2)]}
