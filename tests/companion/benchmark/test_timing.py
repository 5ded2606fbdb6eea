"""How times are taken and compared."""

import torch

from companion.benchmark import timing
from companion.benchmark.timing import Timing, paired, threads, written


def test_paired_takes_turns(monkeypatch):
    ran: list[str] = []
    clock = iter(range(1000))
    lasts = {"a": 2, "b": 6}

    def seconds(run, device):
        run()
        return lasts[ran[-1]] + next(clock) // 2 % 3

    monkeypatch.setattr(timing, "seconds", seconds)
    timings = paired((lambda: ran.append("a"), lambda: ran.append("b")), rounds=3)
    assert ran == ["a", "b"] * 5
    assert [each.seconds for each in timings] == [(4, 2, 3), (8, 6, 7)]
    assert timings[0].ratios == (1, 1, 1)
    assert timings[1].ratios == (2, 3, 7 / 3)
    assert timings[1].ratio == 7 / 3


def test_seconds_are_those_of_the_run(monkeypatch):
    times = iter([1.0, 3.5])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(times))
    assert timing.seconds(lambda: None) == 2.5


def test_a_timing_printed():
    timed = Timing((1.0,) * 5, (1.0, 1.5, 2.0, 2.5, 3.0))
    assert timed.ratio == 2
    assert timed.quartiles == (1.5, 2.5)
    assert str(timed) == "2.00 [1.50, 2.50] ?"
    assert str(Timing((1.0,) * 3, (1.9, 2.0, 2.1))) == "2.00 [1.95, 2.05]"


def test_quartiles_far_apart_are_not_steady():
    assert Timing((1.0,) * 3, (1.0, 1.0, 1.0)).steady
    assert not Timing((1.0,) * 3, (3.2, 18.4, 219.0)).steady


def test_values_printed():
    assert written([150.4, 150.6, 151.2], digits=0) == "151 [150, 151]"


def test_threads_are_set_for_a_while():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
