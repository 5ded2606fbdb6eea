"""Curves show means with their bands; costs are counted; seconds are recorded under plain names."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from cclib.models.classifier import ClassifierConfig
from companion.evidence import claims, costs, curves
from companion.tasks.classification import Classification
from companion.train import runs
from companion.train.training import Training


def result(*losses: float, accuracy: float = 0.0) -> runs.Result:
    run = runs.Run(Classification(ClassifierConfig("cc")), Training(len(losses), 10, 0.01), 0, "cc")
    return runs.Result(run, {}, [{"train_loss": loss, "accuracy": accuracy, "seconds": 3.0} for loss in losses])


def test_how_far_the_loss_still_falls() -> None:
    results = {"a": [result(9, 2, 1), result(9, 4, 3)], "b": [result(5)]}
    assert curves.still_falling(results).iloc[:, 0].to_dict() == {"a": 37.5, "b": 0.0}


def test_a_learning_curve_has_a_band() -> None:
    _, axes = plt.subplots()
    curves.learning_curve(axes, [result(2, 1), result(4, 1)], "train_loss", color="red")
    (line,), (band,) = axes.get_lines(), axes.collections
    assert line.get_xydata().tolist() == [[1, 3], [2, 1]]
    edges = np.asarray(band.get_paths()[0].vertices)
    at_first = edges[edges[:, 0] == 1, 1]
    interval = claims.interval([2, 4])
    assert (at_first.min(), at_first.max()) == pytest.approx((interval.low, interval.high))
    plt.close()


def test_two_panels_show_loss_and_measure() -> None:
    _, panels = plt.subplots(1, 2)
    results = {"a": [result(2, 1, accuracy=7)] * 2, "b": [result(4, 3, accuracy=9)] * 2}
    curves.two_panels(panels, results, {"a": {"color": "red"}, "b": {"color": "blue", "ls": "--"}}, label="right (%)")
    lines = [[line.get_ydata().tolist() for line in panel.get_lines()] for panel in panels]
    assert lines == [[[2, 1], [4, 3]], [[7, 7], [9, 9]]]
    assert [line.get_color() for line in panels[1].get_lines()] == ["red", "blue"]
    assert [panel.get_ylabel() for panel in panels] == ["training loss", "right (%)"]
    assert panels[0].get_legend_handles_labels()[1] == ["a", "b"]
    plt.close()


def test_seconds_are_recorded_under_plain_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCLIB_OUTPUT", str(tmp_path))
    curves.record_seconds({"conv + blur, one size": [result(1)]})
    assert json.loads((tmp_path / "machine.json").read_text()) == {"seconds_per_epoch_conv_blur_one_size": 3.0}


def test_costs_are_counted_and_compared() -> None:
    networks = {"one": nn.Conv2d(1, 1, 3, padding=1, bias=False), "two": nn.Conv2d(1, 2, 3, padding=1, bias=False)}
    table = costs.table(networks, torch.zeros(4, 1, 5, 5), relative_to="one")
    assert table["parameters"].tolist() == [9, 18]
    assert table["multiply-adds per image"].tolist() == [225, 450]
    assert table["parameters to one"].tolist() == table["multiply-adds to one"].tolist() == [1, 2]


def test_costs_at_another_size() -> None:
    config = ClassifierConfig("resize", sizes=(8, 4), channels=(3,))
    head = 3 * config.classes
    assert costs.multiply_adds_at(config, 8) == 4 * 4 * 9 * 3 + head
    assert costs.multiply_adds_at(config, 6, (5,)) == 5 * 5 * 9 * 3 + head
