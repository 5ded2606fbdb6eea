"""All pages of a project, written to its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from companion import files
from companion.evidence import claims, families
from companion.evidence.pages.executed import read
from companion.evidence.pages.index import index_page
from companion.evidence.pages.rendering import notebook_page
from companion.evidence.pages.strip import strip


def write(
    root: Path,
    names: Sequence[str],
    replicated: Sequence[claims.Row],
    asked_with: str,
    larger: Mapping[str, Mapping[str, Sequence[claims.Row]]],
    trained: Mapping[str, Any],
) -> None:
    """Write the pages of these notebooks, the index, and the README's picture of its first figure.

    Raises ValueError where a figure has no caption.

    replicated: the rows that other seeds gave, judged; none where nobody has computed them.
    asked_with: what they were asked with, in words.
    larger: the rows of larger profiles, by profile and notebook.
    trained: the trained networks that the index runs, by name.
    """
    results = root / "results"
    notebooks = {name: read(results / name) for name in names}
    pages = results / "pages"
    pages.mkdir(exist_ok=True)
    for stale in {path for path in pages.iterdir() if path.stem not in notebooks}:
        stale.unlink()
    around = [None, *notebooks.values(), None]
    for before, notebook, after in zip(around, notebooks.values(), around[2:], strict=False):
        files.atomic_write(pages / f"{notebook.name}.html", notebook_page(notebook, before, after))
    rows = families.read(results / "claims.json")
    files.atomic_write(results / "index.html", index_page(rows, replicated, asked_with, larger, notebooks, trained))
    files.atomic_write(results / "first-figure.png", strip())
