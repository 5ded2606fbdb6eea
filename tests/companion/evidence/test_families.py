"""Verdicts at the threshold, Holm's procedure by hand, and the chance of a wrong verdict, simulated."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from companion.evidence import claims, families


def a_row(mean: float = 0.0, low: float = -1.0, high: float = 1.0, n: int = 5, **changes: Any) -> claims.Row:
    words: dict[str, Any] = {"claim": "C7", "notebook": "02-misalignment", "statement": "Layers align.", "unit": "px"}
    limits: dict[str, Any] = {"better": "higher", "threshold": 1.0, "reason": "a pixel is seen"}
    interval = claims.Interval(mean, low, high, n)
    return claims.row(**{**words, **limits, "quantity": "worst", "interval": interval, "baseline": "none", **changes})


@pytest.mark.parametrize(
    ("low", "high", "better", "margin", "expected"),
    [
        (1.0, 2.0, "higher", None, "reproduced"),
        (0.9, 2.0, "higher", None, "inconclusive"),
        (0.0, 1.0, "higher", None, "inconclusive"),
        (0.0, 0.9, "higher", None, "not reproduced"),
        (0.0, 1.0, "lower", None, "reproduced"),
        (0.9, 1.1, "lower", None, "inconclusive"),
        (1.1, 2.0, "lower", None, "not reproduced"),
        (1.0, 1.0, "lower", None, "reproduced"),
        (-0.9, 0.9, "higher", 1.0, "no difference"),
        (-1.1, 0.9, "higher", 1.0, "not reproduced"),
        (-0.9, 1.0, "higher", 1.0, "inconclusive"),
        (1.0, 1.2, "higher", 1.0, "reproduced"),
        (-3.0, -2.0, "higher", 1.0, "not reproduced"),
    ],
)
def test_verdict_at_threshold_one(low: float, high: float, better: str, margin: float | None, expected: str) -> None:
    row = a_row(better=better, margin=margin)
    assert families.verdict(row, low, high) == expected


def test_holm_by_hand() -> None:
    """Of four, the smallest is tested at a quarter, the next at a third; then one fails, and so do all after it."""
    level = 0.06
    levels = families.holm([0.031, 0.001, 0.9, 0.02], level)
    assert levels == pytest.approx([0.03, level / 4, 0.03, level / 3])
    assert families.holm([0.5, 0.6], level) == [level / 2, level / 2]
    assert families.holm([], level) == []


def test_a_row_alone_keeps_the_interval_of_its_level() -> None:
    """Each side at 2.5 %: for one random row that is its own 95 % interval."""
    point = a_row(0.5, 0.5, 0.5)
    alone, fixed, other = families.judged([a_row(2.0, 1.5, 2.5), point, a_row(threshold=None, reason=None)])
    assert (alone["adjusted_low"], alone["adjusted_high"]) == pytest.approx((1.5, 2.5))
    assert alone["verdict"] == "reproduced"
    assert (fixed["verdict"], fixed["adjusted_low"], fixed["adjusted_high"]) == ("not reproduced", 0.5, 0.5)
    assert {other[key] for key in families.JUDGED} == {None}


def test_more_rows_ask_for_more() -> None:
    """2.0 [1.5, 2.5] alone is enough; beside 19 undecided ones its lower end is at 2.5 % / 20."""
    rows = [a_row(2.0, 1.5, 2.5), *(a_row(1.0, 0.0, 2.0, quantity=f"other {index}") for index in range(19))]
    first = families.judged(rows)[0]
    assert 2.0 - first["adjusted_low"] == pytest.approx(0.5 * stats.t.isf(0.025 / 20, 4) / stats.t.isf(0.025, 4))
    assert first["verdict"] == "inconclusive"


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_an_inconclusive_row_tells_the_seeds_that_would_decide(better: str) -> None:
    (row,) = families.judged([a_row(1.2, 0.9, 1.5, better=better)])
    deviation = 0.3 / stats.t.isf(0.025, 4) * math.sqrt(5)
    seeds = row["seeds_to_decide"]
    reaches = [stats.t.isf(0.025, n - 1) * deviation / math.sqrt(n) for n in (seeds - 1, seeds)]
    assert row["verdict"] == "inconclusive"
    assert reaches[0] >= 0.2 > reaches[1]
    (never,) = families.judged([a_row(1.0, 0.9, 1.1)])
    assert never["seeds_to_decide"] is None


QUANTILE = float(stats.t.isf(0.025, 4))
RIGHT = {  # verdicts on a row whose true value this is, the threshold being 1
    2.0: {"reproduced", "inconclusive"},
    1.0: {"reproduced", "inconclusive"},
    0.0: {"no difference", "not reproduced", "inconclusive"},
    -1.0: {"not reproduced", "inconclusive"},
}


def draws(generator: np.random.Generator, centres: np.ndarray, n: int = 5) -> list[claims.Row]:
    """One experiment: rows whose seeds all share a part, as rows of the same networks do."""
    shared = generator.normal(size=n)
    seeds = centres[:, None] + 0.7 * shared + 0.7 * generator.normal(size=(len(centres), n))
    half = QUANTILE * seeds.std(axis=1, ddof=1) / math.sqrt(n)
    return [
        {"value": mean, "low": mean - reach, "high": mean + reach, "n": n, "better": "higher", "primary": True,
         "threshold": 1.0, "margin": 1.0, "looks": None}
        for mean, reach in zip(seeds.mean(axis=1), half, strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("centre", [1.0, -1.0, None])
def test_of_all_verdicts_one_is_wrong_in_at_most_a_twentieth_of_experiments(centre: float | None) -> None:
    """10 000 experiments of 6 rows, all at the threshold, at its negative, or here and there; the margin of error is
    three deviations of the share."""
    generator = np.random.default_rng(7)
    experiments, rows = 10_000, 6
    centres = np.array([1.0, -1.0, 0.0, 1.0, 2.0, -1.0]) if centre is None else np.full(rows, centre)
    right = [RIGHT[at] for at in centres]
    wrong = 0
    for _ in range(experiments):
        drawn = draws(generator, centres)
        random = [[families.p_value(row, side) for row in drawn] for side in (1, -1)]
        better, worse = (families.holm(p_values, families.LEVEL / 2) for p_values in random)
        found = [
            families.judgement(row, pair)["verdict"]
            for row, pair in zip(drawn, zip(better, worse, strict=True), strict=True)
        ]
        # At the threshold itself both "reproduced" and its contrary would be an error of one side.
        wrong += any(
            verdict not in allowed or (at == 1.0 and verdict == "reproduced")
            for verdict, allowed, at in zip(found, right, centres, strict=True)
        )
    share = wrong / experiments
    assert share <= families.LEVEL + 3 * math.sqrt(families.LEVEL / experiments)
    assert share > 0


LOOKS = (3, 5, 10)
QUANTILES = {n: float(stats.t.isf(0.025, n - 1)) for n in LOOKS}


def sequential_draws(generator: np.random.Generator, centres: np.ndarray) -> list[claims.Row]:
    """One experiment like that of ``draws``, but each row stops at the first look that decides it."""
    shared = generator.normal(size=LOOKS[-1])
    values = centres[:, None] + 0.7 * shared + 0.7 * generator.normal(size=(len(centres), LOOKS[-1]))
    rows = []
    for of_row in values:
        for n in LOOKS:
            half = QUANTILES[n] * of_row[:n].std(ddof=1) / math.sqrt(n)
            mean = of_row[:n].mean()
            row = {"value": mean, "low": mean - half, "high": mean + half, "n": n, "better": "higher", "primary": True,
                   "threshold": 1.0, "margin": 1.0, "looks": list(LOOKS)}  # fmt: skip
            if families.alone(row, len(centres))[0] != "inconclusive":
                break
        rows.append(row)
    return rows


@pytest.mark.parametrize("centre", [1.0, -1.0, None])
def test_seeds_until_decided_keep_that_chance(centre: float | None) -> None:
    generator = np.random.default_rng(11)
    experiments, rows = 10_000, 3
    centres = np.array([1.0, -1.0, 0.0]) if centre is None else np.full(rows, centre)
    wrong = 0
    early = 0
    for _ in range(experiments):
        drawn = sequential_draws(generator, centres)
        early += sum(row["n"] < LOOKS[-1] for row in drawn)
        wrong += any(
            row["verdict"] not in RIGHT[at] or (at == 1.0 and row["verdict"] == "reproduced")
            for row, at in zip(families.judged(drawn), centres, strict=True)
        )
    share = wrong / experiments
    assert share <= families.LEVEL + 3 * math.sqrt(families.LEVEL / experiments)
    assert share > 0
    assert early > 0


def test_without_parts_of_the_level_looks_would_break_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the parts are for: every look at the whole level, and far more than a twentieth is wrong."""
    monkeypatch.setattr(families.sequential, "share", lambda looks, n: 1.0)
    generator = np.random.default_rng(13)
    centres = np.full(3, 1.0)
    found = [[row["verdict"] for row in families.judged(sequential_draws(generator, centres))] for _ in range(2_000)]
    wrong = sum(any(verdict != "inconclusive" for verdict in verdicts) for verdicts in found)
    assert wrong / len(found) > 1.3 * families.LEVEL


def test_a_claims_file_must_be_judged_as_its_numbers_are(tmp_path: Path) -> None:
    rows = families.judged([a_row(2.0, 1.5, 2.5), a_row(quantity="other")])
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(rows))
    assert families.read(path) == rows
    path.write_text(json.dumps([rows[0] | {"adjusted_low": rows[0]["adjusted_low"] * (1 + 1e-12)}, rows[1]]))
    assert len(families.read(path)) == 2
    for change in ({"verdict": "no difference"}, {"adjusted_low": 1.6}, {"seeds_to_decide": 3}):
        path.write_text(json.dumps([rows[0] | change, rows[1]]))
        with pytest.raises(ValueError, match=r"claims\.json, row 1: the numbers of all rows say"):
            families.read(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="holds no row"):
        families.read(path)
    path.write_text(json.dumps([rows[0], {"claim": "C1"}]))
    with pytest.raises(ValueError, match="row 2: must have the keys"):
        families.read(path)
