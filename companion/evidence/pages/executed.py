"""An executed notebook as a page needs it: its cells, the captions of its figures, the machine that ran it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat


@dataclass(frozen=True)
class Notebook:
    """An executed notebook: its cells, the captions of its figures and their sizes by their names, its machine.json."""

    name: str
    content: nbformat.NotebookNode
    captions: dict[str, str]
    sizes: dict[str, tuple[int, int]]
    machine: dict[str, Any]

    @property
    def title(self) -> str:
        return self.content.cells[0].source.splitlines()[0].lstrip("# ")

    @property
    def parameters(self) -> str:
        """The assignments that the run was given."""
        given = next(c.source for c in self.content.cells if "injected-parameters" in c.metadata.get("tags", []))
        return "\n".join(line for line in given.splitlines() if not line.startswith("#"))


def read(folder: Path) -> Notebook:
    """The notebook whose results are in ``folder``. Raises ValueError where a figure has no caption."""
    content = nbformat.read(folder / "notebook.ipynb", as_version=4)
    machine = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    described = dict(captions(folder.name, content))
    sizes = {figure: size_of(folder / "figures" / f"{figure}.svg") for figure in described}
    return Notebook(folder.name, content, described, sizes, machine)


def size_of(figure: Path) -> tuple[int, int]:
    """The width and the height of an SVG file in pixels, which a page keeps free until it is there."""
    with figure.open(encoding="utf-8") as file:
        found = re.search(r'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"', file.read(2000))
    if not found:
        raise ValueError(f"{figure}: says no width and height in points")
    width, height = (round(float(points) * 4 / 3) for points in found.groups())
    return width, height


def captions(name: str, content: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    """(figure, caption): the figures that a cell saves, and the text in italics with which the next cell begins."""
    for cell, following in zip(content.cells, content.cells[1:], strict=False):
        for figure in saved_figures(cell):
            caption = re.match(r"\*([^*].*?[^*])\*(?=\s|$)", following.source, re.DOTALL)
            if following.cell_type != "markdown" or not caption:
                raise ValueError(f"{name}: figure {figure!r} needs a caption in italics at the start of the next cell")
            yield figure, " ".join(caption[1].split())


def saved_figures(cell: nbformat.NotebookNode) -> list[str]:
    """The names of the figures that a code cell saves, in order."""
    return re.findall(r'figures\.save\(\w+, "([^"]+)"\)', cell.source) if cell.cell_type == "code" else []
