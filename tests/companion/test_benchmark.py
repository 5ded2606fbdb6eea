"""The benchmark: what is timed against what, how time and memory are taken, and how much memory the layer needs."""

import itertools
import re
from dataclasses import replace

import pytest
import torch

from companion import benchmark
from companion.benchmark import (
    METHODS,
    TABLE,
    Case,
    Timing,
    explanation,
    extra_memory,
    paired,
    peak_bytes,
    table,
    workload,
)

SMALL = Case(2, 3, 4, 8, 6, 3)
SCALED = Case(1, 2, 2, 8, 6, 3, 0.7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", [SMALL, SCALED], ids=str)
def test_every_method_gives_the_output_of_the_case(method, case):
    work = workload(method, case)
    shape = case.batch, case.out_channels, case.new_size, case.new_size
    y = work.forward()
    assert y.shape == work.gradient.shape == shape
    assert not y.requires_grad
    work.train()
    assert all(tensor.grad.shape == tensor.shape for tensor in (work.x, *work.parameters))


def test_training_starts_from_no_gradient():
    work = workload("auto", SMALL)
    work.train()
    before = [tensor.grad.clone() for tensor in (work.x, *work.parameters)]
    work.train()
    assert all(
        t.grad is not None and torch.equal(t.grad, b) for t, b in zip((work.x, *work.parameters), before, strict=True)
    )


def test_the_layers_of_a_case_agree():
    outputs = [workload(method, SCALED).forward() for method in ("auto", "phases", "basis", "reference")]
    for y in outputs:
        torch.testing.assert_close(y, outputs[-1])


def test_the_convolution_has_as_many_taps_and_outputs():
    work = workload("conv", SMALL)
    assert work.x.shape == (2, 3, 8, 8)
    assert [tuple(parameter.shape) for parameter in work.parameters] == [(4, 3, 3, 3), (4,)]


def test_an_unknown_method():
    message = f"method must be one of {', '.join(METHODS)}, got 'fast'"
    with pytest.raises(ValueError, match=re.escape(message)):
        workload("fast", SMALL)


def test_other_types():
    work = workload("auto", SMALL, dtype=torch.float64)
    assert work.forward().dtype == work.x.dtype == work.gradient.dtype == torch.float64


def test_paired_takes_turns(monkeypatch):
    ran: list[str] = []
    clock = iter(range(1000))
    lasts = {"a": 2, "b": 6}

    def seconds(run, device):
        run()
        return lasts[ran[-1]] + next(clock) // 2 % 3

    monkeypatch.setattr(benchmark, "seconds", seconds)
    timings = paired((lambda: ran.append("a"), lambda: ran.append("b")), rounds=3)
    assert ran == ["a", "b"] * 5
    assert [timing.seconds for timing in timings] == [(4, 2, 3), (8, 6, 7)]
    assert timings[0].ratios == (1, 1, 1)
    assert timings[1].ratios == (2, 3, 7 / 3)
    assert timings[1].ratio == 7 / 3


def test_seconds_are_those_of_the_run(monkeypatch):
    times = iter([1.0, 3.5])
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(times))
    assert benchmark.seconds(lambda: None) == 2.5


def test_a_timing_printed():
    timing = Timing((1.0,) * 5, (1.0, 1.5, 2.0, 2.5, 3.0))
    assert timing.ratio == 2
    assert timing.quartiles == (1.5, 2.5)
    assert str(timing) == "2.00 [1.50, 2.50] ?"
    assert str(Timing((1.0,) * 3, (1.9, 2.0, 2.1))) == "2.00 [1.95, 2.05]"


def test_quartiles_far_apart_are_not_steady():
    assert Timing((1.0,) * 3, (1.0, 1.0, 1.0)).steady
    assert not Timing((1.0,) * 3, (3.2, 18.4, 219.0)).steady


@pytest.mark.parametrize("held", [1_000, 10_000_000])
def test_peak_bytes_of_a_known_tensor(held):
    kept = torch.zeros(5_000_000)

    def run():
        first = torch.zeros(held, dtype=torch.uint8)
        del first
        return (torch.zeros(held, dtype=torch.uint8), torch.zeros(held // 2, dtype=torch.uint8), kept.view(-1))[2]

    assert 1.5 * held <= peak_bytes(run) <= 1.5 * held + 5_000


def test_the_profiler_writes_nothing(capfd):
    peak_bytes(lambda: torch.zeros(10))
    assert capfd.readouterr() == ("", "")


def test_extra_memory_is_beyond_input_and_output():
    work = workload("conv", Case(2, 4, 4, 64, 64, 1))
    images = work.x.nbytes + work.gradient.nbytes

    def run():
        return torch.zeros_like(work.gradient), torch.zeros(3 * images, dtype=torch.uint8)

    assert extra_memory(work, run) == pytest.approx(3, abs=0.01)


@pytest.fixture
def clock(monkeypatch):
    """Runs that all take one second, or by turns as many as ``lasts`` says."""
    lasts = [1.0]
    calls = itertools.count()

    def seconds(run, device):
        run()
        return lasts[next(calls) % len(lasts)]

    monkeypatch.setattr(benchmark, "seconds", seconds)
    return lasts


@pytest.mark.usefixtures("clock")
def test_the_table_has_a_line_for_each_case():
    lines = "\n".join(table((SMALL, SCALED), rounds=2)).splitlines()
    assert lines[-2].startswith(str(SMALL))
    assert lines[-1].startswith(str(SCALED))
    assert lines[-3].startswith("case")
    for line, case in zip(lines[-2:], (SMALL, SCALED), strict=True):
        assert line[45:].split()[0] == explanation(case).implementation


def test_the_table_warns_of_times_that_vary(clock):
    clock[:] = [1.0, 2.0, 1.0, 20.0, 1.0, 200.0]
    *_, line, warning = table((SMALL,), rounds=3)
    assert line.count("?") == 2
    assert "Warning: 2 of 2 times" in warning


@pytest.mark.parametrize("case", [TABLE[n] for n in (1, 2, 7)], ids=str)
def test_the_layer_needs_little_memory(case):
    cc, reference = workload("auto", case), workload("reference", replace(case, batch=2))
    training = extra_memory(cc, cc.train)
    assert training <= 3
    assert extra_memory(cc, cc.forward) <= 1.5
    assert extra_memory(reference, reference.train) > 20 * training


def test_the_memory_cases_cover_the_fast_paths():
    assert [explanation(TABLE[n]).implementation for n in (1, 2, 7)] == ["phases", "phases", "basis"]
