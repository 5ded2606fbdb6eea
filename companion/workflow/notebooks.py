"""Runs one notebook with the parameters of a profile; its results appear whole, or the earlier ones stay.

It knows nothing of DVC, of the order of notebooks or of what they compute. Processes are ``machine``'s.
"""

import ast
import difflib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from papermill.exceptions import PapermillExecutionError

from companion import files
from companion.evidence import claims
from companion.workflow import machine

# In this order, so that the notebook, which readers open, never stands beside figures older than itself.
RESULTS = ("figures", "metrics.json", "machine.json", "notebook.ipynb")
_KERNEL_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    # The kernel of this environment, not one of the same name that the user installed elsewhere.
    "JUPYTER_PREFER_ENV_PATH": "1",
}


class NotebookFailed(Exception):
    """A cell raised: the message holds its source and traceback."""


def notebook_names(root: Path) -> list[str]:
    """The experiments of the project, as NN-name, in order; 00 is no experiment."""
    names = sorted(path.stem for path in (root / "notebooks").glob("[0-9][0-9]-*.ipynb"))
    return [name for name in names if not name.startswith("00-")]


def source_path(root: Path, name: str) -> Path:
    """Where the source notebook is; an unknown name raises ValueError."""
    if name not in notebook_names(root):
        raise ValueError(f"notebook {name!r} does not exist; there are {', '.join(notebook_names(root))}")
    return root / "notebooks" / f"{name}.ipynb"


def load_profile(root: Path, profile: str) -> dict[str, dict[str, Any]]:
    """A profile: "nb-" and a notebook's name -> {parameter: value}. An unknown or malformed one raises ValueError.

    The prefix is there for `dvc exp run -S`, whose keys cannot begin with a digit.
    """
    names = sorted(path.stem for path in (root / "profiles").glob("*.yaml"))
    if profile not in names:
        raise ValueError(f"profile {profile!r} does not exist; there are {', '.join(names)}")
    path = root / "profiles" / f"{profile}.yaml"
    content = read_yaml(path)
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise ValueError(f"{path}: must map each notebook to {{parameter: value}}, got {content!r}")
    sections = [f"nb-{name}" for name in notebook_names(root)]
    for unknown in sorted(set(content) - set(sections)):
        close = difflib.get_close_matches(str(unknown), sections, 1, cutoff=0)
        raise ValueError(f"{path}: {unknown!r} is no notebook's section; did you mean {close[0]!r}?")
    return content


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; ValueError where it is not YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: is not YAML: {error}") from None


def declared_parameters(notebook: Path) -> dict[str, Any]:
    """The names and default values assigned in the one cell of a notebook tagged `parameters`.

    Raises ValueError if there is not exactly one, or if it holds anything but `name = literal`.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise ValueError(f"{notebook}: needs one cell tagged 'parameters', has {len(tagged)}")
    declared = {}
    for node in ast.parse(tagged[0]).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        try:
            if len(targets) != 1 or not isinstance(targets[0], ast.Name):
                raise ValueError
            declared[targets[0].id] = ast.literal_eval(node.value)
        except ValueError:
            line = ast.unparse(node)
            raise ValueError(f"{notebook}: the parameters cell may hold `name = literal` only, not `{line}`") from None
    return declared


def parameters(root: Path, name: str, profile: str) -> dict[str, Any]:
    """The profile's values for a notebook: exactly its declared parameters, with the types of its defaults."""
    declared = declared_parameters(source_path(root, name))
    where = f"profiles/{profile}.yaml, nb-{name}"
    given = load_profile(root, profile).get(f"nb-{name}")
    if given is None:
        raise ValueError(
            f"profiles/{profile}.yaml has no section 'nb-{name}'; add its parameters: {', '.join(declared)}"
        )
    for unknown in [key for key in given if key not in declared]:
        close = difflib.get_close_matches(str(unknown), declared, 1, cutoff=0)
        hint = f"did you mean {close[0]!r}?" if close else "it has none"
        raise ValueError(f"{where}: the notebook has no parameter {unknown!r}; {hint}")
    missing = [key for key in declared if key not in given]
    if missing:
        raise ValueError(f"{where}: missing {', '.join(missing)}; a profile gives every parameter")
    for key, default in declared.items():
        if not _same_type(given[key], default):
            raise ValueError(
                f"{where}: {key} must have the type of the notebook's default {default!r}, got {given[key]!r}"
                + (" (YAML reads 1e-3 as text; write 1.0e-3)" if isinstance(given[key], str) else "")
            )
    return given


def _same_type(value: Any, default: Any) -> bool:
    if isinstance(default, list) and isinstance(value, list):
        return not default or all(any(_same_type(item, like) for like in default) for item in value)
    if default is None:  # nothing, or the name of something
        return value is None or type(value) is str
    return type(value) is type(default) or (type(default) is float and type(value) is int)


