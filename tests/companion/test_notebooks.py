"""What the committed notebooks print is what they print again, at the smoke budget; and the runner runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_project import ROOT, UNTRAINED, check_outputs, complaints, reparameterised

from companion.workflow import profiles

NAMES = profiles.notebook_names(ROOT)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, since some notebooks share networks."""
    return tmp_path_factory.mktemp("cache")


def committed() -> dict[Path, tuple[int, int]]:
    files = (path for path in (ROOT / "results").rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


@pytest.mark.parametrize("name", NAMES)
def test_committed_notebooks_hold_no_complaints(name: str) -> None:
    assert complaints(ROOT / "results" / name / "notebook.ipynb") == []


# Those that train are run by ``test_paper``.
@pytest.mark.parametrize("name", UNTRAINED)
def test_notebook_runs_at_the_smoke_budget(name: str, tmp_path: Path) -> None:
    before = committed()
    command = [sys.executable, "-m", "companion", "run", name, "--profile", "smoke", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert committed() == before
    assert complaints(tmp_path / "notebook.ipynb") == []


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs_come_out_again(name: str, tmp_path: Path, cache: Path) -> None:
    smoke = profiles.parameters(ROOT, name, "smoke")
    copy = reparameterised(ROOT / "results" / name / "notebook.ipynb", tmp_path / f"{name}.ipynb", smoke)
    done = check_outputs(copy, ROOT, CCLIB_CACHE=str(cache))
    assert done.returncode == 0, done.stdout + done.stderr
