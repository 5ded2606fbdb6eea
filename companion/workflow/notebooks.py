"""Runs one notebook with the parameters of a profile; its results appear whole, or the earlier ones stay.

It knows nothing of DVC, of the order of notebooks or of what they compute.
"""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from companion import files, instructions, processes
from companion.evidence import claims
from companion.workflow import machine
from companion.workflow.cleaning import clean
from companion.workflow.profiles import parameters, source_path

# In this order, so that the notebook, which readers open, never stands beside figures older than itself.
RESULTS = ("figures", "metrics.json", "machine.json", "notebook.ipynb")
_KERNEL_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    # The kernel of this environment, not one of the same name that the user installed elsewhere.
    "JUPYTER_PREFER_ENV_PATH": "1",
}


class NotebookFailed(Exception):
    """A cell raised: the message holds its source and traceback."""


class NotebookUnfinished(Exception):
    """Runs would have had to be computed, and only finished ones were wanted."""


def run(root: Path, name: str, profile: str, target: Path) -> None:
    """Run a notebook and put notebook.ipynb, figures/, metrics.json and machine.json into `target`.

    The kernel works in the project root. Until everything has succeeded all files are in `target`/.partial,
    and whatever was in `target` stays as it is. Raises NotebookFailed when a cell raises (the notebook as far
    as it came is then kept in scratch/failed/), NotebookUnfinished where `runs.obtain` raises Unfinished, ValueError
    for bad parameters or results that break the rules (no figure, malformed rows, output that differs from run to
    run), OSError where it cannot write.
    """
    target = target.resolve()
    source, given = source_path(root, name), parameters(root, name, profile)
    if profile == "smoke" and target.is_relative_to(root / "results"):
        raise ValueError("profile 'smoke' checks that notebooks run; it never writes to results/")
    instructions.settle(name)
    commit = machine.commit(root)  # now: sources may change while the notebook runs
    started = time.monotonic()
    with _partial_folder(target) as partial, processes.watched() as watch:
        environment = {"CCLIB_OUTPUT": str(partial), "IPYTHONDIR": str(partial / ".ipython")}
        os.environ.update(_KERNEL_ENVIRONMENT | environment)
        notebook = _execute(root, name, source, partial / "notebook.ipynb", given)
        nbformat.write(clean(notebook), partial / "notebook.ipynb")
        shutil.rmtree(partial / ".ipython", ignore_errors=True)
        _check_results(partial, name)
        measured = machine.measurements(time.monotonic() - started, watch.peak_bytes) | {"commit": commit}
        _record_measurements(partial / "machine.json", profile, measured)
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
    logging.getLogger("papermill").setLevel(logging.ERROR)  # its own look at parameters does not know `str | None`
    cells = len(nbformat.read(source, as_version=4).cells) + 1
    progress = Progress(name, cells)
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
            # Every kernel otherwise warns that it talks to its client in plain text, inside this machine.
            extra_arguments=["--log-level=ERROR"],
        )
    except PapermillExecutionError as error:
        if error.ename == "Unfinished":
            raise NotebookUnfinished(f"{name}: {error.evalue}") from None
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


def _check_results(partial: Path, name: str) -> None:
    expected = {"figures", "metrics.json", "notebook.ipynb"}
    written = {path.name for path in partial.iterdir()}
    if expected - written or not any((partial / "figures").iterdir()):
        missing = sorted(expected - written) or ["a file in figures"]
        raise ValueError(f"{name}: the notebook ran, but did not write {', '.join(missing)} to files.folder()")
    if written - set(RESULTS):
        extra = ", ".join(sorted(written - set(RESULTS)))
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


class Progress:
    """The terminal's view of a run: which cell is at work, and the notebook's own progress bars (stderr)."""

    def __init__(self, name: str, cells: int) -> None:
        self._name, self._cells = name, cells
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        print(f"{name}: {cells} cells", file=sys.stderr, flush=True)

    def cell_started(self, cell: Any, cell_index: int) -> None:
        if self._terminal:
            # Back to the line's start, and clear it.
            self.write(f"\r\x1b[K{self._name}: cell {cell_index + 1} of {self._cells} ")

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def close(self) -> None:
        end = "\r\x1b[K" if self._terminal else ""
        self.write(f"{end}{self._name}: {time.monotonic() - self._started:.0f} s\n")
