"""Figures: the same figure gives the same bytes, in another process too."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

from cclib import figures

SCRIPT = """
import matplotlib.pyplot as plt
import numpy as np
from cclib import figures
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


def test_methods_have_colours_of_their_own() -> None:
    assert len(set(figures.COLORS.values())) == len(figures.COLORS)
