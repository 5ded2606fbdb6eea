"""The index: the idea under the reader's hand, then every claim with its verdicts, its key figure and its rows."""

from __future__ import annotations

import base64
import html
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup
from PIL import Image

from cclib import cc_conv2d, filters
from companion import data
from companion.evidence import claims, families, registry, tables
from companion.evidence.pages.executed import Notebook
from companion.evidence.pages.rendering import environment

NAMES = ("layer", "figure", "alignment", "network", "restorer", "shift")  # in this order: later ones use earlier ones
SCRIPTS = [Path(__file__).parent / "article" / f"{name}.js" for name in NAMES]
# The figures that move, by claim.
LIVE = {"C5": "shapes.html", "C7": "alignment.html", "C8": "shift.html", "C10": "restorer.html"}
SIDE = 32  # pixels of the first figure's picture


def index_page(rows: Sequence[claims.Row], notebooks: dict[str, Notebook], trained: Mapping[str, Any]) -> str:
    """The page of all claims.

    rows: those of claims.json, judged.
    notebooks: by name, those behind the rows.
    trained: what network.js, restorer.js and shift.js read, by the name in their templates.
    """
    sections = []
    for name, claim in registry.CLAIMS.items():
        of_claim = [row for row in rows if row["claim"] == name]
        primary = [row for row in of_claim if row["primary"]]
        home, figure = claim.figure
        sections.append(
            {
                "id": name,
                "sentence": claim.sentence,
                "rows": of_claim,
                "primary": primary,
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
            counts=Counter(row["verdict"] for row in rows if row["primary"]),
            measurements=len(rows),
            notebooks=notebooks,
            verdicts=families.VERDICTS,
            forest=forest,
            live=LIVE,
            **{name: Markup(json.dumps(values).replace("<", "\\u003c")) for name, values in trained.items()},
            still=notebooks["01-cc-layer"].captions["four-steps"],
            source=picture(),
            script=Markup("\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)),
        )
    )


def picture() -> str:
    """The picture of the first figure as a data URL: a cat's face, reduced by the layer itself."""
    face = data.photographs()["chelsea"][:, 20:276, 110:366]
    small = cc_conv2d(face[None], filters.ClassicalFilter("cubic", 3), size=SIDE, stretch=True, groups=3)
    pixels = (255 * small[0].clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def forest(row: claims.Row) -> Markup:
    """The adjusted interval of a row beside its threshold, the line in the middle; to the right of it is better."""
    width, height, margin = 180, 24, 8
    sign = 1 if row["better"] == "higher" else -1
    low, high = sorted(sign * (row[end] - row["threshold"]) for end in ("adjusted_low", "adjusted_high"))
    mean = sign * (row["value"] - row["threshold"])
    reach = max(abs(low), abs(high)) or 1.0

    def at(distance: float) -> str:
        return f"{width / 2 + distance / reach * (width / 2 - margin):.1f}"

    middle = height / 2
    left = float(at(mean)) - 4.5
    mark = {
        "reproduced": f'<circle cx="{at(mean)}" cy="{middle}" r="5"/>',
        "no difference": f'<path d="M{left:.1f} {middle - 3} h9 m-9 6 h9"/>',
        "inconclusive": f'<rect x="{left:.1f}" y="{middle - 4.5}" width="9" height="9"/>',
        "not reproduced": f'<path d="M{at(mean)} {middle - 6} l6 6 l-6 6 l-6 -6 z"/>',
    }[row["verdict"]]
    label = html.escape(f"{tables.adjusted(row)}, asked for {tables.required(row)}: {row['verdict']}")
    return Markup(
        f'<svg class="forest {row["verdict"].replace(" ", "-")}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{label}"><line class="threshold" x1="{width / 2}" x2="{width / 2}" y1="1" y2="{height - 1}"/>'
        f'<line x1="{at(low)}" x2="{at(high)}" y1="{middle}" y2="{middle}"/>{mark}</svg>'
    )
