"""The claims, and what a row that tests one declares, before a run; the rows themselves are in ``rows``.

A row's threshold is a parameter of its notebook, whose value stands in ``profiles/``. How an interval becomes a verdict
is ``claims``'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, or a question of this companion's own.

    Args:
        sentence: the claim in this companion's words.
        source: where it comes from: the numbers of the sentences of the paper's abstract, or "own question".
        figure: the notebook and the figure that show the answer best.
    """

    sentence: str
    source: str
    figure: tuple[str, str]


@dataclass(frozen=True)
class Declared:
    """A row as declared; ``statement`` and ``quantity`` may name parameters of the notebook in braces.

    Args:
        claim: "C1" to "C11".
        statement: the claim in words, as far as this row tests it.
        quantity, unit: what is measured; no unit is "".
        threshold: the parameter of the notebook that holds it; "-name" is its negative.
        better: whether "higher" or "lower" values are.
        primary: whether this is the row by which the claim is quoted, one for each claim.
        repeated: whether the notebook fills it in several times, with other words each time, or not at all.
    """

    claim: str
    statement: str
    quantity: str
    unit: str
    threshold: str
    better: Literal["higher", "lower"]
    primary: bool = False
    repeated: bool = False


CLAIMS: dict[str, Claim] = {
    "C1": Claim(
        "A CC layer is a natural extension of the conv layer",
        "sentences 5 and 6",
        ("01-cc-layer", "four-steps"),
    ),
    "C2": Claim(
        "Its filter is a learned continuous function over sub-pixel coordinates",
        "sentence 6",
        ("01-cc-layer", "learned-filter"),
    ),
    "C3": Claim(
        "It resizes to any size; scales may be non-integer and differ between the axes",
        "sentences 7 and 9",
        ("08-any-scale-kernel", "unseen-factors"),
    ),
    "C4": Claim(
        "Resizing is principled and consistent across scales",
        "sentence 7",
        ("08-any-scale-kernel", "learned-kernel"),
    ),
    "C5": Claim(
        "Once trained, any size can be chosen at inference: dynamic layer shapes",
        "sentences 8 and 10",
        ("05-dynamic-shapes", "dynamic-shapes"),
    ),
    "C6": Claim(
        "Gradual architectures, which change size by small factors, are worth having",
        "sentence 10",
        ("04-gradual", "gradual"),
    ),
    "C7": Claim(
        "Conv layers suffer from inherent misalignments, which CC layers ameliorate",
        "sentence 12",
        ("02-misalignment", "displacement"),
    ),
    "C8": Claim(
        "Desired properties follow, such as shift equivariance",
        "a reading of sentence 11",
        ("07-shift-equivariance", "change-of-logits"),
    ),
    "C9": Claim(
        "One network run at several internal scales is an ensemble for free",
        "own question, after sentence 10",
        ("06-scale-ensembles", "gains"),
    ),
    "C10": Claim(
        "Applications: super-resolution by any factor, decoders for any size",
        "a reading of sentence 11",
        ("09-super-resolution", "gain-by-factor"),
    ),
    "C11": Claim(
        "It can be computed efficiently",
        "own question",
        ("11-efficiency", "time-and-memory"),
    ),
}