def run(root: Path, name: str, profile: str, target: Path) -> None:
    """Run a notebook and put notebook.ipynb, figures/, metrics.json and machine.json into `target`.

    The kernel works in the project root. Until everything has succeeded all files are in `target`/.partial,
    and whatever was in `target` stays as it is. Raises NotebookFailed when a cell raises (the notebook as far
    as it came is then kept in scratch/failed/), ValueError for bad parameters or results that break the
    rules (no figure, malformed rows, output that differs from run to run), OSError where it cannot write.
    """
    target = target.resolve()
    source, given = source_path(root, name), parameters(root, name, profile)
    if profile == "smoke" and target.is_relative_to(root / "results"):
        raise ValueError("profile 'smoke' checks that notebooks run; it never writes to results/")
    commit = machine.commit(root)  # now: sources may change while the notebook runs
    with _partial_folder(target) as partial, machine.watched() as watch:
        environment = {"CCLIB_OUTPUT": str(partial), "IPYTHONDIR": str(partial / ".ipython")}
        os.environ.update(_KERNEL_ENVIRONMENT | environment)
        notebook = _execute(root, name, source, partial / "notebook.ipynb", given)
        nbformat.write(clean(notebook), partial / "notebook.ipynb")
        shutil.rmtree(partial / ".ipython", ignore_errors=True)
        _check_results(partial, name)
        _record_measurements(partial / "machine.json", profile, watch.measurements() | {"commit": commit})
        for result in RESULTS:
            _replace(partial / result, target / result)


@contextmanager
def _partial_folder(target: Path) -> Iterator[Path]:
    """target/.partial, empty; removed at the end, as is `target` if nothing came of it."""
    partial = target / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except OSError as error:
        error.filename = error.filename or str(target)  # A full disk names no file.
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not any(target.iterdir()):
            target.rmdir()


def _execute(root: Path, name: str, source: Path, partial: Path, given: dict[str, Any]) -> nbformat.NotebookNode:
    cells = len(nbformat.read(source, as_version=4).cells) + 1
    progress = machine.Progress(name, cells)
    try:
        return papermill.execute_notebook(
            # Papermill formats paths with the parameters, so braces in a folder's name must be doubled.
            *(str(path).replace("{", "{{").replace("}", "}}") for path in (source, partial)),
            parameters=given,
            cwd=root,
            progress_bar=False,
            stderr_file=progress,
            on_cell_start=progress.cell_started,
            record_timing=False,
            # Every kernel otherwise warns that it talks to its runner in plain text, inside this machine.
            extra_arguments=["--log-level=ERROR"],
        )
    except PapermillExecutionError as error:
        kept = root / "scratch" / "failed" / f"{name}.ipynb"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(partial, kept)
        head = "\n".join(error.source.splitlines()[:8])
        traceback = "\n".join(error.traceback)
        raise NotebookFailed(
            f"{name}: cell {error.cell_index + 1} failed with {error.ename}: {error.evalue}\n\n"
            f"{head}\n\n{traceback}\n\nThe notebook as far as it came: {kept}\nEarlier results are untouched."
        ) from None
    finally:
        progress.close()


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The executed notebook without what differs from run to run: times, paths, progress bars, versions.

    What it cannot remove, such as a memory address in an output, raises ValueError.
    """
    notebook = nbformat.from_dict(notebook)
    notebook.metadata.pop("papermill", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for index, cell in enumerate(notebook.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"
        if cell.cell_type == "code":
            cell.outputs = _joined_streams(cell.outputs)
            _check_stable(cell.outputs, index)
    return notebook


def _joined_streams(cell_outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Each run of pieces of one stream as one output: where a stream is cut is chance. No progress bars."""
    joined = _join(cell_outputs)
    for output in joined:
        if output.output_type == "stream" and output.name == "stderr":
            # What a line returned over is a progress bar or a notice for the terminal; a last 100 % or 2/2 is a bar's.
            output.text = re.sub(r"[^\n]*\r([^\n\r]*\d( ?%|/\d)[^\n\r]*)?\n?", "", output.text)
    # Again, since a bar may have cut another stream in two.
    return _join([output for output in joined if output.output_type != "stream" or output.text.strip()])


def _join(cell_outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    joined: list[nbformat.NotebookNode] = []
    for output in cell_outputs:
        if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _check_stable(cell_outputs: list[nbformat.NotebookNode], index: int) -> None:
    text = json.dumps([output for output in cell_outputs if output.output_type == "stream"])
    for output in cell_outputs:
        kinds = output.get("data", {})
        text += json.dumps({kind: kinds[kind] for kind in kinds if not kind.startswith("image/png")})
    here = re.escape(json.dumps(str(files.project_root()))[1:-1])
    found = re.search(rf"\bat 0x[0-9a-fA-F]{{6,}}|ipykernel_[0-9]+|{here}", text)
    if found:
        raise ValueError(
            f"cell {index + 1} prints {found.group()!r}, which differs from run to run or from machine to machine"
        )


def _check_results(partial: Path, name: str) -> None:
    expected = {"figures", "metrics.json", "notebook.ipynb"}
    found = {path.name for path in partial.iterdir()}
    if expected - found or not any((partial / "figures").iterdir()):
        missing = sorted(expected - found) or ["a file in figures"]
        raise ValueError(f"{name}: the notebook ran, but did not write {', '.join(missing)} to files.folder()")
    if found - set(RESULTS):
        extra = ", ".join(sorted(found - set(RESULTS)))
        raise ValueError(f"{name}: the notebook wrote {extra} to files.folder(); only {', '.join(RESULTS)} are kept")
    for row in claims.read(partial / "metrics.json"):
        if row["notebook"] != name:
            raise ValueError(f"{name}: a row in its metrics.json names the notebook {row['notebook']!r}")


def _record_measurements(path: Path, profile: str, measured: dict[str, Any]) -> None:
    recorded = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    files.write_json(path, recorded | {"profile": profile} | measured)


def _replace(new: Path, old: Path) -> None:
    if new.is_dir() and old.exists():
        # A folder replaces only an empty one, so the old one steps aside, into .partial, which goes.
        os.replace(old, new.with_name(f"old-{old.name}"))
    os.replace(new, old)
