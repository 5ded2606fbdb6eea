"""Every notebook runs at the smoke budget, and what the committed ones print is what they print again."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from tiny_project import ROOT, check_outputs, reparameterised

from companion.workflow import profiles

NAMES = profiles.notebook_names(ROOT)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all runs here, so that nbval finds the training runs of the smoke run before it."""
    return tmp_path_factory.mktemp("cache")


def committed() -> dict[Path, tuple[int, int]]:
    files = (path for path in (ROOT / "results").rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


@pytest.mark.parametrize("name", NAMES)
def test_notebook_runs_at_the_smoke_budget(name: str, tmp_path: Path, cache: Path) -> None:
    before = committed()
    command = [sys.executable, "-m", "companion", "run", name, "--profile", "smoke", "--output", str(tmp_path)]
    environment = {**os.environ, "CCLIB_CACHE": str(cache)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert committed() == before
    cells = nbformat.read(tmp_path / "notebook.ipynb", as_version=4).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not complaints


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs_come_out_again(name: str, tmp_path: Path, cache: Path) -> None:
    smoke = profiles.parameters(ROOT, name, "smoke")
    copy = reparameterised(ROOT / "results" / name / "notebook.ipynb", tmp_path / f"{name}.ipynb", smoke)
    done = check_outputs(copy, ROOT, CCLIB_CACHE=str(cache))
    assert done.returncode == 0, done.stdout + done.stderr
