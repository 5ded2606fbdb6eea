"""The index: every claim with its intervals, its key figure and what its rows say together."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from companion.evidence import claims, registry, tables
from companion.evidence.pages.executed import Notebook
from companion.evidence.pages.rendering import environment


def index_page(rows: Sequence[claims.Row], notebooks: dict[str, Notebook]) -> str:
    """The page of all claims. rows: those of claims.json. notebooks: by name, those behind the rows."""
    sections = []
    for name, claim in registry.CLAIMS.items():
        of_claim = [row for row in rows if row["claim"] == name]
        home, figure = claim.figure
        sections.append(
            {
                "id": name,
                "sentence": claim.sentence,
                "rows": of_claim,
                "answer": answer(of_claim),
                "figure": f"{home}/figures/{figure}.svg",
                "caption": notebooks[home].captions[figure],
                "notebooks": [notebooks[name] for name in dict.fromkeys(row["notebook"] for row in of_claim)],
            }
        )
    return (
        environment()
        .get_template("index.html")
        .render(
            claims=sections,
            counts=Counter(row["verdict"] for row in rows),
            notebooks=notebooks,
            verdicts=claims.VERDICTS,
            forest=forest,
        )
    )


def answer(rows: Sequence[claims.Row]) -> str:
    """What the rows of a claim say together, in one paragraph."""
    sentences = []
    total = Counter(row["statement"] for row in rows)
    for verdict in claims.VERDICTS:
        of_verdict = Counter(row["statement"] for row in rows if row["verdict"] == verdict)
        if not of_verdict:
            continue
        parts = [
            f"“{statement}”" + ("" if count == total[statement] else f" ({count} of {total[statement]} comparisons)")
            for statement, count in of_verdict.items()
        ]
        sentences.append(f"{verdict.capitalize()}: {'; '.join(parts)}.")
    return " ".join(sentences)


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
