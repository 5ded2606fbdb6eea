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
    (line,) = axes.plot(epochs, [of_epoch.mean for of_epoch in per_epoch], **style)
    low, high = [of_epoch.low for of_epoch in per_epoch], [of_epoch.high for of_epoch in per_epoch]
    axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.15, lw=0)


def still_falling(results: Mapping[str, Sequence[Result]]) -> pd.DataFrame:
    """By how many per cent the training loss of each network fell in its last epoch, mean over its results."""

    def fall(result: Result) -> float:
        losses = [epoch["train_loss"] for epoch in result.history]
        return 100 * (1 - losses[-1] / losses[-2]) if len(losses) > 1 else 0.0

    falls = {name: statistics.mean(map(fall, of_network)) for name, of_network in results.items()}
    return pd.DataFrame({"fall of the training loss in the last epoch, %": falls}).rename_axis("network")


def record_seconds(results: Mapping[str, Sequence[Result]]) -> None:
    """Write the seconds that an epoch of each network took, the median over its results, to machine.json."""
    for name, of_network in results.items():
        seconds = statistics.median(result.seconds_per_epoch for result in of_network)
        files.record_machine(**{f"seconds_per_epoch_{re.sub(r'[^a-z0-9]+', '_', name.lower())}": round(seconds, 2)})
