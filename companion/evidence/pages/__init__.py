"""The results as web pages: results/index.html and, for each notebook, results/pages/NN-name.html.

They need no network and no script; pictures are those in results/*/figures. nbconvert renders the notebooks and Jinja
puts the pages together; what is said comes from the notebooks, claims.json and machine.json.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import nbformat
from latex2mathml.converter import convert as mathml
from markupsafe import Markup
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from companion import files
from companion.evidence import claims, tables

TEMPLATES = Path(__file__).parent / "templates"

# What shows the answer to each claim best: a notebook and one of its figures.
KEY_FIGURES = {
    "C1": ("01-cc-layer", "four-steps"),
    "C2": ("01-cc-layer", "learned-filter"),
    "C3": ("08-any-scale-kernel", "unseen-factors"),
    "C4": ("08-any-scale-kernel", "learned-kernel"),
    "C5": ("05-dynamic-shapes", "dynamic-shapes"),
    "C6": ("04-gradual", "gradual"),
    "C7": ("02-misalignment", "displacement"),
    "C8": ("07-shift-equivariance", "change-of-logits"),
    "C9": ("06-scale-ensembles", "gains"),
    "C10": ("09-super-resolution", "gain-by-factor"),
    "C11": ("11-efficiency", "time-and-memory"),
}


@dataclass(frozen=True)
class Notebook:
    """An executed notebook: its cells, and the captions of its figures by their names."""

    name: str
    content: nbformat.NotebookNode
    captions: dict[str, str]
    machine: dict[str, Any]

    @property
    def title(self) -> str:
        return self.content.cells[0].source.splitlines()[0].lstrip("# ")

    @property
    def parameters(self) -> str:
        """The assignments that the run was given."""
        given = next(c.source for c in self.content.cells if "injected-parameters" in c.metadata.get("tags", []))
        return "\n".join(line for line in given.splitlines() if not line.startswith("#"))


def write(root: Path, names: Sequence[str]) -> None:
    """Write the pages of these notebooks, and the index. Raises ValueError where a figure has no caption."""
    results = root / "results"
    notebooks = {name: read(results / name) for name in names}
    pages = results / "pages"
    pages.mkdir(exist_ok=True)
    for stale in {path for path in pages.iterdir() if path.stem not in notebooks}:
        stale.unlink()
    for notebook in notebooks.values():
        files.atomic_write(pages / f"{notebook.name}.html", notebook_page(notebook))
    files.atomic_write(results / "index.html", index_page(claims.read(results / "claims.json"), notebooks))


def read(folder: Path) -> Notebook:
    content = nbformat.read(folder / "notebook.ipynb", as_version=4)
    machine = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    return Notebook(folder.name, content, dict(captions(folder.name, content)), machine)


def captions(name: str, content: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    """(figure, caption): the figures that a cell saves, and the text in italics with which the next cell begins."""
    for cell, following in zip(content.cells, content.cells[1:], strict=False):
        for figure in saved_figures(cell):
            found = re.match(r"\*([^*].*?[^*])\*(?=\s|$)", following.source, re.DOTALL)
            if following.cell_type != "markdown" or not found:
                raise ValueError(f"{name}: figure {figure!r} needs a caption in italics at the start of the next cell")
            yield figure, " ".join(found[1].split())


def saved_figures(cell: nbformat.NotebookNode) -> list[str]:
    return re.findall(r'figures\.save\(\w+, "([^"]+)"\)', cell.source) if cell.cell_type == "code" else []


class Renderer(IPythonRenderer):
    """Formulas as MathML, which browsers show without a script."""

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def block_math(self, body: str) -> str:
        return f'<div class="scroll" tabindex="0">{mathml(body, display="block")}</div>'


class Exporter(HTMLExporter):
    """nbconvert's, without a page around it; code is folded, but for the parameters, declared and given."""

    raw_template = """
{%- extends "basic/index.html.j2" -%}
{%- block input -%}
{%- set lines = cell.source.splitlines() | length -%}
{%- set tags = cell.metadata.get("tags", []) -%}
<details class="code"{{ " open" if "parameters" in tags or "injected-parameters" in tags }}>
<summary>Code ({{ lines }} {{ "line" if lines == 1 else "lines" }})</summary>
{{ super() }}
</details>
{%- endblock input -%}
"""

    @jinja2.pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        return MarkdownWithMath(renderer=Renderer(escape=False)).render(source)


