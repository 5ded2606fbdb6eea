"""How training went: curves over the epochs, how far the loss still fell, and the seconds of an epoch."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from companion import files
from companion.evidence import claims
from companion.train.runs import Result


def learning_curve(axes: plt.Axes, results: Sequence[Result], measure: str, **style: Any) -> None:
    """A measure after each epoch: the mean over ``results``, with its 95 % interval as a band."""
    histories = [[epoch[measure] for epoch in result.history] for result in results]
    per_epoch = [claims.interval(values) for values in zip(*histories, strict=True)]
    epochs = range(1, len(per_epoch) + 1)
    (line,) = axes.plot(epochs, [interval.mean for interval in per_epoch], **style)
    low, high = [interval.low for interval in per_epoch], [interval.high for interval in per_epoch]
    axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.15, lw=0)


def two_panels(
    panels: Sequence[plt.Axes],
    results: Mapping[str, Sequence[Result]],
    styles: Mapping[str, Mapping[str, Any]],
    measure: str = "accuracy",
    label: str = "validation accuracy (%)",
) -> None:
    """The training loss in the first panel and a measure of the validation split in the second.

    Args:
        results: of each network, one for each seed.
        styles: of the curves of each network, as ``Axes.plot`` takes them.
        measure, label: what the second panel shows, and the words at its axis.
    """
    for panel, shown in zip(panels, ("train_loss", measure), strict=True):
        for name, per_seed in results.items():
            learning_curve(panel, per_seed, shown, label=name, **styles[name])
        panel.xaxis.set_major_locator(plt.MaxNLocator(integer=True, min_n_ticks=1))
    panels[0].set(xlabel="epoch", ylabel="training loss")
    panels[1].set(xlabel="epoch", ylabel=label)


def still_falling(results: Mapping[str, Sequence[Result]]) -> pd.DataFrame:
    """By how many per cent the training loss of each network fell in its last epoch, mean over its results."""

    def fall(result: Result) -> float:
        losses = [epoch["train_loss"] for epoch in result.history]
        return 100 * (1 - losses[-1] / losses[-2]) if len(losses) > 1 else 0.0

    falls = {name: statistics.mean(map(fall, per_seed)) for name, per_seed in results.items()}
    return pd.DataFrame({"fall of the training loss in the last epoch, %": falls}).rename_axis("network")


def record_seconds(results: Mapping[str, Sequence[Result]]) -> None:
    """Write the seconds that an epoch of each network took, the median over its results, to machine.json.

    Those that a record gave are left out, since it holds no times.
    """
    for name, per_seed in results.items():
        known = [result.seconds_per_epoch for result in per_seed if result.seconds_per_epoch is not None]
        if known:
            seconds = statistics.median(known)
            files.record_machine(**{f"seconds_per_epoch_{re.sub(r'[^a-z0-9]+', '_', name.lower())}": round(seconds, 2)})
