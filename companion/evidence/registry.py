"""The claims, and what a row that tests one declares, before a run; the rows themselves are in ``rows``.

A threshold is a parameter of its notebook, whose value stands in ``profiles/``. How intervals become verdicts is
``families``'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, or a question of this companion's own.

    Args:
        sentence: the claim in this companion's words.
        source: where it comes from: the numbers of the sentences of the paper's abstract, or "own question" and more.
        figure: the notebook and the figure that show the answer best.
    """

    sentence: str
    source: str
    figure: tuple[str, str]

    @property
    def own(self) -> bool:
        """Whether the paper's abstract does not claim it."""
        return self.source.startswith("own question")


@dataclass(frozen=True)
class Declared:
    """A row as declared; ``statement``, ``quantity`` and ``reason`` may name parameters of the notebook in braces.

    A row with a threshold is *primary*: it is judged, together with the primary rows of all claims. The others are
    measurements, with an interval and no verdict.

    Args:
        claim: "C1" to "C11".
        statement: the claim in words, as far as this row tests it.
        quantity, unit: what is measured; no unit is "".
        better: whether "higher" or "lower" values are.
        threshold: of a primary row the parameter of the notebook that holds it; "-name" is its negative.
        reason: of a primary row why there, in words that follow "since": what difference would matter to a user.
        difference: whether the value is a difference of which zero is none, so that what surely lies between the
            threshold and its negative is no difference worth a word.
        repeated: whether the notebook fills it in several times, with other words each time, or not at all.
    """

    claim: str
    statement: str
    quantity: str
    unit: str
    better: Literal["higher", "lower"]
    threshold: str = ""
    reason: str = ""
    difference: bool = False
    repeated: bool = False

    @property
    def primary(self) -> bool:
        return bool(self.threshold)


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


def pattern(template: str) -> str:
    """The regular expression that a text with braces, as declared, becomes when they are filled in."""
    return ".+".join(re.escape(words) for words in re.split(r"\{[^}]*\}", template))
