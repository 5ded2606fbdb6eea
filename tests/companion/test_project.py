"""The project's files agree with each other: pins, stages, profiles, imports, committed results, README."""

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
import yaml
from conftest import ROOT
from dvc.utils.hydra import apply_overrides
from packaging.specifiers import SpecifierSet

from companion import fingerprint
from companion.evidence import claims
from companion.workflow import commands, notebooks

NAMES = notebooks.notebook_names(ROOT)

# Each may import those before it. Not in this row: modules that stand beside it.
LADDER = ("geometry", "frames", "filters", "functional", "frozen", "layers", "models", "tasks", "training", "runs")
BESIDE = {
    "outputs": set(),
    "fingerprint": set(),
    "machine": set(),
    "images": set(),
    "data": {"images", "outputs"},
    "claims": {"outputs"},
    "benchmark": {"filters", "functional", "layers"},
    "figures": {"claims", "outputs"},
    "report": {"claims", "outputs"},
    "overview": {"claims", "report"},
    "experiment": {"claims", "outputs", "runs"},
    "page": {"claims", "outputs", "overview", "report"},
    "playground": {*LADDER, "data", "figures", "outputs"},
    "runner": {"claims", "machine", "outputs"},
    "pipeline": {"claims", "fingerprint", "outputs", "overview", "page", "playground", "report", "runner"},
}
MODULES = sorted(
    path for path in (ROOT / "cclib").rglob("*.py") if path.parent != ROOT / "cclib" or path.stem != "__init__"
)


def allowed_imports(room: str) -> set[str]:
    if room in BESIDE:
        return BESIDE[room]
    below = set(LADDER[: LADDER.index(room)])
    return below | {"data", "images", "outputs", "fingerprint"} if room in ("tasks", "training", "runs") else below


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path) -> None:
    """A room of the house is cclib/room.py or the folder cclib/room/."""
    room = path.relative_to(ROOT / "cclib").parts[0].removesuffix(".py")
    assert room in (*LADDER, *BESIDE), f"say in {__file__} what cclib/{room} may import"
    found = {name.split(".")[1] for name in fingerprint.imported_names(path) if name.startswith("cclib.")}
    assert found - {room} <= allowed_imports(room)


def pins(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)


def test_every_requirement_is_pinned_alike_in_the_constraints() -> None:
    text = (ROOT / "requirements.txt").read_text()
    required = pins(text)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(required) == len(lines)
    assert lines[0] == "torch==2.13.0"
    constraints = (ROOT / "constraints.txt").read_text()
    assert "+" not in constraints
    locked = {name.lower(): version for name, version in pins(constraints)}
    assert dict(required) == {name: locked[name] for name, _ in required}


def test_conda_reads_the_same_pins() -> None:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert dependencies[:2] == ["python=3.11", "pip"]
    assert dependencies[2:] == [{"pip": ["-c constraints.txt", "-r requirements.txt", "-e ."]}]


def test_pins_serve_every_python_3_11() -> None:
    """Pip resolves for the Python at hand; a pin that needs a later patch release breaks others' set-up."""
    names = [name for name, _ in pins((ROOT / "constraints.txt").read_text())]
    needs = {name: metadata(name)["Requires-Python"] or "" for name in names}
    assert [name for name in names if "3.11.0" not in SpecifierSet(needs[name])] == []


def test_installed_versions_are_the_pinned_ones() -> None:
    required = pins((ROOT / "requirements.txt").read_text())
    assert {name: version(name).split("+")[0] for name, _ in required} == dict(required)


def test_the_tweak_in_the_readme_is_one(tmp_path: Path) -> None:
    """What README gives to `dvc exp run -S` names a parameter, and sets it."""
    path, change = re.search(r"dvc exp run .*-S '(.+?):(.+?)'", (ROOT / "README.md").read_text()).groups()
    section, name = change.split("=")[0].split(".")
    shutil.copy(ROOT / path, tmp_path / "profile.yaml")
    apply_overrides(tmp_path / "profile.yaml", [change])
    before, after = (yaml.safe_load(file.read_text()) for file in (ROOT / path, tmp_path / "profile.yaml"))
    assert str(after[section].pop(name)) == change.split("=")[1] != str(before[section].pop(name))
    assert after == before


