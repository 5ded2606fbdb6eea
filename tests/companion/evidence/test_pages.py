"""The pages say what the results say; their links and pictures are there; nothing comes from elsewhere."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tiny_project import ROOT

from companion.evidence import claims, families, registry, replicated, tables
from companion.evidence.pages import drawings, executed, index, rendering, sentences, strip
from companion.evidence.pages.rendering import typeset
from companion.playground import article
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


def test_the_article_has_a_column_for_each_larger_profile() -> None:
    rows, notebooks = families.read(commands.CLAIMS), {name: executed.read(ROOT / "results" / name) for name in NAMES}
    row = next(row for row in rows if row["notebook"] == "03-drop-in")
    larger = {"long": {"03-drop-in": [row | {"value": 0.0625, "low": 0.0625, "high": 0.0625}]}}
    pages = [index.index_page(rows, [], "other seeds", found, notebooks, article.trained()) for found in ({}, larger)]
    head, cell = '<th scope="col">profile long</th>', '<td class="value" data-label="profile long">'
    assert [page.count(head) for page in pages] == [0, len(registry.CLAIMS)]
    assert [page.count(cell) for page in pages] == [0, len(rows)]
    of_notebook = sum(row["notebook"] == "03-drop-in" for row in rows)
    assert pages[1].count(f"{cell}not run</td>") == len(rows) - of_notebook
    assert pages[1].count(f"{cell}–</td>") == of_notebook - 1 > 0
    assert f"{cell}{typeset('0.0625 ' + row['unit'])}" in pages[1]


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


def test_the_index_says_what_other_seeds_gave() -> None:
    other = ROW | {"quantity": "triple of tiny"}
    worse = other | {"verdict": "inconclusive", "low": 5.0, "high": 6.0, "value": 5.5}
    template = rendering.environment().get_template("again.html")

    def text(*again: claims.Row) -> str:
        rows = ROW, other
        given = {name: getattr(replicated, name)(rows, again) for name in ("changed", "apart")}
        told = template.render(
            again=again,
            agreeing=replicated.same_verdicts(rows, again),
            asked_with=replicated.asked_with(changed_since=False),
            compared=len(again),
            **given,
        )
        return " ".join(told.split())

    assert text() == ""
    same = text(ROW, other)
    assert "included: 2 of 2 verdicts were the same. The intervals of all 2 measurements overlap with" in same
    assert "<details>" not in same
    one = text(ROW, worse)
    assert "1 of 2 verdicts were the same; C1 came out as inconclusive instead of reproduced.</p>" in one
    assert "Of 2 measurements, 1 has intervals that do not overlap with those" in one
    cells = re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", one.partition("<tbody>")[2])
    assert cells == ["C1", "triple of tiny", "3.0 [2.0, 4.0] px", "5.50 [5.00, 6.00] px"]


def test_the_index_holds_every_claim_and_row() -> None:
    found = Found(PAGES[0])
    rows = families.read(commands.CLAIMS)
    for row in rows:
        assert row["quantity"] in found.text
    for name, claim in registry.CLAIMS.items():
        assert f"{name} · {claim.sentence}" in found.text
    primary = [row for row in rows if row["primary"]]
    pictures = [svg for svg in found.elements["svg"] if "interval" in (svg.get("class") or "")]
    assert len(pictures) == len(primary)
    assert all(typeset(row["reason"]) in found.text for row in primary)


@pytest.mark.parametrize("name", NAMES)
def test_code_is_folded_and_parameters_are_named(name: str) -> None:
    found = Found(ROOT / "results" / "pages" / f"{name}.html")
    cells = nbformat.read(ROOT / "results" / name / "notebook.ipynb", as_version=4).cells
    assert len(found.elements["details"]) == len([cell for cell in cells if cell.cell_type == "code"])
    assert not any("open" in details for details in found.elements["details"])
    assert re.findall(r"Parameters[\w, ]*", found.text)[:2] == ["Parameters, as declared", "Parameters of this run"]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_lists_its_sections_and_its_neighbours(name: str) -> None:
    found = Found(ROOT / "results" / "pages" / f"{name}.html")
    titles = [element["id"] for element in found.elements["h2"] if element.get("id")]
    links = [element["href"] for element in found.elements["a"]]
    assert [f"#{title}" for title in titles] == [link for link in links if (link or "").startswith("#")]
    at = NAMES.index(name)
    around = {"prev": NAMES[at - 1] if at else None, "next": NAMES[at + 1] if at + 1 < len(NAMES) else None}
    for relation, other in around.items():
        expected = [f"{other}.html"] * 2 if other else []  # above and below
        assert [element["href"] for element in found.elements["a"] if element.get("rel") == relation] == expected


def test_formulas_are_shown_without_a_script() -> None:
    assert "math" in Found(ROOT / "results" / "pages" / "01-cc-layer.html").elements
    assert rendering.rendered("of $x^2$, *so*") == "of " + rendering.mathml("x^2") + ", <em>so</em>"


def test_the_interval_is_drawn_on_a_scale_of_its_unit() -> None:
    """From 0 to 4, and some more to both sides, twice as much to the better one."""
    drawn = drawings.interval(ROW)
    at = {name: float(x) for name, x in re.findall(r'class="(\w+)" x1?="([\d.]+)"', drawn)}
    unit = (drawings.WIDTH - 2 * drawings.MARGIN) / (4 * 1.36)
    zero = drawings.MARGIN + 0.12 * 4 * unit
    assert at["threshold"] == at["good"] == pytest.approx(zero + unit, abs=0.1)
    assert at["span"] == pytest.approx(zero + 2 * unit, abs=0.1)
    assert f'cx="{zero + 3 * unit:.1f}"' in drawn
    assert re.findall(r'"middle">([^<]*)<', drawn) == ["0", "1", "2", "3", "4"]
    assert "≥ 1 asked for" in drawn
    assert "as asked →" in drawn
    worse = drawings.interval(ROW | {"better": "lower", "verdict": "not reproduced"})
    assert f'class="good" x="0.0" y="18" width="{zero + 0.12 * 4 * unit + unit:.1f}"' in worse
    assert "← as asked" in worse
    assert 'aria-label="3.0 [2.0, 4.0] px, asked for at most 1 px: not reproduced"' in worse.replace("\xa0", " ")


def test_values_that_are_thousands_of_times_apart_have_a_logarithmic_scale() -> None:
    tiny = dict.fromkeys(("value", "adjusted_low", "adjusted_high"), 1e-15)
    drawn = drawings.interval(ROW | tiny | {"threshold": 1e-10, "better": "lower"})
    assert re.findall(r'"middle">([^<]*)<', drawn) == ["10⁻¹⁶", "10⁻¹⁴", "10⁻¹²", "10⁻¹⁰"]
    assert "≤ 10⁻¹⁰ asked for" in drawn


def test_every_judged_row_has_a_clause_and_every_clause_a_row() -> None:
    rows = [row for row in families.read(commands.CLAIMS) if row["primary"]]
    assert {(row["notebook"], sentences.declared_as(row)) for row in rows} == set(sentences.CLAUSES)
    assert all(clause.count("{}") == 1 for clause in sentences.CLAUSES.values())


def test_a_sentence_joins_the_clauses_of_a_claim() -> None:
    rows = [row for row in families.read(commands.CLAIMS) if row["primary"] and row["claim"] == "C7"]
    sentence = sentences.sentence(rows)
    assert sentence.startswith("After several halvings")
    assert re.search(r"lie; those|are taken to lie; those of strided convolutions <b", sentence)
    undeclared = sentences.sentence([ROW | {"notebook": "01-cc-layer", "quantity": "<no> longer"}])
    assert undeclared.replace("\xa0", " ") == '&lt;no&gt; longer: <b class="value">3.0 [2.0, 4.0] px</b>.'


def test_what_stands_beside_a_judged_row_is_told_with_it() -> None:
    rows = families.read(commands.CLAIMS)
    everything = [(*key, *pair) for key, pairs in sentences.BESIDE.items() for pair in pairs]
    for notebook, name, words, other in everything:
        judged = [
            row for row in rows if row["primary"] and (row["notebook"], sentences.declared_as(row)) == (notebook, name)
        ]
        beside = [row for row in rows if (row["notebook"], sentences.declared_as(row)) == (notebook, other)]
        assert len(judged) == len(beside) == 1
        told = sentences.sentence(judged, rows)
        assert words.format(typeset(tables.span(beside[0]))) in told


@pytest.mark.parametrize(
    ("text", "set_text"),
    [
        ("-0.26 [-0.43, -0.06] points", "−0.26 [−0.43, −0.06] points"),
        ("at least 1 points", "at least 1 point"),
        ("1.776e-15, at most 1e-10", "1.776 × 10⁻¹⁵, at most 10⁻¹⁰"),
        ("cc-gradual at 14-7 px", "cc-gradual at 14-7 px"),
    ],
)
def test_numbers_are_set_as_in_print(text: str, set_text: str) -> None:
    assert typeset(text).replace("\xa0", " ") == set_text
    assert "] " not in typeset(text)


def test_no_formula_shows_its_source() -> None:
    for path in PAGES:
        formulas = re.findall(r"<math.*?</math>", path.read_text(encoding="utf-8"), re.DOTALL)
        assert not [formula for formula in formulas if "\\" in formula], path


@pytest.mark.parametrize("verdict", families.VERDICTS)
def test_every_verdict_has_a_mark_and_a_colour_of_its_own(verdict: str) -> None:
    marks = {other: re.sub(r"<svg[^>]*>", "", drawings.badge(other)) for other in families.VERDICTS}
    assert len(set(marks.values())) == len(families.VERDICTS)
    assert marks[verdict].removesuffix("</svg>").split(" ")[0] in drawings.interval(ROW | {"verdict": verdict})
    style = (rendering.TEMPLATES / "style.css").read_text(encoding="utf-8")
    assert f".{verdict.replace(' ', '-')} {{ color:" in style


def test_the_strip_is_small_and_shows_what_an_output_reads() -> None:
    """The squares of a frame are as many as the taps of its output, and fill the part of the picture that is shown."""
    drawn = strip.strip()
    assert len(drawn) < 200_000
    assert Image.open(io.BytesIO(drawn)).size == (1080, 588)
    axes = Figure().subplots()
    strip.draw_taps(axes, strip.face(), (19, 19), (8, 8))
    assert len(axes.patches) == 7 * 7  # the cubic's four, wider by 32 / 19
    assert axes.get_xlim()[1] - axes.get_xlim()[0] == strip.SHOWN


def test_a_figure_needs_a_caption() -> None:
    cells = [
        nbformat.v4.new_code_cell('figures.save(fig, "one")'),
        nbformat.v4.new_markdown_cell("*What it\nshows.* More"),
    ]
    assert dict(executed.captions("01-tiny", nbformat.v4.new_notebook(cells=cells))) == {"one": "What it shows."}
    cells[1].source = "No caption"
    with pytest.raises(ValueError, match="01-tiny: figure 'one' needs a caption in italics"):
        dict(executed.captions("01-tiny", nbformat.v4.new_notebook(cells=cells)))
