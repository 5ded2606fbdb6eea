"""What the choice loses, and how its constants are fitted."""

import json
import random
from importlib.resources import files
from pathlib import Path

import pytest

from cclib.functional.registry import Speed, speeds
from companion.benchmark import choice, refit
from companion.benchmark.cases import FITTING, WAYS, Case, explanation
from companion.benchmark.refit import Measured

SMALL = (Case(2, 3, 4, 8, 6, 3), Case(1, 4, 4, 8, 6, 3, groups=2))
KNOWN = {
    "phases": Speed(1e-10, 2e-10, 3e-5, 1e-7),
    "basis": Speed(6e-11, 4e-10, 2e-5, 0.0),
}


def as_if(of: dict[str, Speed], common: float = 0.0) -> list[Measured]:
    """The times of the fitting layers, were the estimates exact."""
    return [
        Measured(
            case,
            {c.implementation: refit.estimate(c, of[c.implementation]) + common for c in explanation(case).candidates},
        )
        for case in FITTING
    ]


@pytest.mark.parametrize("common", [0.0, 2e-4])
def test_known_constants_come_back(common: float) -> None:
    found = refit.fit(as_if(KNOWN, common))
    assert list(found) == sorted(KNOWN)
    for way, speed in KNOWN.items():
        for part in refit.PARTS:
            assert getattr(found[way], part) == pytest.approx(getattr(speed, part), rel=0.01, abs=1e-13), (way, part)


def test_constants_of_noisy_times_are_not_negative_and_lose_little() -> None:
    noise = random.Random(0)
    measured = [
        Measured(each.case, {way: time * noise.uniform(0.8, 1.25) for way, time in each.seconds.items()})
        for each in as_if(KNOWN, 1e-4)
    ]
    found = refit.fit(measured)
    assert all(getattr(speed, part) >= 0 for speed in found.values() for part in refit.PARTS)
    assert max(refit.losses(measured, found)) < 1.6


def test_estimates_and_picks_by_the_stored_constants_are_those_of_auto() -> None:
    for case in FITTING:
        explained = explanation(case)
        assert refit.picked(case, speeds()) == explained.implementation
        for candidate in explained.candidates:
            assert refit.estimate(candidate, speeds()[candidate.implementation]) == pytest.approx(candidate.seconds)


def test_losses_are_those_of_the_picked_way() -> None:
    case = SMALL[0]
    times = dict.fromkeys(WAYS, 2.0) | {"basis": 1.0}
    slow = Speed(1.0, 1.0, 1.0, 1.0)
    fast = {"another": Speed(0.0, 0.0, 0.0, 0.0)}
    assert refit.losses([Measured(case, times)], dict.fromkeys(WAYS, slow) | fast) == [2.0]
    assert choice.loss("basis", times) == 1.0
    assert choice.summary([1.0, 4.0]) == "2 layers: geometric mean 2.000, worst 4.00"


def test_what_is_written_is_what_the_choice_reads(tmp_path: Path) -> None:
    path = tmp_path / "speeds.json"
    refit.write(KNOWN, path)
    assert {name: Speed(**numbers) for name, numbers in json.loads(path.read_text()).items()} == KNOWN
    assert len(path.read_text().splitlines()) == len(KNOWN) + 2
    refit.write(speeds(), path)
    assert json.loads(path.read_text()) == json.loads(files("cclib.functional").joinpath("speeds.json").read_text())
    assert list(json.loads(path.read_text())) == list(speeds())


def test_a_refit_times_writes_and_says_what_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, path = tmp_path / "times.json", tmp_path / "speeds.json"
    first = list(refit.refit(stored, 2, path, SMALL))
    assert [line.startswith(str(case)) for line, case in zip(first[1:3], SMALL, strict=True)] == [True, True]
    assert first[-3].startswith("\nloss before, 2 layers: geometric mean ")
    assert first[-2].startswith("loss after,  2 layers: geometric mean ")
    assert set(json.loads(path.read_text())) == set(WAYS)
    assert [set(each.seconds) for each in refit.stored(stored)] == [set(WAYS), set(WAYS)]
    path.unlink()
    monkeypatch.setattr(refit, "times_of", None)
    again = list(refit.refit(stored, 2, path, SMALL))
    assert again[0] == "times of times.json: 2 layers"
    assert again[-3:] == first[-3:]
    assert path.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"layers": [{"case": {"batch": 1}, "seconds": {}}]}', "{}"])
def test_another_file_in_place_of_times(text: str, tmp_path: Path) -> None:
    (tmp_path / "times.json").write_text(text)
    with pytest.raises(ValueError, match=r"times.json does not hold times as --refit --times writes them"):
        refit.stored(tmp_path / "times.json")


def test_the_lines_of_the_choice() -> None:
    lines = list(choice.lines(SMALL, rounds=2))
    for line, case in zip(lines[2:4], SMALL, strict=True):
        assert line.startswith(str(case))
        assert line[50:].split()[0] == explanation(case).implementation
        assert all(candidate.implementation in line for candidate in explanation(case).candidates)
    assert lines[-1].startswith("\n2 layers: geometric mean ")
