"""The profile `paper` runs on a CPU, end to end, on a folder of colour images: a few steps, and narrower networks."""

from pathlib import Path
from typing import Any

import numpy as np
import papermill
import pytest
from PIL import Image
from tiny_project import ROOT, UNTRAINED, complaints

from companion.evidence import claims, families, tables
from companion.workflow import commands, profiles

NAMES = profiles.notebook_names(ROOT)
PICTURES = {"train": 4, "test": 2}  # of each class

# In place of the profile's values, where a notebook has such a parameter.
FEW: dict[str, Any] = {
    "dataset": "folder",
    "measured_size": 10,
    "statistics_size": 10,
    "inputs": [32, 16],
    "one_for_each": [16],
    "batch_size": 10,
    "looks": [2],
    "epochs": 1,
    "flexible_epochs": 1,
    "epoch_batches": 1,
    "blocks": 1,
    "learning_rates": [0.01, 0.02],
    "device": "cpu",
}
FEW_OF: dict[str, dict[str, Any]] = {
    "03-drop-in": {"other_filters": ["spline"]},
    "07-shift-equivariance": {"tested": 10, "compared": 4, "images_a_move": 5, "moves": 1, "sliding": 1}
    | {"sliding_steps": 1, "cut_offs": [0.25]},
    "08-any-scale-kernel": {"unseen": [[1.57, 1.57], [1.57, 2.87]]},
    "09-super-resolution": {"whole": [2], "seen": [], "unseen": [[3.7, 3.7], [2.3, 3.7]], "beyond": [[5.0, 5.0]]},
}
# Channels, of which a sixteenth is left: the full ones take minutes on a CPU.
WIDTHS = (
    "channels", "cc_gradual", "cc_abrupt", "conv_abrupt", "conv_blur", "conv_resize", "conv_same_time",
    "channels_of_resize", "blur_channels", "encoder_channels", "conv_channels", "channels_at_conv_sizes",
)  # fmt: skip


def narrower(channels: Any) -> Any:
    """A number of channels, or lists of such, a sixteenth as many."""
    return [narrower(part) for part in channels] if isinstance(channels, list) else max(1, channels // 16)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small colour images of noise by split and class."""
    folder = tmp_path_factory.mktemp("pictures")
    source = np.random.default_rng(0)
    for split, count in PICTURES.items():
        for label in range(10):
            (folder / split / f"class-{label}").mkdir(parents=True)
            for number in range(count):
                pixels = source.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / f"class-{label}" / f"{number}.jpg")
    return folder


# What the profile may change: data, networks, effort, and what a network of another size is asked for.
FREE = {
    "dataset", "train_size", "base", "sizes", "channels", "residual", "augment", "epochs", "flexible_epochs",
    "batch_size", "epoch_batches", "learning_rates", "device", "precision", "measured_size", "statistics_size",
    "gradual_sizes", "abrupt_sizes", "cc_gradual", "cc_abrupt", "conv_abrupt", "conv_blur", "conv_resize",
    "conv_same_time", "input_sides", "schedules", "inputs", "one_for_each", "blur_channels", "blocks", "patch",
    "test_size", "encoder_channels", "latent", "conv_sizes", "conv_channels", "odd_sizes", "channels_at_conv_sizes",
    "channels_of_resize", "trained_sides", "never", "unseen", "larger", "shown", "search_seeds",
}  # fmt: skip


@pytest.mark.parametrize("profile", commands.LARGER)
@pytest.mark.parametrize("name", NAMES)
def test_thresholds_and_seeds_are_those_of_the_default_profile(name: str, profile: str) -> None:
    larger, default = (profiles.parameters(ROOT, name, which) for which in (profile, "default"))
    assert {key: larger[key] for key in larger.keys() - FREE} == {key: default[key] for key in default.keys() - FREE}
    on = {"long": "cpu", "paper": "cuda"}[profile]
    assert larger.get("device", on) == on


def test_its_results_stand_beside_the_default_ones() -> None:
    assert commands.target_folder("03-drop-in", "paper", "default") == ROOT / "results" / "paper" / "03-drop-in"
    assert commands.target_folder("03-drop-in", "default", "default") == ROOT / "results" / "03-drop-in"
    assert commands.target_folder("03-drop-in", "smoke", "default") == ROOT / "scratch" / "smoke" / "03-drop-in"


def test_the_claims_table_marks_what_nobody_has_run() -> None:
    one, other, missing = families.read(commands.CLAIMS)[:3]
    paper = {"paper": {one["notebook"]: [one | {"value": 0.125, "low": 0.125, "high": 0.125}]}}
    lines = tables.measurements_table(
        [one, other | {"notebook": "99-none"}, missing | {"notebook": one["notebook"]}], paper
    )
    last = [line.rsplit(" | ", 1)[1].rstrip(" |") for line in lines.splitlines()[2:]]
    assert last == [f"0.125 {one['unit']}".rstrip(), "not run", "–"]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNTRAINED])
def test_notebook_runs_with_the_paper_profile(
    name: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = profiles.parameters(ROOT, name, "paper")
    given |= {key: value for key, value in FEW.items() if key in given}
    given |= FEW_OF.get(name, {})
    given |= {key: narrower(given[key]) for key in WIDTHS if key in given}
    if "schedules" in given:
        given["schedules"] = [given["schedules"][0], given["schedules"][-1]]  # maps smaller and larger than nominal
    if "folder" in given:
        given["folder"] = str(pictures)
    monkeypatch.setenv("CCLIB_OUTPUT", str(tmp_path))
    monkeypatch.setenv("CCLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # in the kernel itself; test_notebooks has the same cells in more
    papermill.execute_notebook(
        profiles.source_path(ROOT, name), tmp_path / "notebook.ipynb", given, cwd=ROOT, progress_bar=False
    )
    assert {row["notebook"] for row in claims.read(tmp_path / "metrics.json")} == {name}
    assert any((tmp_path / "figures").iterdir())
    assert complaints(tmp_path / "notebook.ipynb") == []
