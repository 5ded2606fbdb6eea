"""README.md and its neighbours: their Python runs, their links lead somewhere, their numbers are the results'."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from dvc.utils.hydra import apply_overrides
from tiny_project import ROOT

from companion.workflow import commands

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "docs" / "layer.md",
    ROOT / "results" / "CLAIMS.md",
]


def test_what_readers_see_is_generated_from_the_results() -> None:
    for path, text in commands.generated().items():
        assert path.read_text(encoding="utf-8") == text, "run make readme"


@pytest.mark.parametrize(("name", "statements"), [("README.md", 2), ("docs/layer.md", 13)])
def test_python_runs_and_gives_what_the_comment_beside_it_says(name: str, statements: int) -> None:
    """Checked are expressions with a comment: a shape, a comparison or a value."""
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    checked = 0
    for block in re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL):
        for statement in ast.parse(block).body:
            code = ast.get_source_segment(block, statement)
            comment = block.splitlines()[(statement.end_lineno or 0) - 1].partition("  # ")[2]
            assert code is not None
            if isinstance(statement, ast.Expr) and comment and not code.startswith("torch."):
                value = eval(code, names)
                if isinstance(statement.value, ast.Compare):
                    value = bool(value)
                assert comment.split(": ")[0] == str(tuple(value) if code.endswith(".shape") else value)
                checked += 1
            else:
                exec(code, names)
    assert checked == statements


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_of_the_project(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    for link in links:
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_the_readme_is_short() -> None:
    """A screen and a half, and one finding for each claim."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


def test_the_example_of_one_changed_parameter_is_one(tmp_path: Path) -> None:
    """What CONTRIBUTING gives to `dvc exp run -S` names a parameter, and sets it."""
    found = re.search(r"dvc exp run .*-S '(.+?):(.+?)'", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert found is not None
    path, change = found.groups()
    section, name = change.split("=")[0].split(".")
    shutil.copy(ROOT / path, tmp_path / "profile.yaml")
    apply_overrides(tmp_path / "profile.yaml", [change])
    before, after = (yaml.safe_load(file.read_text()) for file in (ROOT / path, tmp_path / "profile.yaml"))
    assert str(after[section].pop(name)) == change.split("=")[1] != str(before[section].pop(name))
    assert after == before
