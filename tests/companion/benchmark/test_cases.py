"""The layers that are timed: each computed by every method, and which lists they stand in."""

import re

import pytest
import torch
from functional_cases import count_forwards
from tiny_project import ROOT

from cclib.functional.choice import Explanation
from companion.benchmark import cases
from companion.benchmark.cases import (
    CHOICE,
    FITTING,
    METHODS,
    MOST_PHASES,
    TABLE,
    WAYS,
    Case,
    explanation,
    gradual,
    phases_of,
    serves,
    timed_ways,
    workload,
)
from companion.workflow import profiles

SMALL = Case(2, 3, 4, 8, 6, 3)
SCALED = Case(1, 2, 2, 8, 6, 3, 0.7)
GROUPED = Case(1, 4, 4, 8, 6, 3, groups=2)


def test_a_case_says_what_it_is():
    assert str(SMALL) == "2 × 3 → 4, 8 → 6, 3 taps"
    assert str(SCALED) == "1 × 2 → 2, 8 → 6, 3 taps, scale 0.7000"
    assert str(GROUPED) == "1 × 4 → 4, 8 → 6, 3 taps, 2 groups"


@pytest.mark.parametrize("case", [TABLE[5], CHOICE[2], SCALED], ids=str)
def test_what_is_explained_is_what_runs(monkeypatch, case):
    """Also where kernels and torch's convolutions are not picked alike."""
    ran = count_forwards(monkeypatch)
    workload("auto", case).forward()
    assert ran == [explanation(case).implementation]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", [SMALL, SCALED, GROUPED], ids=str)
def test_every_method_gives_the_output_of_the_case(method, case):
    if not serves(method, case):
        with pytest.raises(ValueError, match=f"implementation '{method}' has no groups"):
            workload(method, case).forward()
        return
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
    outputs = [workload(method, SCALED).forward() for method in ("auto", *WAYS, "reference")]
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


def test_the_way_that_is_explained_is_the_one_that_runs():
    """``explain`` knows the layer by its filter alone."""
    for case in (SMALL, SCALED, GROUPED):
        picked = workload(explanation(case).implementation, case).forward()
        assert torch.equal(workload("auto", case).forward(), picked)


def test_what_serves():
    assert all(serves(method, GROUPED) for method in METHODS)
    assert [case for case in TABLE if not serves("reference", case)] == [TABLE[9]]
    assert all(serves(way, SMALL) for way in METHODS)


def test_phases_with_groups_are_timed_where_they_are_few_or_picked(monkeypatch):
    assert [phases_of(case) for case in (SMALL, TABLE[3], TABLE[5], TABLE[7])] == [9, 4, 36, 23**2]
    many = Case(16, 32, 32, 32, 31, 4, groups=32)
    assert phases_of(many) > MOST_PHASES
    explained = explanation(many)
    for picked, timed in {"phases": ("phases", "basis"), "basis": ("basis",)}.items():
        ordered = Explanation(tuple(sorted(explained.candidates, key=lambda c: c.implementation != picked)))
        monkeypatch.setattr(cases, "explanation", lambda case, ordered=ordered: ordered)
        assert timed_ways(many) == timed
    monkeypatch.undo()
    assert timed_ways(SMALL) == timed_ways(TABLE[7]) == WAYS
    assert timed_ways(GROUPED) == ("phases", "basis")


def test_the_choice_is_judged_on_other_layers_than_it_is_fitted_to():
    assert len(set(CHOICE)) == len(CHOICE) >= 40
    assert len(set(FITTING)) == len(FITTING) >= 48
    assert not set(CHOICE) & set(FITTING)
    given = profiles.parameters(ROOT, "11-efficiency", "default")
    others = {Case(*layer) for layer in given["other_layers"]}
    others |= set(gradual(given["batch_size"], given["gradual_sizes"], [1, *given["other_channels"]]))
    assert not others & set(FITTING)


@pytest.mark.parametrize("cases", [FITTING, CHOICE], ids=["fitting", "choice"])
def test_the_lists_have_layers_of_all_kinds(cases):
    assert {case.batch for case in cases} >= {1, 2, 4, 8, 16, 64}
    assert any(case.groups == case.in_channels > 1 for case in cases)
    assert any(1 < case.groups < case.in_channels for case in cases)
    assert any(case.scale and case.scale < 1 for case in cases)
    assert any(case.scale and case.scale > 1 for case in cases)
    assert min(case.in_channels for case in cases) < 8
    assert max(case.in_channels for case in cases) > 64
    assert any(case.new_size > case.size for case in cases)
    assert any(case.new_size < case.size for case in cases)
