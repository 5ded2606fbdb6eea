"""A tiny project with two notebooks, laid out like this one; and how notebooks are checked."""

import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
import papermill
import yaml

from companion import instructions
from companion.workflow.cleaning import clean

ROOT = Path(__file__).resolve().parents[2]
UNTRAINED = ("01-cc-layer", "02-misalignment", "11-efficiency")  # the same in every profile, but for their effort
README = "# Tiny\n<!-- findings:begin --><!-- findings:end -->\nThe end.\n"
PARAMETERS = """
values: list[float] = [1.0, 2.0, 3.0]
threshold: float = 0.5
label: str = "a"
seeds: int = 2
""".strip()
EXPERIMENT = """
import sys
from companion import files
from cclib.tiny import double
from companion.evidence import claims
print("\\r50 %\\r100 %", file=sys.stderr)
figures = files.folder() / "figures"
figures.mkdir()
(figures / "tiny.svg").write_text(f"<svg>{label}</svg>");
""".strip()
MARKED = '# NBVAL_CHECK_OUTPUT\nprint("doubled:", double(2))'
JUDGEMENT = """
row = claims.row(claim="C1", notebook="{name}", statement="Tiny things double.", quantity="double of tiny",
                 unit="px", interval=claims.interval([double(value) for value in values]),
                 better="higher", baseline="single: 2 px", threshold=threshold, reason="it should")
claims.write([row])
files.record_machine(seconds_per_epoch=0.25)
""".strip()


def write_notebook(path: Path, *cells: str, parameters: str = PARAMETERS) -> None:
    """A source notebook: a heading, the parameters cell, then `cells`."""
    tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    code = [tagged, *(nbformat.v4.new_code_cell(source) for source in cells)]
    for number, cell in enumerate(code):
        cell.id = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": kernel})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


def reparameterised(executed: Path, copy: Path, parameters: dict) -> Path:
    """A copy of an executed notebook, outputs included, that will run with other parameters."""
    # As nodes, since papermill reads braces in a path as parameters of it.
    notebook = nbformat.read(executed, as_version=4)
    prepared = papermill.execute_notebook(notebook, None, parameters, prepare_only=True)
    nbformat.write(prepared, copy)
    return copy


def check_outputs(notebook: Path, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a notebook under nbval: every cell must run, and marked cells must print what they hold."""
    given = {"PYTHONPATH": str(root), "CCLIB_OUTPUT": str(notebook.parent / "output")}
    environment = {**os.environ, **given, **environment}
    instructions.settle(notebook.stem, environment)
    options = ["-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", "-c", os.devnull]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", notebook.parent, notebook],
        cwd=notebook.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def complaints(executed: Path) -> list[str]:
    """What the cells of an executed notebook wrote to stderr, but for progress bars."""
    cells = clean(nbformat.read(executed, as_version=4)).cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.text for output in outputs if output.get("name") == "stderr"]


class Project:
    """A tiny project in a folder of its own, whose commands run as a user's would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        ignored = shutil.ignore_patterns("__pycache__", "tmp", "cache", "*.local", ".*.partial")
        for folder in ("companion", ".dvc"):
            shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
        self.write("cclib/__init__.py", "")
        self.write("cclib/tiny.py", "def double(value):\n    return 2 * value\n")
        for name in ("constraints.txt", "params.yaml", ".dvcignore", ".gitattributes", ".gitignore"):
            shutil.copy(ROOT / name, root)
        self.write("data/SHA256SUMS", "")
        self.write("README.md", README)
        self.names = ["01-tiny", "02-small"]
        for name in self.names:
            self.notebook(name)
        section = {"values": [1.0, 2.0, 3.0], "threshold": 0.5, "label": "b", "seeds": 3}
        self.profile("default", {f"nb-{name}": deepcopy(section) for name in self.names})
        self.profile("smoke", {f"nb-{name}": {"seeds": 2} for name in self.names})
        stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
        stages["stages"]["notebook"]["foreach"] = self.names
        del stages["stages"]["page"], stages["stages"]["playground"]  # of the project's own results
        stages["stages"]["claims"]["deps"] = [f"results/{name}/metrics.json" for name in self.names]
        self.write("dvc.yaml", yaml.safe_dump(stages))

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def notebook(self, name: str, *extra: str, parameters: str = PARAMETERS) -> None:
        cells = (EXPERIMENT, MARKED, *extra, JUDGEMENT.format(name=name))
        write_notebook(self.root / "notebooks" / f"{name}.ipynb", *cells, parameters=parameters)

    def profile(self, profile: str, content: dict) -> None:
        self.write(f"profiles/{profile}.yaml", yaml.safe_dump(content))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", *arguments]

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m` with these arguments, in the project."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env=self.environment(),
            capture_output=True,
            text=True,
        )

    def contents(self, folder: str = "results") -> dict[str, bytes]:
        """All files below a folder and their bytes, but for those that hold times."""
        paths = (path for path in (self.root / folder).rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in paths
            if path.name not in ("machine.json", "CLAIMS.md")
        }
