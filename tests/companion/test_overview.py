"""The overview: every claim has its line, and every row of results is counted in one."""

from companion.evidence import claims, tables
from companion.workflow import commands


def test_every_claim_has_a_sentence_and_every_row_is_counted() -> None:
    rows = claims.read(commands.CLAIMS)
    assert tuple(tables.SENTENCES) == claims.CLAIMS
    lines = [line.strip("| ").split(" | ") for line in tables.overview_table(rows).splitlines()[2:]]
    counted = sum(int(cell or 0) for line in lines for cell in line[2:5])
    assert counted == len(rows)
    verdicts = {row["verdict"] for row in rows}
    assert verdicts <= set(tables.VERDICTS)


def test_a_claim_names_its_notebooks_once() -> None:
    rows = [row for row in claims.read(commands.CLAIMS) if row["claim"] == "C2"]
    line = tables.overview_table(rows).splitlines()[3]
    for notebook in {row["notebook"] for row in rows}:
        assert line.count(f"results/{notebook}/") == 1
