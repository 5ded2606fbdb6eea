"""The index: the idea under the reader's hand, what was found, how it was judged, then every claim in full."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup
from PIL import Image

from companion.evidence import claims, families, registry, replicated, tables
from companion.evidence.pages import drawings
from companion.evidence.pages.executed import Notebook
from companion.evidence.pages.rendering import environment
from companion.evidence.pages.sentences import sentence
from companion.evidence.pages.strip import face

NAMES = (
    "layer",
    "figure",
    "alignment",
    "network",
    "restorer",
    "shift",
    "kernel",
)  # in this order: later ones use earlier ones
SCRIPTS = [Path(__file__).parent / "article" / f"{name}.js" for name in NAMES]
# The figures that move, by claim.
LIVE = {"C3": "kernel.html", "C5": "shapes.html", "C7": "alignment.html", "C8": "shift.html", "C10": "restorer.html"}


def index_page(
    rows: Sequence[claims.Row],
    again: Sequence[claims.Row],
    asked_with: str,
    larger: Mapping[str, Mapping[str, Sequence[claims.Row]]],
    notebooks: dict[str, Notebook],
    trained: Mapping[str, Any],
) -> str:
    """The page of all claims.

    rows: those of claims.json, judged.
    again: those of other seeds, judged; none where nobody has computed them.
    asked_with: what these were asked with, in words.
    larger: those of larger profiles, by profile and notebook.
    notebooks: by name, those behind the rows.
    trained: what network.js, restorer.js, shift.js and kernel.js read, by the name in their templates.
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
                "own": claim.own,
                "rows": of_claim,
                "primary": primary,
                "finding": sentence(primary, of_claim),
                "figure": f"{home}/figures/{figure}.svg",
                "caption": notebooks[home].captions[figure],
                "size": notebooks[home].sizes[figure],
                "notebooks": [notebooks[name] for name in dict.fromkeys(row["notebook"] for row in of_claim)],
            }
        )
    made = {name: made_by(notebook.machine) for name, notebook in notebooks.items()}
    return (
        environment()
        .get_template("index.html")
        .render(
            made=made,
            shared={
                kind: Counter(words[kind] for words in made.values()).most_common(1)[0][0]
                for kind in ("machine", "versions")
            },
            claims=sections,
            again={tables.identity(row): row for row in again if row["primary"]},
            agreeing=replicated.same_verdicts(rows, again),
            asked_with=asked_with,
            changed=replicated.changed(rows, again),
            apart=replicated.apart(rows, again),
            compared=len(again),
            larger=larger,
            measured_in=tables.measured_in,
            identity=tables.identity,
            counts=Counter(row["verdict"] for row in rows if row["primary"]),
            measurements=len(rows),
            notebooks=notebooks,
            verdicts=families.VERDICTS,
            interval=drawings.interval,
            badge=drawings.badge,
            live=LIVE,
            trained=trained,
            curves=kernel_curves(trained["kernel"], rows),
            still=notebooks["01-cc-layer"].captions["four-steps"],
            still_size=notebooks["01-cc-layer"].sizes["four-steps"],
            source=picture(),
            script=Markup("\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)),
        )
    )


def made_by(machine: Mapping[str, Any]) -> dict[str, str]:
    """The machine and the versions behind a notebook, in words. machine: its machine.json."""
    hardware = machine["hardware"]
    return {
        "machine": "{cores} cores of {cpu} ({family}), {settings} instructions ({instructions}), {memory_gib} GiB, "
        "GPU: {gpu}, {system}".format(**hardware),
        "versions": ", ".join(f"{package} {version}" for package, version in machine["versions"].items()),
    }


def kernel_curves(kernel: Mapping[str, Any], rows: Sequence[claims.Row]) -> Markup:
    """How close each kernel comes at every factor, and the level that was asked for of the worst."""
    asked = next(row for row in rows if row["claim"] == "C4" and row["primary"])
    words = {"cc": "continuous", "conv": "discrete kernel", "classical": "bilinear"}
    return drawings.curves(
        [tenths / 10 for tenths in kernel["tenths"]],
        {name: (words[name], values) for name, values in kernel["psnr"].items()},
        tuple(kernel["trained"]),
        (asked["threshold"], "invisible above"),
    )


def picture() -> str:
    """The picture of the first figure as a data URL."""
    pixels = (255 * face()).round().to(torch.uint8).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
