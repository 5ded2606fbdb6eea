"""Markdown, formulas, notebook cells and templates as HTML that needs no script."""

from __future__ import annotations

import json
import re
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

from companion.evidence import tables
from companion.evidence.pages.executed import Notebook, saved_figures

TEMPLATES = Path(__file__).parent / "templates"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Renderer(IPythonRenderer):
    """Formulas as MathML, which browsers show without a script."""

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def block_math(self, body: str) -> str:
        return f'<div class="scroll" tabindex="0">{mathml(body, display="block")}</div>'


class Exporter(HTMLExporter):
    """nbconvert's, without a page around it; code is folded."""

    raw_template = """
{%- extends "basic/index.html.j2" -%}
{%- block input -%}
{%- set lines = cell.source.splitlines() | length -%}
{%- set tags = cell.metadata.get("tags", []) -%}
{%- set kind = {"parameters": "Parameters, as declared", "injected-parameters": "Parameters of this run"} -%}
<details class="code">
<summary>{{ kind[tags[0]] if tags and tags[0] in kind else "Code" }}
({{ lines }} {{ "line" if lines == 1 else "lines" }})</summary>
{{ super() }}
</details>
{%- endblock input -%}
"""

    @jinja2.pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        return MarkdownWithMath(renderer=Renderer(escape=False)).render(source)


def notebook_page(notebook: Notebook, before: Notebook | None, after: Notebook | None) -> str:
    """The whole notebook as a page, its figures drawn from the files beside it, between those before and after it."""
    content = nbformat.from_dict(notebook.content)
    for cell in content.cells:
        figures = iter(saved_figures(cell))
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}) and (figure := next(figures, None)):
                output.metadata["filenames"] = {"image/png": f"../{notebook.name}/figures/{figure}.svg"}
                width, height = notebook.sizes[figure]
                described = {"alt": plain(notebook.captions[figure]), "width": width, "height": height}
                output.metadata["image/png"] = described
    exporter = Exporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(content)
    # What scrolls can be scrolled by the keyboard.
    body = body.replace("<pre", '<pre tabindex="0"')
    body = body.replace("<table", '<div class="scroll" tabindex="0"><table').replace("</table>", "</table></div>")
    body = re.sub(r'(<h[1-6] id="[^"]*">)(.*?)<a class="anchor-link".*?</a>', r"\1\2", body)
    headings = [(anchor, Markup(words)) for anchor, words in re.findall(r'<h2 id="([^"]*)">(.*?)</h2>', body)]
    return (
        environment()
        .get_template("notebook.html")
        .render(notebook=notebook, body=Markup(body), headings=headings, before=before, after=after)
    )


def plain(markdown: str) -> str:
    """A caption without markup, for a description."""
    return re.sub(r"[$`*\\]", "", markdown)


def rendered(markdown: str) -> Markup:
    """A line of Markdown as HTML, without a paragraph around it."""
    text = MarkdownWithMath(renderer=Renderer(escape=False)).render(markdown).strip()
    return Markup(text.removeprefix("<p>").removesuffix("</p>"))


def typeset(text: str) -> str:
    """Numbers as print has them: a minus, powers of ten, no line break within an interval or before a unit."""
    text = re.sub(r"(\d+(?:\.\d+)?)e(-?)0*(\d+)", power_of_ten, text)
    text = re.sub(r"(?<![\w)])-(?=\d)", "−", text)
    text = re.sub(r"(at least|at most) 1 points", r"\1 1 point", text)
    return re.sub(r"(?<=[\d,\]×]) (?=[\[\d%×−]|dB\b|points?\b|px\b|input px\b)", "\N{NO-BREAK SPACE}", text)


def power_of_ten(found: re.Match[str]) -> str:
    power = "10" + (found[2] + found[3]).translate(RAISED)
    return power if found[1] == "1" else f"{found[1]} × {power}"


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """The templates, and what all of them use."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    templates.filters["json"] = lambda values: Markup(json.dumps(values).replace("<", "\\u003c"))
    templates.filters["typeset"] = typeset
    templates.globals |= {
        "span": tables.span,
        "adjusted": tables.adjusted,
        "required": tables.required,
        "outcome": tables.outcome,
        "plain": plain,
        "rendered": rendered,
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        "code_style": Markup(f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"),
    }
    return templates
