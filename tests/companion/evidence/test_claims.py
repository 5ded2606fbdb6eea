"""Intervals against hand-computed ones, and rows that must not pass."""

import json
import math
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from companion.evidence import claims
from companion.evidence.claims import Interval


def a_row(**changes: Any) -> claims.Row:
    words = {"claim": "C7", "notebook": "02-misalignment", "statement": "Layers align.", "quantity": "worst case"}
    numbers: dict[str, Any] = {"unit": "px", "interval": claims.exact(0.5, 21), "better": "lower"}
    numbers |= {"threshold": 1, "reason": "a pixel is seen"}
    return claims.row(**{**words, **numbers, "baseline": "strided conv: 2.36 px", **changes})


def test_interval_by_hand() -> None:
    # Mean 2, standard deviation 1; with 2 degrees of freedom t has a closed form.
    t = 0.95 / math.sqrt(2 * 0.975 * 0.025)
    found = claims.interval([1, 2, 3])
    assert found.n == 3
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(t / math.sqrt(3), rel=1e-12)
    assert 2 - found.low == pytest.approx(found.high - 2, rel=1e-12)


def test_paired_is_the_one_sample_test() -> None:
    a, b = [1.0, 2.5, 2.0, 4.0], [0.5, 1.0, 2.5, 3.0]
    found = claims.paired(a, b, confidence=0.9)
    expected = stats.ttest_rel(a, b).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert claims.paired(a, b) == claims.interval([0.5, 1.5, -0.5, 1.0]) == claims.interval([0.5, 1.5, -0.5, 1.0], 0.95)


def test_exact_is_a_point() -> None:
    assert claims.exact(0.25, 8) == Interval(0.25, 0.25, 0.25, 8)
    assert claims.exact(-3, 1) == Interval(-3, -3, -3, 1)


def test_an_interval_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        claims.exact(0.25, 8).n = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    "changes",
    [
        {"interval": claims.exact(0.5, 1)},
        {"threshold": -0.5, "margin": 0.5},
        {"interval": claims.interval([0.0, 1.0]), "looks": [2, 3]},
        {"threshold": None, "reason": None},
    ],
)
def test_these_rows_pass(changes: dict[str, Any]) -> None:
    claims.check_row(a_row(**changes))


NESTED: Any = [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: claims.interval([1.0]), "at least 2 values, got 1"),
        (lambda: claims.interval([1.0, math.nan]), "values must be finite, got nan"),
        (
            lambda: claims.interval(NESTED),
            r"values must be a flat list of numbers, got shape \(2, 1\)",
        ),
        (lambda: claims.interval([1.0, math.inf, math.nan]), "values must be finite, got inf"),
        (lambda: claims.interval([1.0, 2.0], confidence=95), "confidence must lie between 0 and 1, got 95"),
        (lambda: claims.interval([1.0, 2.0], confidence=1), "confidence must lie between 0 and 1, got 1"),
        (lambda: claims.interval([1.0, 2.0], confidence=0), "confidence must lie between 0 and 1, got 0"),
        (lambda: claims.paired([1, 2], [1, 2, 3]), "a and b must pair up, got 2 and 3"),
        (lambda: claims.exact(math.inf, 3), "value must be finite, got inf"),
        (lambda: claims.exact(1, 0), "n must be a whole number of cases, at least 1, got 0"),
        (lambda: a_row(claim="C12"), "claim must be one of C1, .*, C11; got 'C12'"),
        (lambda: a_row(statement=" "), "statement must be text, got ' '"),
        (lambda: a_row(baseline=2.36), "baseline must be text, got 2.36"),
        (lambda: a_row(threshold=math.nan), "threshold must be a finite float, got nan"),
        (lambda: a_row(better="more"), "better must be 'higher' or 'lower', got 'more'"),
        (lambda: a_row(threshold=None), "a primary row, and no other, has a reason for its threshold"),
        (lambda: a_row(reason=" "), "a primary row, and no other, has a reason for its threshold, got ' '"),
        (lambda: a_row(margin=0.5), "margin must be the threshold without its sign, and not 0, got 0.5"),
        (lambda: a_row(threshold=0, margin=0), "margin must be the threshold without its sign, and not 0, got 0.0"),
        (lambda: a_row(threshold=None, reason=None, margin=1), "margin must be the threshold without its sign"),
        (lambda: a_row(threshold=None, reason=None, looks=[21]), "looks, a list of numbers of seeds"),
        (lambda: a_row(looks=[5, 10]), r"^row: .*21"),
        (lambda: claims.check_row(a_row() | {"looks": (21,)}), "looks, a list of numbers of seeds"),
        (lambda: claims.check_row([1]), r"must have the keys .*; got \[1\]"),
        (lambda: claims.check_row(a_row() | {"primary": 1}), "a row is primary if it has a threshold, got 1"),
        (lambda: claims.check_row(a_row() | {"n": 0}), "n must be a whole number, at least 1, got 0"),
        (lambda: claims.check_row(a_row() | {"extra": 1}), "must have the keys claim, notebook.*; got .*'extra'"),
        (lambda: claims.check_row(a_row() | {"primary": False}), "a row is primary if it has a threshold, got False"),
        (lambda: claims.check_row(a_row() | {"n": True}), "n must be a whole number, at least 1, got True"),
        (lambda: claims.write([a_row(), a_row()]), "two rows are called 'C7-worst-case'"),
    ],
)
def test_bad_input_is_named(call, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCLIB_OUTPUT", str(tmp_path))
    with pytest.raises(ValueError, match=words):
        call()
    assert not list(tmp_path.iterdir())


def test_rows_survive_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCLIB_OUTPUT", str(tmp_path))
    rows = [a_row(), a_row(quantity="Mean (of all)", unit="")]
    claims.write(rows)
    path = tmp_path / "metrics.json"
    assert claims.read(path) == rows
    assert list(json.loads(path.read_text())) == ["C7-worst-case", "C7-mean-of-all"]
    assert tuple(rows[0]) == claims.KEYS
    path.write_text("{")
    with pytest.raises(ValueError, match=r"metrics\.json: is not JSON"):
        claims.read(path)
    for nothing in ("{}", json.dumps([rows[0]])):
        path.write_text(nothing)
        with pytest.raises(ValueError, match=r"metrics\.json: holds no row"):
            claims.read(path)
    path.write_text(json.dumps({"C7-worst-case": rows[0], "broken": rows[1] | {"n": 0}}))
    with pytest.raises(ValueError, match=r"metrics\.json, row 2: n must be"):
        claims.read(path)
    path.write_text(json.dumps({"other": rows[0]}))
    with pytest.raises(ValueError, match="row 'other' should be called 'C7-worst-case'"):
        claims.read(path)


def test_rows_sort_by_claim_number() -> None:
    rows = [a_row(claim=claim) for claim in ("C10", "C2", "C1")]
    assert [row["claim"] for row in sorted(rows, key=claims.sort_key)] == ["C1", "C2", "C10"]
