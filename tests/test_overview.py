"""The overview: every claim has its line, and every row of results is counted in one."""

from cclib import claims, overview, pipeline


def test_every_claim_has_a_sentence_and_every_row_is_counted() -> None:
    rows = claims.read(pipeline.CLAIMS)
    assert tuple(overview.SENTENCES) == claims.CLAIMS
    lines = [line.strip("| ").split(" | ") for line in overview.overview_table(rows).splitlines()[2:]]
    counted = sum(int(cell or 0) for line in lines for cell in line[2:5])
    assert counted == len(rows)
    verdicts = {row["verdict"] for row in rows}
    assert verdicts <= set(overview.VERDICTS)


def test_a_claim_names_its_notebooks_once() -> None:
    rows = [row for row in claims.read(pipeline.CLAIMS) if row["claim"] == "C2"]
    line = overview.overview_table(rows).splitlines()[3]
    for notebook in {row["notebook"] for row in rows}:
        assert line.count(f"results/{notebook}/") == 1