def test_every_notebook_is_a_stage() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert stages["notebook"]["foreach"] == NAMES
    assert stages["claims"]["deps"] == [f"results/{name}/metrics.json" for name in NAMES]
    read = [f"results/{name}/{file}" for name in NAMES for file in ("notebook.ipynb", "machine.json")]
    assert stages["page"]["deps"][-len(read) :] == read


@pytest.mark.parametrize("profile", ["default", "smoke", "paper"])
def test_profiles_name_every_notebook(profile: str) -> None:
    assert sorted(notebooks.load_profile(ROOT, profile)) == [f"nb-{name}" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_parameters_cell_and_profiles_agree(name: str) -> None:
    declared = notebooks.declared_parameters(notebooks.source_path(ROOT, name))
    assert notebooks.parameters(ROOT, name, "default") == declared
    for profile in ("smoke", "paper"):
        assert set(notebooks.parameters(ROOT, name, profile)) == set(declared)


@pytest.mark.parametrize("profile", ["default", "smoke", "paper"])
@pytest.mark.parametrize(
    ("first", "second", "own"),
    [
        ("03-drop-in", "07-shift-equivariance", set()),
        ("05-dynamic-shapes", "06-scale-ensembles", {"schedules", "inputs"}),
    ],
)
def test_notebooks_that_share_networks_have_the_same_parameters(
    profile: str, first: str, second: str, own: set[str]
) -> None:
    of_first, of_second = (notebooks.parameters(ROOT, name, profile) for name in (first, second))
    shared = (of_first.keys() & of_second.keys()) - own - {"gain_points"}
    assert "channels" in shared
    assert {key: of_first[key] for key in shared} == {key: of_second[key] for key in shared}


@pytest.mark.parametrize("name", NAMES)
def test_source_notebooks_hold_no_outputs(name: str) -> None:
    cells = nbformat.read(notebooks.source_path(ROOT, name), as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.parametrize("name", NAMES)
def test_results_have_marked_outputs_to_compare(name: str) -> None:
    """nbval skips in silence what was not executed or printed nothing."""
    cells = nbformat.read(ROOT / "results" / name / "notebook.ipynb", as_version=4).cells
    marked = [cell for cell in cells if "# NBVAL_CHECK_OUTPUT" in cell.source]
    assert marked
    assert all(cell.execution_count and cell.outputs for cell in marked)


def test_results_are_fresh() -> None:
    commands.prepare_dvc()
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "up to date" in status.stdout, status.stdout + status.stderr


@pytest.mark.parametrize("name", NAMES)
def test_fingerprints_are_fresh(name: str) -> None:
    recorded = yaml.safe_load((ROOT / "results" / "code" / f"{name}.json").read_text())
    assert recorded == commands.dependencies(name), f"{name}: run dvc repro"


def test_claims_are_those_of_the_notebooks() -> None:
    assert claims.read(commands.CLAIMS) == commands.all_rows()


def test_readme_is_generated_from_the_results() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert commands.readme_text(text) == text, "run make readme"


def test_the_python_of_the_readme_runs_and_gives_what_it_says() -> None:
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    checked = 0
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL):
        for statement in ast.parse(block).body:
            code = ast.get_source_segment(block, statement)
            said = block.splitlines()[statement.end_lineno - 1].partition("  # ")[2]
            if code.endswith(".shape"):
                assert said.startswith(str(tuple(eval(code, names))))
                checked += 1
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Compare):
                assert said == str(bool(eval(code, names)))
                checked += 1
            else:
                exec(code, names)
    assert checked == 6
    layer, frozen, x = (names[name] for name in ("layer", "frozen", "x"))
    difference = (frozen(x) - layer(x).relu()).abs().max()
    assert difference <= 1e-6 * layer(x).abs().max()  # float32, summed in another order
