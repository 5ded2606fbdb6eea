"""Numbers as people read them, and the tables of README.md and results/CLAIMS.md."""

import re

import pytest

from companion.evidence import claims, registry, rows, tables
from companion.workflow import commands

ROWS = claims.read(commands.CLAIMS)


@pytest.mark.parametrize(
    ("value", "low", "high", "threshold", "text"),
    [
        (0.2, -0.04771, 0.4477, -1, "0.20 [-0.05, 0.45]"),
        (1.72, 0.009566, 3.43, 0.5, "1.7 [0.0, 3.4]"),
        (1.72, -0.009566, 3.45, 0.5, "1.7 [0.0, 3.5]"),
        (1.72, -0.009566, 3.43, 0, "1.72 [-0.01, 3.43]"),  # inconclusive, and seen to be
        (1.72, 0.4987, 2.94, 0.5, "1.720 [0.499, 2.940]"),
        (27.95, 18.54, 37.36, 5, "27.9 [18.5, 37.4]"),
        (151.2, 103.0, 199.4, 0, "151 [103, 199]"),
        (0.007732, 0.007732, 0.007732, 0.25, "0.007732"),
        (1.776e-15, 1.776e-15, 1.776e-15, 1e-10, "1.776e-15"),
    ],
)
def test_an_interval_is_given_to_two_digits_of_its_half(
    value: float, low: float, high: float, threshold: float, text: str
) -> None:
    assert tables.span({"value": value, "low": low, "high": high, "threshold": threshold}) == text


def cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its head."""
    return [re.split(r" \| ?", line[2:-2]) for line in table.splitlines()[2:]]


def test_the_overview_counts_every_row_in_the_line_of_its_claim() -> None:
    lines = cells(tables.overview_table(ROWS))
    assert [line[0] for line in lines] == list(registry.CLAIMS)
    assert sum(int(cell or 0) for line in lines for cell in line[3:6]) == len(ROWS)
    for line in lines:
        for notebook in {row["notebook"] for row in ROWS if row["claim"] == line[0]}:
            assert line[-1].count(f"({notebook}/notebook.ipynb)") == 1


def test_every_claim_is_quoted_by_one_row() -> None:
    for name, row in tables.primary_rows(ROWS).items():
        declared = [
            (notebook, row)
            for notebook, of_notebook in rows.ROWS.items()
            for row in of_notebook.values()
            if row.primary and row.claim == name
        ]
        assert len(declared) == 1, name
        notebook, template = declared[0][0], tables.pattern(declared[0][1].quantity)
        same = [other for other in ROWS if other["notebook"] == notebook and re.fullmatch(template, other["quantity"])]
        assert same == [row], name


def test_findings_quote_the_row_of_each_claim_and_count_the_others() -> None:
    lines = cells(tables.findings(ROWS))
    quoted = tables.primary_rows(ROWS)
    assert [line[0] for line in lines] == list(registry.CLAIMS)
    for name, sentence, measured, verdict, share, link in lines:
        row = quoted[name]
        verdicts = [other["verdict"] for other in ROWS if other["claim"] == name]
        assert row is not None
        assert sentence == registry.CLAIMS[name].sentence
        assert row["quantity"] in measured
        assert f"**{tables.span(row)}" in measured
        assert (verdict, share) == (row["verdict"], f"{verdicts.count('reproduced')} of {len(verdicts)}")
        assert link == f"[{row['notebook']}](results/{row['notebook']}/notebook.ipynb)"


def test_a_claim_whose_notebook_was_not_run_says_so() -> None:
    line = cells(tables.findings([row for row in ROWS if row["claim"] != "C7"]))[6]
    assert line[:3] == ["C7", registry.CLAIMS["C7"].sentence, "not run yet"]


def test_a_declared_text_matches_what_it_is_filled_in_with() -> None:
    template = tables.pattern("gain over {other} (mean of {count})")
    assert re.fullmatch(template, "gain over conv + blur (mean of 3)")
    assert not re.fullmatch(template, "gain over conv + blur")


def test_a_section_needs_its_markers() -> None:
    assert tables.replace_section("a <!-- x:begin -->old<!-- x:end --> b", "x", "new") == (
        "a <!-- x:begin -->\n\nnew\n\n<!-- x:end --> b"
    )
    with pytest.raises(ValueError, match="needs the markers <!-- x:begin --> and <!-- x:end -->"):
        tables.replace_section("<!-- x:end --><!-- x:begin -->", "x", "")
