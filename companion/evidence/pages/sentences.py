"""What was found, in a sentence for each claim: words that hold whatever the number, which is filled in."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup

from companion.evidence import registry, tables
from companion.evidence.claims import Row
from companion.evidence.pages.rendering import typeset
from companion.evidence.rows import ROWS

# A clause for each judged row, by its notebook and its name there; {} is the value with its interval and unit.
CLAUSES = {
    ("01-cc-layer", "special cases"): "with the same weights, the layer differs from strided, transposed and plain "
    "convolutions by {} at most",
    ("02-misalignment", "cc, mean"): "after several halvings, the outputs of continuous layers lie {} from where they "
    "are taken to lie",
    ("02-misalignment", "strided conv"): "those of strided convolutions {}",
    ("03-drop-in", "cc"): "a continuous layer in place of every convolution changes test accuracy by {}",
    (
        "04-gradual",
        "conv abrupt, all widths",
    ): "at equal multiply-adds, maps that shrink gradually instead of by halves change accuracy by {}",
    ("05-dynamic-shapes", "compute, conv, many sizes"): "to shrink the maps of a continuous network rather than the "
    "input of a convolutional one, for the same arithmetic, changes accuracy by {}",
    ("05-dynamic-shapes", "one schedule"): "to have trained at one size only, with filters of B-splines, and not at "
    "many, changes it at the other sizes by {}",
    ("06-scale-ensembles", "nominal"): "to average the answers of one network at several internal sizes changes its "
    "accuracy by {}",
    ("07-shift-equivariance", "agreement, any distance"): "when pictures move and nobody says how far, a continuous "
    "network keeps more of its answers than a strided one, by {}",
    (
        "07-shift-equivariance",
        "change over moving back, B-spline",
    ): "told how far, with filters of B-splines and for smooth pictures, its logits change {} times as much as those "
    "of a strided network whose picture is moved back",
    ("08-any-scale-kernel", "over a discrete kernel"): "at factors that it never saw, a continuous filter is closer to "
    "the right answer than a discrete kernel, by {}",
    ("08-any-scale-kernel", "worst factor"): "at the worst factor that it never saw, "
    "the PSNR of a continuous filter to the right answer is {}",
    (
        "09-super-resolution",
        "pixel shuffle + resize",
    ): "at factors that it never saw, a continuous super-resolver gains {} over a pixel shuffle and a resize",
    ("10-any-size-decoder", "unseen sizes"): "at sizes that it never saw, a continuous decoder gains {} over a "
    "convolutional one and a resize",
    ("11-efficiency", "few phases"): "layers that need few filters take {} times as long as ordinary convolutions",
}

# What a reader should know beside a judged row: words, and the measurements that they are about.
BESIDE = {
    ("04-gradual", "conv abrupt, all widths"): (
        ("beside a wider convolutional network that takes about as long it is {}", "conv, same time"),
    ),
    ("05-dynamic-shapes", "compute, conv, many sizes"): (
        ("beside a convolutional network whose maps are resized it is {}", "compute, conv + resize, many sizes"),
    ),
    ("05-dynamic-shapes", "one schedule"): (
        ("beside one that reads its filters in the same way, at larger ones by {}", "one schedule, larger maps"),
        ("at smaller ones by {}", "one schedule, smaller maps"),
    ),
    ("07-shift-equivariance", "agreement, any distance"): (
        ("beside one with a blur before it halves it is {}", "agreement, blur"),
    ),
    ("07-shift-equivariance", "change over moving back, B-spline"): (
        ("for pictures with all their detail {}", "change over moving back, B-spline, all detail"),
        ("where the picture is moved back by the same B-splines {}", "change over moving back by B-splines"),
        ("with free filters {}", "change over moving back, trained with moves"),
    ),
}


def declared_as(row: Row) -> str:
    """The name of a row in ``rows``, or "" where it is declared no more."""
    return next(
        (
            name
            for name, declared in ROWS[row["notebook"]].items()
            if re.fullmatch(registry.pattern(declared.quantity), row["quantity"])
        ),
        "",
    )


def sentence(rows: Sequence[Row], measured: Sequence[Row] = ()) -> Markup:
    """One sentence on the judged rows of a claim; a row without a clause is told by its own words.

    measured: all rows of the claim, for what stands beside.
    """
    named = {(row["notebook"], declared_as(row)): row for row in measured}
    clauses = []
    for row in rows:
        key = row["notebook"], declared_as(row)
        clause = CLAUSES.get(key)
        number = Markup('<b class="value">{}</b>').format(typeset(tables.adjusted(row)))
        told = Markup(clause or Markup.escape(f"{row['quantity']}: ") + "{}").format(number)
        beside = [
            Markup(words).format(typeset(f"{tables.span(other)} {other['unit']}".rstrip()))
            for words, name in BESIDE.get(key, ())
            if (other := named.get((row["notebook"], name)))
        ]
        told += Markup(" ({})").format(Markup(", ").join(beside)) if beside else ""
        clauses.append(told)
    joined = Markup("; ").join(clauses)
    return joined[:1].upper() + joined[1:] + "."
