"""How memory is taken, and how much the layer needs."""

from dataclasses import replace

import pytest
import torch

from companion.benchmark.cases import TABLE, Case, explanation, workload
from companion.benchmark.memory import extra_memory, peak_bytes


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


CASES = [*(TABLE[n] for n in (1, 2, 7)), Case(16, 96, 96, 32, 23, 4, TABLE[7].scale)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_layer_needs_little_memory(case):
    cc, reference = workload("auto", case), workload("reference", replace(case, batch=2))
    training = extra_memory(cc, cc.train)
    assert training <= 3
    assert extra_memory(cc, cc.forward) <= 1.5
    assert extra_memory(reference, reference.train) > 20 * training


def test_the_memory_cases_cover_the_fast_paths():
    assert [explanation(case).implementation for case in CASES] == ["phases", "phases", "phases", "basis"]