def notebook_page(notebook: Notebook) -> str:
    content = nbformat.from_dict(notebook.content)
    for cell in content.cells:
        figures = iter(saved_figures(cell))
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}) and (figure := next(figures, None)):
                output.metadata["filenames"] = {"image/png": f"../{notebook.name}/figures/{figure}.svg"}
                output.metadata["image/png"] = {"alt": plain(notebook.captions[figure])}
    exporter = Exporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(content)
    # What scrolls can be scrolled by the keyboard.
    body = body.replace("<pre", '<pre tabindex="0"')
    body = body.replace("<table", '<div class="scroll" tabindex="0"><table').replace("</table>", "</table></div>")
    return environment().get_template("notebook.html").render(notebook=notebook, body=Markup(body))


def index_page(rows: Sequence[claims.Row], notebooks: dict[str, Notebook]) -> str:
    found = []
    for claim, sentence in tables.SENTENCES.items():
        of_claim = [row for row in rows if row["claim"] == claim]
        home, figure = KEY_FIGURES[claim]
        found.append(
            {
                "id": claim,
                "sentence": sentence,
                "rows": of_claim,
                "answer": answer(of_claim),
                "figure": f"{home}/figures/{figure}.svg",
                "caption": notebooks[home].captions[figure],
                "notebooks": [notebooks[name] for name in dict.fromkeys(row["notebook"] for row in of_claim)],
            }
        )
    counts = Counter(row["verdict"] for row in rows)
    return environment().get_template("index.html").render(claims=found, counts=counts, notebooks=notebooks)


def answer(rows: Sequence[claims.Row]) -> str:
    """What the rows of a claim say together, in one paragraph."""
    said = []
    total = Counter(row["statement"] for row in rows)
    for verdict in tables.VERDICTS:
        of_verdict = Counter(row["statement"] for row in rows if row["verdict"] == verdict)
        if not of_verdict:
            continue
        parts = [
            f"“{statement}”" + ("" if count == total[statement] else f" ({count} of {total[statement]} comparisons)")
            for statement, count in of_verdict.items()
        ]
        said.append(f"{verdict.capitalize()}: {'; '.join(parts)}.")
    return " ".join(said)


def forest(row: claims.Row) -> Markup:
    """The interval of a row beside its threshold, the line in the middle; to the right of it is better."""
    width, height, margin = 180, 24, 8
    sign = 1 if row["better"] == "higher" else -1
    low, high = sorted(sign * (row[end] - row["threshold"]) for end in ("low", "high"))
    mean = sign * (row["value"] - row["threshold"])
    reach = max(abs(low), abs(high)) or 1.0

    def at(distance: float) -> str:
        return f"{width / 2 + distance / reach * (width / 2 - margin):.1f}"

    middle = height / 2
    mark = {
        "reproduced": f'<circle cx="{at(mean)}" cy="{middle}" r="5"/>',
        "inconclusive": f'<rect x="{float(at(mean)) - 4.5:.1f}" y="{middle - 4.5}" width="9" height="9"/>',
        "not reproduced": f'<path d="M{at(mean)} {middle - 6} l6 6 l-6 6 l-6 -6 z"/>',
    }[row["verdict"]]
    label = html.escape(
        f"{tables.span(row)} {row['unit']}, threshold {tables.number(row['threshold'])}: {row['verdict']}"
    )
    return Markup(
        f'<svg class="forest {row["verdict"].replace(" ", "-")}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}"><line class="threshold" x1="{width / 2}" x2="{width / 2}" y1="1" y2="{height - 1}"/>'
        f'<line x1="{at(low)}" x2="{at(high)}" y1="{middle}" y2="{middle}"/>{mark}</svg>'
    )


def plain(markdown: str) -> str:
    """A caption without markup, for a description."""
    return re.sub(r"[$`*\\]", "", markdown)


def rendered(markdown: str) -> Markup:
    """A line of Markdown as HTML, without a paragraph around it."""
    text = MarkdownWithMath(renderer=Renderer(escape=False)).render(markdown).strip()
    return Markup(text.removeprefix("<p>").removesuffix("</p>"))


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    templates.globals |= {
        "forest": forest,
        "span": tables.span,
        "number": tables.number,
        "plain": plain,
        "rendered": rendered,
        "verdicts": tables.VERDICTS,
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        "code_style": Markup(f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"),
    }
    return templates
