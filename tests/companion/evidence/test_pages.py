"""The pages say what the results say; their links and pictures are there; nothing comes from elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from tiny_project import ROOT

from companion.evidence import claims, families, registry
from companion.evidence.pages import executed, index, rendering
from companion.workflow import commands, profiles

NAMES = profiles.notebook_names(ROOT)
PAGES = [ROOT / "results" / "index.html", *(ROOT / "results" / "pages" / f"{name}.html" for name in NAMES)]
ROW = claims.row(
    claim="C1",
    notebook="01-tiny",
    statement="Tiny things double",
    quantity="double of tiny",
    unit="px",
    interval=claims.Interval(3.0, 2.0, 4.0, 5),
    better="higher",
    baseline="single: 1 px",
    threshold=1.0,
    reason="one is seen",
) | {"verdict": "reproduced", "adjusted_low": 2.0, "adjusted_high": 4.0, "seeds_to_decide": None}


class Found(HTMLParser):
    """The attributes of every element, by tag, and all text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: dict[str, list[dict[str, str | None]]] = {}
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.setdefault(tag, []).append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_resolve_and_pictures_are_local_and_described(path: Path) -> None:
    found = Found(path)
    own = {element.get("id") for elements in found.elements.values() for element in elements}
    for link in found.elements["a"]:
        file, _, anchor = (link["href"] or "").partition("#")
        if file.startswith("https://"):
            continue
        target = path.parent / file if file else path
        assert target.is_file(), link["href"]
        if anchor:
            ids = own if target == path else {e.get("id") for es in Found(target).elements.values() for e in es}
            assert anchor in ids, link["href"]
    for picture in found.elements["img"]:
        if not (picture["src"] or "").startswith("data:"):
            assert (path.parent / (picture["src"] or "")).is_file()
            assert len(picture["alt"] or "") > 20
    assert not {"link", "iframe"} & found.elements.keys()
    assert all("src" not in script for script in found.elements.get("script", []))
    assert "http" not in "".join(re.findall(r"<style>.*?</style>", path.read_text(encoding="utf-8"), re.DOTALL))


def test_the_index_holds_every_claim_and_row() -> None:
    found = Found(PAGES[0])
    rows = families.read(commands.CLAIMS)
    for row in rows:
        assert row["quantity"] in found.text
    for name, claim in registry.CLAIMS.items():
        assert f"{name} · {claim.sentence}" in found.text
    pictures = [svg for svg in found.elements["svg"] if "class" in svg]
    primary = [row for row in rows if row["primary"]]
    # One in the table and one in the section of its claim; four canvases and a drawing are scripts'.
    assert len([picture for picture in pictures if "forest" in (picture["class"] or "")]) == 2 * len(primary)
    assert all(row["reason"] in found.text for row in primary)


@pytest.mark.parametrize("name", NAMES)
def test_code_is_folded_and_parameters_are_named(name: str) -> None:
    found = Found(ROOT / "results" / "pages" / f"{name}.html")
    cells = nbformat.read(ROOT / "results" / name / "notebook.ipynb", as_version=4).cells
    assert len(found.elements["details"]) == len([cell for cell in cells if cell.cell_type == "code"])
    assert not any("open" in details for details in found.elements["details"])
    assert re.findall(r"Parameters[\w, ]*", found.text)[:2] == ["Parameters, as declared", "Parameters of this run"]


def test_formulas_are_shown_without_a_script() -> None:
    assert "math" in Found(ROOT / "results" / "pages" / "01-cc-layer.html").elements
    assert rendering.rendered("of $x^2$, *so*") == "of " + rendering.mathml("x^2") + ", <em>so</em>"


def test_the_interval_is_drawn_on_the_better_side() -> None:
    """Threshold 1, interval 2 to 4 about 3: the reach, 3, is 82 pixels to either side of 90."""
    drawn = index.forest(ROW)
    assert [float(x) for x in re.findall(r'x[12]="([\d.]+)"', drawn)] == [90, 90, 117.3, 172]
    assert 'cx="144.7"' in drawn
    worse = index.forest(ROW | {"better": "lower", "verdict": "not reproduced"})
    assert [float(x) for x in re.findall(r'x[12]="([\d.]+)"', worse)] == [90, 90, 8, 62.7]
    assert 'aria-label="3.0 [2.0, 4.0] px, asked for at most 1 px: not reproduced"' in worse


@pytest.mark.parametrize("verdict", families.VERDICTS)
def test_every_verdict_has_a_mark_and_a_colour_of_its_own(verdict: str) -> None:
    marks = {
        other: re.sub('^.*?</line>|<line.*?/>|aria-label=".*?"', "", index.forest(ROW | {"verdict": other}))
        for other in families.VERDICTS
    }
    assert len({re.sub(r'class=".*?"', "", mark) for mark in marks.values()}) == len(families.VERDICTS)
    style = (rendering.TEMPLATES / "style.css").read_text(encoding="utf-8")
    assert f".{verdict.replace(' ', '-')} {{ color:" in style


def test_a_figure_needs_a_caption() -> None:
    cells = [
        nbformat.v4.new_code_cell('figures.save(fig, "one")'),
        nbformat.v4.new_markdown_cell("*What it\nshows.* More"),
    ]
    assert dict(executed.captions("01-tiny", nbformat.v4.new_notebook(cells=cells))) == {"one": "What it shows."}
    cells[1].source = "No caption"
    with pytest.raises(ValueError, match="01-tiny: figure 'one' needs a caption in italics"):
        dict(executed.captions("01-tiny", nbformat.v4.new_notebook(cells=cells)))
