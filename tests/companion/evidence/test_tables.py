"""Numbers as people read them, and the tables of README.md and results/CLAIMS.md."""

import re

import pytest

from companion.evidence import families, registry, tables
from companion.workflow import commands

ROWS = families.read(commands.CLAIMS)
PRIMARY = [row for row in ROWS if row["primary"]]


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
    assert tables.span({"value": value, "low": low, "high": high, "threshold": threshold, "margin": None}) == text


def cells(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its head."""
    return [re.split(r" \| ?", line[2:-2]) for line in table.splitlines()[2:]]


def test_a_margin_is_seen_to_be_kept() -> None:
    row = {"value": 0.1, "low": -0.503, "high": 0.7, "threshold": 0.5, "margin": 0.5}
    assert tables.span(row) == "0.100 [-0.503, 0.700]"
    assert tables.span(row | {"threshold": None, "margin": None}) == "0.10 [-0.50, 0.70]"


def test_every_judged_row_has_its_line() -> None:
    lines = cells(tables.primary_table(ROWS))
    assert [(line[0], line[3]) for line in lines] == [(row["claim"], row["quantity"]) for row in PRIMARY]
    for line, row in zip(lines, PRIMARY, strict=True):
        assert line[4:6] == [tables.required(row), row["reason"]]
        assert line[7:] == [tables.adjusted(row), f"**{tables.outcome(row)}**"]


def test_findings_quote_every_judged_row() -> None:
    lines = cells(tables.findings(ROWS))
    assert [line[0] for line in lines if line[0]] == list(registry.CLAIMS)
    assert [line[1] for line in lines if line[0]] == [
        claim.sentence + (" (our own question)" if claim.own else "") for claim in registry.CLAIMS.values()
    ]
    for line, row in zip(lines, PRIMARY, strict=True):
        link = f"[{row['notebook']}](results/{row['notebook']}/notebook.ipynb)"
        assert line[2] == f"{row['quantity']}: **{tables.adjusted(row)}**"
        assert line[3:] == [tables.required(row), row["verdict"], link]


def test_a_claim_whose_notebook_was_not_run_says_so() -> None:
    lines = cells(tables.findings([row for row in ROWS if row["claim"] != "C7"]))
    (line,) = [line for line in lines if line[0] == "C7"]
    assert line[:3] == ["C7", registry.CLAIMS["C7"].sentence, "not run yet"]


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        (12, "inconclusive (12 seeds would decide)"),
        (None, "inconclusive (more seeds than anybody would train would decide)"),
    ],
)
def test_an_inconclusive_row_says_what_would_decide_it(seeds: int | None, text: str) -> None:
    assert tables.outcome({"verdict": "inconclusive", "seeds_to_decide": seeds}) == text


def test_a_declared_text_matches_what_it_is_filled_in_with() -> None:
    template = registry.pattern("gain over {other} (mean of {count})")
    assert re.fullmatch(template, "gain over conv + blur (mean of 3)")
    assert not re.fullmatch(template, "gain over conv + blur")


def test_a_section_needs_its_markers() -> None:
    assert tables.replace_section("a <!-- x:begin -->old<!-- x:end --> b", "x", "new") == (
        "a <!-- x:begin -->\n\nnew\n\n<!-- x:end --> b"
    )
    with pytest.raises(ValueError, match="needs the markers <!-- x:begin --> and <!-- x:end -->"):
        tables.replace_section("<!-- x:end --><!-- x:begin -->", "x", "")
