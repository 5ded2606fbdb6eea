"""Each claim is judged by a few rows; what is declared is what the notebooks have written; a row cannot go missing."""

import json
import math
import re
from pathlib import Path

import nbformat
import pytest
from scipy import stats
from tiny_project import ROOT

from companion.evidence import claims, families, registry, sequential
from companion.evidence.filled import Filled, Measured
from companion.evidence.registry import Claim, Declared
from companion.evidence.rows import PRIMARY, ROWS
from companion.workflow.profiles import declared_parameters, source_path


def test_each_claim_is_judged_by_a_few_rows() -> None:
    rows = [declared for of_notebook in ROWS.values() for declared in of_notebook.values()]
    primary = [declared for declared in rows if declared.primary]
    assert len(primary) <= 16
    assert {declared.claim for declared in primary} == set(registry.CLAIMS)
    assert not any(declared.repeated for declared in primary)
    assert [bool(declared.reason) for declared in rows] == [declared.primary for declared in rows]


@pytest.mark.parametrize("claim", registry.CLAIMS.values(), ids=registry.CLAIMS)
def test_the_figure_of_a_claim_is_saved(claim: Claim) -> None:
    notebook, figure = claim.figure
    cells = nbformat.read(source_path(ROOT, notebook), as_version=4).cells
    assert sum(f'figures.save(fig, "{figure}")' in cell.source for cell in cells) == 1


@pytest.mark.parametrize("notebook", ROWS)
def test_a_threshold_is_a_parameter(notebook: str) -> None:
    given = set(declared_parameters(source_path(ROOT, notebook)))
    for name, declared in ROWS[notebook].items():
        assert not declared.primary or declared.threshold.removeprefix("-") in given, name


@pytest.mark.parametrize("notebook", ROWS)
def test_the_results_hold_what_is_declared(notebook: str) -> None:
    """Every declared row, each once unless it is repeated, in the order of their declaration, and no other."""

    def name_of(row: claims.Row) -> str:
        (name,) = (name for name, declared in declared_rows.items() if same(row, declared))
        return name

    def same(row: claims.Row, declared: Declared) -> bool:
        texts = ("statement", declared.statement), ("quantity", declared.quantity)
        return (row["claim"], row["unit"], row["better"]) == (declared.claim, declared.unit, declared.better) and all(
            re.fullmatch(registry.pattern(template), row[key]) for key, template in texts
        )

    declared_rows = ROWS[notebook]
    names = [name_of(row) for row in claims.read(ROOT / "results" / notebook / "metrics.json")]
    assert names == sorted(names, key=list(declared_rows).index)
    once = [name for name in names if not declared_rows[name].repeated]
    assert once == [name for name, declared in declared_rows.items() if not declared.repeated]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Filled:
    declared = {
        "first": Declared(
            "C1", "It loses at most {margin:g}", "first, {count} cases", "points", "higher", "-margin", "so", True
        ),
        "second": Declared("C2", "It gains", "second", "", "lower"),
        "others": Declared("C2", "It gains {kind}", "third, {kind}", "", "lower", repeated=True),
    }
    monkeypatch.setattr("companion.evidence.filled.ROWS", {"01-cc-layer": declared})
    monkeypatch.setenv("CCLIB_OUTPUT", str(tmp_path))
    return Filled("01-cc-layer", margin=1.0)


def seeds_of_a_value(spread: float) -> Measured:
    """Of 1.5 points, the threshold being -1, with so wide an interval at every n."""
    return lambda n: (claims.interval([1.5 - spread, *[1.5] * (n - 2), 1.5 + spread]), f"conv: {n} seeds")


def test_seeds_are_added_until_a_row_is_decided(rows: Filled) -> None:
    table = rows.until_decided("first", seeds_of_a_value(1.0), [3, 6, 9], count=4)
    ((_, row),) = rows.filled
    assert table.index.tolist() == [3, 6]
    assert table["verdict"].tolist() == ["inconclusive", "reproduced"]
    assert (row["n"], row["looks"], row["baseline"]) == (6, [3, 6, 9], "conv: 6 seeds")
    level = families.LEVEL / 2 / PRIMARY * sequential.share([3, 6, 9], 6)
    error = math.sqrt(2 / 5) / math.sqrt(6)
    assert table["low"][6] == pytest.approx(1.5 - float(stats.t.isf(level, 5)) * error)


def test_seeds_end_where_the_budget_does(rows: Filled) -> None:
    table = rows.until_decided("first", seeds_of_a_value(30.0), [3, 6], count=4)
    assert table["verdict"].tolist() == ["inconclusive"] * 2
    assert rows.filled[0][1]["n"] == 6
    with pytest.raises(ValueError, match="row 'first' is filled in twice"):
        rows.until_decided("first", seeds_of_a_value(1.0), [3], count=4)


def test_seeds_until_decided_are_those_asked_for(rows: Filled) -> None:
    fixed = seeds_of_a_value(1.0)(4)
    with pytest.raises(ValueError, match="row 'first' is asked for 3 seeds, and measured with 4"):
        rows.until_decided("first", lambda n: fixed, [3, 4], count=4)
    with pytest.raises(ValueError, match="looks, a list of numbers of seeds, are those of a primary row"):
        rows.until_decided("second", seeds_of_a_value(1.0), [3, 4])
    assert not rows.filled


def test_rows_are_written_in_the_order_of_their_declaration(rows: Filled, tmp_path: Path) -> None:
    for kind in ("b", "a"):
        rows.fill("others", claims.exact(3.0, 4), "nothing", kind=kind)
    rows.fill("second", claims.exact(1.0, 4), "nothing")
    row = rows.fill("first", claims.exact(-0.5, 4), "conv: 86.7 %", count=4)
    assert (row["statement"], row["quantity"]) == ("It loses at most 1", "first, 4 cases")
    assert (row["threshold"], row["margin"], row["reason"], row["notebook"]) == (-1.0, 1.0, "so", "01-cc-layer")
    shown = rows.write()._repr_markdown_()
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert [row["quantity"] for row in written.values()] == ["first, 4 cases", "second", "third, b", "third, a"]
    assert shown.count("\n| ") == 5  # a head, a rule and four rows
    assert shown.endswith("\n* first, 4 cases: at least -1 points, since so.")
    assert repr(rows) == "4 rows of 01-cc-layer"


def test_a_row_that_is_not_filled_in_is_named(rows: Filled) -> None:
    rows.fill("second", claims.exact(1.0, 4), "nothing")
    with pytest.raises(ValueError, match=r"^01-cc-layer: not filled in: 'first'$"):
        rows.write()


def test_rows_that_cannot_be_filled_in(rows: Filled) -> None:
    point = claims.exact(1.0, 4)
    with pytest.raises(ValueError, match=r"no row 'third' is declared in companion/evidence/rows\.py: 'first'"):
        rows.fill("third", point, "nothing")
    with pytest.raises(ValueError, match="row 'first' needs the parameter 'count'"):
        rows.fill("first", point, "nothing")
    rows.fill("second", point, "nothing")
    with pytest.raises(ValueError, match="row 'second' is filled in twice"):
        rows.fill("second", point, "nothing")
    with pytest.raises(ValueError, match="notebook must be one of 01-cc-layer, got '02'"):
        Filled("02")
