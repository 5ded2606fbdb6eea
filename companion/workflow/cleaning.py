"""Executed notebooks without what differs from run to run, so that equal results are equal files."""

import json
import re

import nbformat

from companion import files


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
    unstable = re.search(rf"\bat 0x[0-9a-fA-F]{{6,}}|ipykernel_[0-9]+|{here}", text)
    if unstable:
        raise ValueError(
            f"cell {index + 1} prints {unstable.group()!r}, which differs from run to run or from machine to machine"
        )
