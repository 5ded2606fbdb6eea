"""The table, its musts, and the libraries of its products."""

import itertools
from pathlib import Path

import pytest
import torch
import yaml
from tiny_project import ROOT

from cclib import CCConv2d
from cclib.functional import kernels
from cclib.models.classifier import ClassifierConfig
from companion.benchmark import printed, timing
from companion.benchmark.cases import TABLE, Case, explanation
from companion.benchmark.libraries import LIBRARIES, libraries, shares, shares_of
from companion.benchmark.networks import NETWORKS, Networks, training
from companion.benchmark.printed import CALL, musts, table, thread_counts

SMALL = Case(2, 3, 4, 8, 6, 3)
SCALED = Case(1, 2, 2, 8, 6, 3, 0.7)
TINY = Networks(
    "tiny",
    ClassifierConfig("cc", (6, 4), (2,), resizing_kernel=3),
    ClassifierConfig("conv", (6, 3), (2,)),
    equal_work=True,
)


@pytest.fixture
def clock(monkeypatch):
    """Runs that all take one second, or by turns as many as ``lasts`` says."""
    lasts = [1.0]
    calls = itertools.count()

    def seconds(run, device):
        run()
        return lasts[next(calls) % len(lasts)]

    monkeypatch.setattr(timing, "seconds", seconds)
    monkeypatch.setattr(printed, "training", lambda config: training(config, 4))
    return lasts


@pytest.mark.usefixtures("clock")
def test_the_table_has_a_line_for_each_row():
    limits = {str(SMALL): 1.5, "tiny": 2.25}
    lines = "\n".join(table((SMALL, SCALED), (TINY,), rounds=2, counts=(1, 1), limits=limits)).splitlines()
    small, scaled, tiny, call = lines[-4:]
    assert lines[-5].startswith("case")
    for line, case in ((small, SMALL), (scaled, SCALED)):
        assert line.startswith(str(case))
        assert explanation(case).implementation in line.split()
        assert line.count("1.00 [1.00, 1.00]") == 3
        assert "oneDNN" in line
        assert "MKL" in line
    assert small[50:].split()[0] == "1.5"
    assert scaled[50:].split()[0] == "–"
    ratio = f"{1 / TINY.work:.2f}"
    assert tiny[:50].strip() == "tiny"
    assert tiny[50:].split()[:2] == ["2.25", ratio]
    assert call.startswith(CALL)
    assert "50000 [50000, 50000]" in call


def test_the_table_warns_of_times_that_vary(clock):
    clock[:] = [1.0, 2.0, 1.0, 20.0, 1.0, 200.0]
    lines = list(table((SMALL,), (), rounds=3, counts=(1,), limits={}))
    assert lines[-3].count("?") == 2
    assert "Warning: 3 of 3 times" in lines[-1]


def test_the_table_names_the_processor():
    first = next(table(rounds=2, limits={}))
    assert torch.backends.cpu.get_cpu_capability() in first


def test_the_musts_are_those_of_the_profile():
    given = yaml.safe_load((ROOT / "profiles" / "default.yaml").read_text(encoding="utf-8"))
    assert list(musts().values()) == given["nb-11-efficiency"]["musts"]
    assert list(musts())[: len(TABLE)] == [str(case) for case in TABLE]
    assert list(musts())[len(TABLE) :] == [*(pair.name for pair in NETWORKS), CALL]


def test_musts_that_are_not_one_for_each_row(tmp_path: Path):
    (tmp_path / "profile.yaml").write_text("nb-11-efficiency: {musts: [1.5]}")
    with pytest.raises(ValueError, match="musts of 11-efficiency must be 13 numbers, one for each row, got 1"):
        musts(tmp_path / "profile.yaml")


def test_threads_are_at_most_the_cores():
    assert thread_counts(1) == (1,)
    assert thread_counts(2) == thread_counts(16) == (1, 2)


def test_a_step_of_training_moves_the_network():
    torch.manual_seed(5)
    run = training(TINY.cc, batch=4, steps=2)
    (network,) = (cell.cell_contents for cell in run.__closure__ if isinstance(cell.cell_contents, torch.nn.Module))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    run()
    assert any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_networks_are_compared_as_they_are_or_at_equal_work():
    assert Networks("as they are", TINY.cc, TINY.conv).work == 1
    assert NETWORKS[0].work == 1


def test_shares_of_libraries():
    times = [
        ("aten::mkldnn_convolution", 3.0),
        ("mkldnn::_linear_pointwise", 1.0),
        ("aten::bmm", 2.0),
        ("cclib::continuous_convolution_backward", 6.0),
        ("aten::copy_", 4.0),
        ("aten::copy_", 4.0),
    ]
    assert shares_of(times) == {"CC layer": 30, "oneDNN": 20, "MKL": 10}
    assert shares_of([]) == dict.fromkeys(LIBRARIES, 0)


def test_a_convolution_goes_through_a_library():
    x, weight = torch.randn(8, 16, 32, 32), torch.randn(16, 16, 3, 3)
    shown = libraries(lambda: torch.nn.functional.conv2d(x, weight))
    assert shown.startswith("CC layer 0 %, oneDNN ")
    assert ", MKL " in shown
    assert shown != "CC layer 0 %, oneDNN 0 %, MKL 0 %"


@pytest.mark.skipif(kernels.library() is None, reason="no kernels for this processor")
def test_a_layer_goes_through_the_kernels():
    layer, x = CCConv2d(16, 16, 4, scale=0.75), torch.randn(8, 16, 32, 32)
    share = shares(lambda: layer(x).sum().backward())
    assert share["CC layer"] > 0
    assert share["oneDNN"] == 0
