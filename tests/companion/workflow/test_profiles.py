"""Profiles and parameters cells: what they may hold, and what is said of what they may not."""

import pytest
from tiny_project import PARAMETERS, Project

from companion.workflow import profiles

SECTION = {"values": [1, 2.5], "threshold": 1, "label": "x", "seeds": 2}


def test_a_whole_number_serves_as_a_float(project: Project) -> None:
    project.profile("default", {"nb-01-tiny": SECTION})
    assert profiles.parameters(project.root, "01-tiny", "default") == SECTION


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"treshold": 1.0}, "no parameter 'treshold'; did you mean 'threshold'"),
        ({"seeds": None}, "seeds must be int, got None"),
        ({"seeds": 2.0}, "seeds must be int, got 2.0"),
        ({"seeds": True}, "seeds must be int, got True"),
        ({"threshold": "1e-3"}, "threshold must be float, got '1e-3' .*write 1.0e-3"),
        ({"threshold": True}, "threshold must be float, got True"),
        ({"values": [1.0, "2"]}, r"values must be list\[float\], got"),
        ({"values": 1.0}, r"values must be list\[float\], got 1.0"),
        ({"label": 1}, "label must be str, got 1"),
    ],
)
def test_bad_parameters_are_named(change: dict, words: str, project: Project) -> None:
    project.profile("smoke", {"nb-01-tiny": change})
    with pytest.raises(ValueError, match=f"profiles/smoke.yaml, nb-01-tiny: .*{words}"):
        profiles.parameters(project.root, "01-tiny", "smoke")


def test_a_profile_holds_what_differs_from_the_default_one(project: Project) -> None:
    project.profile("default", {"nb-01-tiny": SECTION, "nb-02-small": SECTION})
    project.profile("smoke", {"nb-01-tiny": {"seeds": 1}})
    assert profiles.parameters(project.root, "01-tiny", "smoke") == SECTION | {"seeds": 1}
    assert profiles.parameters(project.root, "02-small", "smoke") == SECTION


def test_incomplete_profiles_are_named(project: Project) -> None:
    project.profile("default", {"nb-01-tiny": {"seeds": 2}})
    with pytest.raises(ValueError, match="missing values, threshold, label"):
        profiles.parameters(project.root, "01-tiny", "default")
    with pytest.raises(ValueError, match=r"profiles/default\.yaml has no section 'nb-02-small'"):
        profiles.parameters(project.root, "02-small", "default")
    project.profile("default", {"nb-01-tinny": SECTION})
    with pytest.raises(ValueError, match="'nb-01-tinny' is no notebook's section; did you mean 'nb-01-tiny'"):
        profiles.parameters(project.root, "01-tiny", "default")
    project.write("profiles/default.yaml", "a: [1")
    with pytest.raises(ValueError, match="is not YAML"):
        profiles.parameters(project.root, "01-tiny", "default")
    project.profile("default", ["01-tiny"])
    with pytest.raises(ValueError, match="must map each notebook"):
        profiles.parameters(project.root, "01-tiny", "default")


@pytest.mark.parametrize(
    "source", ["a = 1", "a: int", "a: int = f()", "a: Path = 1", "a: list = []", "a.b: int = 1", "print(1)"]
)
def test_parameters_cells_hold_typed_literals_only(source: str, project: Project) -> None:
    project.notebook("01-tiny", parameters=f"{PARAMETERS}\n{source}")
    with pytest.raises(ValueError, match="may hold `name: type = literal` only, not"):
        profiles.parameters(project.root, "01-tiny", "default")


def test_the_types_that_a_parameter_can_have(project: Project) -> None:
    cell = (
        "a: int = 1\nb: str | None = None\nc: list[list[int] | float] = [[1], 2.5]\nd: bool = True\ne: list[str] = []"
    )
    project.notebook("01-tiny", parameters=cell)
    declared = profiles.declared_parameters(project.root / "notebooks/01-tiny.ipynb")
    assert {name: parameter.type for name, parameter in declared.items()} == {
        "a": int, "b": str | None, "c": list[list[int] | float], "d": bool, "e": list[str]
    }  # fmt: skip
    project.notebook("01-tiny", parameters="a: int = 1.5")
    with pytest.raises(ValueError, match=r"parameters cell: a must be int, got 1\.5"):
        profiles.declared_parameters(project.root / "notebooks/01-tiny.ipynb")
