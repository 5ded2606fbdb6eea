"""Figures: the same figure gives the same bytes, in another process too."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from tiny_project import ROOT

from companion.evidence import figures
from companion.evidence.claims import Interval

SCRIPT = """
import matplotlib.pyplot as plt
import numpy as np
from companion.evidence import figures
figures.use_style()
figure, axes = plt.subplots(1, 2)
axes[0].plot([1, 2, 4], label="a line", color=figures.COLORS["cc"])
axes[0].fill_between([0, 1, 2], [0, 1, 2], [1, 2, 4], alpha=0.2)
axes[0].legend()
figures.show_image(axes[1], np.eye(4), title="an image")
figures.save(figure, "figure")
"""


def drawn(folder: Path) -> dict[str, str]:
    environment = {**os.environ, "CCLIB_OUTPUT": str(folder), "MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], cwd=ROOT, env=environment, check=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "figures").iterdir()}


def test_figures_are_stable_byte_for_byte(tmp_path: Path) -> None:
    first = drawn(tmp_path / "first")
    assert set(first) == {"figure.svg", "figure.png"}
    assert drawn(tmp_path / "second") == first


@pytest.mark.parametrize("across", [False, True])
def test_bars_end_where_the_intervals_do(across: bool) -> None:
    axes = Figure().subplots()
    figures.intervals(axes, [5.0, 6.0], [Interval(2.0, 1.0, 4.0, 3), Interval(3.0, 2.5, 3.5, 3)], across=across)
    (bars,) = axes.collections
    assert isinstance(bars, LineCollection)
    ends = [segment[:, 0 if across else 1].tolist() for segment in bars.get_segments()]
    assert ends == [[1.0, 4.0], [2.5, 3.5]]
    places = [segment[0, 1 if across else 0] for segment in bars.get_segments()]
    assert places == [5.0, 6.0]


def test_other_methods_get_other_colours() -> None:
    spare = figures.spare_colors(["a", "b", "c"])
    assert list(spare) == ["a", "b", "c"]
    assert len(set(spare.values()) | set(figures.COLORS.values())) == 3 + len(figures.COLORS)


def test_methods_have_colours_of_their_own() -> None:
    assert len(set(figures.COLORS.values())) == len(figures.COLORS)
