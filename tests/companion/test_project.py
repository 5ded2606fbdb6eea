"""The project's files agree with each other: pins, stages, profiles, committed results."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata, version
from importlib.util import find_spec

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from tiny_project import ROOT

from companion.evidence import families, tables
from companion.workflow import commands, profiles

NAMES = profiles.notebook_names(ROOT)
PROFILES = ["default", "smoke", "long", "paper", "other-seeds"]


def pins() -> dict[str, str]:
    """The versions in constraints.txt, which has nothing else, by normalised name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def direct() -> list[Requirement]:
    """What pyproject.toml asks for: the layer's needs and the extras that make's environment has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [
        Requirement(line) for line in (*project["dependencies"], *extras["lab"], *extras["cluster"], *extras["test"])
    ]


def test_pins_stand_in_the_constraints_alone() -> None:
    assert [str(one) for one in direct() if any(limit.operator in ("==", "===") for limit in one.specifier)] == []
    assert {canonicalize_name(one.name) for one in direct()} <= set(pins())
    assert all(pins()[canonicalize_name(one.name)] in one.specifier for one in direct())


def test_every_pin_but_that_of_torch_has_hashes() -> None:
    lines = (ROOT / "hashes.txt").read_text().replace("\\\n", " ").splitlines()
    locked = dict(line.split(maxsplit=1) for line in lines if not line.startswith("#"))
    assert {canonicalize_name(pin) for pin in locked} == {
        canonicalize_name(f"{name}=={version}") for name, version in pins().items() if name != "torch"
    }
    assert all(re.fullmatch(r"(--hash=sha256:[0-9a-f]{64}\s*)+", hashes) for hashes in locked.values())


def test_installed_versions_are_the_pinned_ones() -> None:
    names = [canonicalize_name(one.name) for one in direct()]
    assert {name: version(name).split("+")[0] for name in names} == {name: pins()[name] for name in names}


def test_conda_reads_the_same_files() -> None:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert dependencies == ["python=3.11", "pip", {"pip": ["-c constraints.txt", "-e .[lab,cluster,test]"]}]


def test_pins_serve_every_python_3_11() -> None:
    """Pip resolves for the Python at hand; a pin that needs a later patch release breaks others' set-up."""
    needs = {name: ",".join(metadata(name).get_all("Requires-Python") or []) for name in pins()}
    assert [name for name in needs if "3.11.0" not in SpecifierSet(needs[name])] == []


def test_every_notebook_is_a_stage() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert stages["notebook"]["foreach"] == NAMES
    assert stages["claims"]["deps"] == [f"results/{name}/metrics.json" for name in NAMES]
    read = [f"results/{name}/{file}" for name in NAMES for file in ("notebook.ipynb", "machine.json")]
    assert stages["page"]["deps"][-len(read) :] == read


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_name_every_notebook(profile: str) -> None:
    """DVC, too, wants a section for each stage, be it empty."""
    assert sorted(profiles.load_profile(ROOT, profile)) == [f"nb-{name}" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_cell_holds_the_default_profile(name: str) -> None:
    declared = profiles.declared_parameters(profiles.source_path(ROOT, name))
    values = {key: parameter.value for key, parameter in declared.items()}
    assert profiles.parameters(ROOT, name, "default") == values


@pytest.mark.parametrize("profile", PROFILES[1:])
@pytest.mark.parametrize("name", NAMES)
def test_other_profiles_are_differences(name: str, profile: str) -> None:
    default, own = (profiles.load_profile(ROOT, which)[f"nb-{name}"] for which in ("default", profile))
    assert [key for key, value in own.items() if value == default[key]] == []
    assert set(profiles.parameters(ROOT, name, profile)) == set(default)


@pytest.mark.parametrize("profile", [profile for profile in PROFILES if profile != "long"])  # which has not all
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
    of_first, of_second = (profiles.parameters(ROOT, name, profile) for name in (first, second))
    shared = (of_first.keys() & of_second.keys()) - own - {"gain_points", "looks"}
    assert "channels" in shared
    assert {key: of_first[key] for key in shared} == {key: of_second[key] for key in shared}
    assert of_first["looks"][0] <= of_second["looks"][0]  # so that all networks of the first are shared


@pytest.mark.parametrize("name", NAMES)
def test_other_seeds_are_others(name: str) -> None:
    own, other = (profiles.parameters(ROOT, name, profile) for profile in ("default", "other-seeds"))
    looks = own.get("looks", [0])
    seeds = max(
        looks[-1], looks[0] * len(own.get("schedules", []))
    )  # an ensemble of 06 has a network for each schedule
    assert {key for key in own if own[key] != other[key]} == {"first_seed", "search_seed"} & own.keys()
    assert not set(range(seeds)) & set(range(other.get("first_seed", seeds), other.get("first_seed", seeds) + seeds))


@pytest.mark.parametrize("name", NAMES)
def test_source_notebooks_hold_no_outputs(name: str) -> None:
    cells = nbformat.read(profiles.source_path(ROOT, name), as_version=4).cells
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


def test_where_runs_are_computed_reruns_no_notebook() -> None:
    code = commands.dependencies("03-drop-in")["code"]
    assert "companion.train.runs" in code
    apart = {"companion.train.cluster", "companion.train.workers"}
    assert apart.isdisjoint(code)
    assert all(map(find_spec, apart))


def test_claims_are_those_of_the_notebooks() -> None:
    assert families.read(commands.CLAIMS) == families.judged(commands.all_rows())


@pytest.mark.skipif(not commands.REPLICATION.exists(), reason="nobody has run other seeds yet")
def test_other_seeds_answer_the_same_questions_with_what_was_measured() -> None:
    own, other = (families.read(path) for path in (commands.CLAIMS, commands.REPLICATION))
    known = set(map(tables.identity, other))
    new = [row for row in own if tables.identity(row) not in known]
    # Measurements alone, and only while readers are told that those rows are of earlier code or parameters.
    assert not new or (commands.changed_since_replicated() and not any(row["primary"] for row in new))
    assert list(map(tables.identity, other)) == [tables.identity(row) for row in own if row not in new]
    assert other == commands.replication()
