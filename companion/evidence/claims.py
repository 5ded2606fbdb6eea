"""Means with intervals, and the rows of metrics.json.

It knows nothing of models, data or notebooks: which claims there are stands in ``registry``, a notebook hands over
its numbers by ``filled``, and ``families`` judges the rows of all of them.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

from companion import files
from companion.evidence import sequential
from companion.evidence.registry import CLAIMS

Row = dict[str, Any]

_TEXTS = ("claim", "notebook", "statement", "quantity", "unit", "better", "baseline")
_NUMBERS = ("value", "low", "high")
KEYS = (
    *("claim", "notebook", "statement", "quantity", "unit", "value", "low", "high", "n"),
    *("better", "baseline", "primary", "threshold", "margin", "reason", "looks"),
)


@dataclass(frozen=True)
class Interval:
    """A mean with the interval that holds it, from `n` values."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean and confidence interval of independent values (one per seed), by Student's t distribution.

    Raises ValueError for fewer than two values, values that are not finite, and a confidence outside (0, 1).
    """
    data = _finite("values", values)
    if len(data) < 2:
        raise ValueError(
            f"values: an interval needs at least 2 values, got {len(data)}; exact() takes what is not random"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence!r}")
    # Not scipy.stats.ttest_1samp, which differs in the last bits and warns of values that are equal.
    mean = float(data.mean())
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(data) - 1))
    half = quantile * float(data.std(ddof=1)) / math.sqrt(len(data))
    return Interval(mean, mean - half, mean + half, len(data))


def paired(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> Interval:
    """The interval of the differences a − b, pair by pair: a[i] and b[i] share their seed."""
    first, second = _finite("a", a), _finite("b", b)
    if len(first) != len(second):
        raise ValueError(f"a and b must pair up, got {len(first)} and {len(second)} values")
    return interval(list(first - second), confidence)


def exact(value: float, n: int) -> Interval:
    """A quantity without randomness, such as a worst case over all `n` cases: the interval is one point."""
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"n must be a whole number of cases, at least 1, got {n!r}")
    number = float(_finite("value", [value])[0])
    return Interval(number, number, number, n)


def row(
    *,
    claim: str,
    notebook: str,
    statement: str,
    quantity: str,
    unit: str,
    interval: Interval,
    better: Literal["higher", "lower"],
    baseline: str,
    threshold: float | None = None,
    margin: float | None = None,
    reason: str | None = None,
    looks: Sequence[int] | None = None,
) -> Row:
    """One line of the claims table.

    claim: C1 … C11. notebook: its NN-name. statement: the claim in words. quantity: what was measured.
    unit: of the value, '' for a pure number. baseline: what it is compared with, such as 'strided conv k3: 2.36 px',
    built by code from a number. threshold: of a primary row, from the profile, in that unit. margin: what lies between
    it and its negative is no difference. reason: why the threshold of a primary row is where it is. looks: of a primary
    row the numbers of seeds after which it may have been decided, of which `interval` has one.
    Raises ValueError for an unknown claim, missing words or a number that is not finite.
    """
    filled = {
        "claim": claim,
        "notebook": notebook,
        "statement": statement,
        "quantity": quantity,
        "unit": unit,
        "value": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "better": better,
        "baseline": baseline,
        "primary": threshold is not None,
        "threshold": None if threshold is None else float(threshold),
        "margin": None if margin is None else float(margin),
        "reason": reason,
        "looks": None if looks is None else list(looks),
    }
    check_row(filled)
    return filled


def check_row(row: Any, where: str = "row") -> None:
    """Raise ValueError, its message opening with `where`, unless `row` has the keys and types of a row."""
    if not isinstance(row, dict) or set(row) != set(KEYS):
        given = sorted(row) if isinstance(row, dict) else row
        raise ValueError(f"{where}: must have the keys {', '.join(KEYS)}; got {given!r}")
    for key in _TEXTS:
        if not isinstance(row[key], str) or (key != "unit" and not row[key].strip()):
            raise ValueError(f"{where}: {key} must be text, got {row[key]!r}")
    limits = [key for key in ("threshold", "margin") if row[key] is not None]
    for key in (*_NUMBERS, *limits):
        if not isinstance(row[key], float) or not math.isfinite(row[key]):
            raise ValueError(f"{where}: {key} must be a finite float, got {row[key]!r}")
    if row["claim"] not in CLAIMS:
        raise ValueError(f"{where}: claim must be one of {', '.join(CLAIMS)}; got {row['claim']!r}")
    if type(row["n"]) is not int or row["n"] < 1:
        raise ValueError(f"{where}: n must be a whole number, at least 1, got {row['n']!r}")
    if row["better"] not in ("higher", "lower"):
        raise ValueError(f"{where}: better must be 'higher' or 'lower', got {row['better']!r}")
    if row["primary"] is not ("threshold" in limits):
        raise ValueError(f"{where}: a row is primary if it has a threshold, got {row['primary']!r}")
    if row["primary"] is not (isinstance(row["reason"], str) and bool(row["reason"].strip())):
        raise ValueError(f"{where}: a primary row, and no other, has a reason for its threshold, got {row['reason']!r}")
    if "margin" in limits and not 0 < row["margin"] == abs(row["threshold"] or 0.0):
        raise ValueError(f"{where}: margin must be the threshold without its sign, and not 0, got {row['margin']!r}")
    if row["looks"] is not None:
        if not row["primary"] or not isinstance(row["looks"], list):
            raise ValueError(f"{where}: looks, a list of numbers of seeds, are those of a primary row")
        try:
            sequential.share(row["looks"], row["n"])
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None


def slug(row: Row) -> str:
    """The row's key in metrics.json: its claim and quantity in letters, digits and hyphens."""
    words = re.sub(r"[^a-z0-9]+", "-", row["quantity"].lower()).strip("-")
    return f"{row['claim']}-{words}"


def write(rows: Iterable[Row]) -> None:
    """Write the rows to metrics.json in the notebook's folder, as slug -> row, which `dvc metrics` can show.

    Raises ValueError for two rows with the same claim and quantity.
    """
    by_slug: dict[str, Row] = {}
    for item in rows:
        check_row(item)
        if slug(item) in by_slug:
            raise ValueError(f"rows: two rows are called {slug(item)!r}; give them different quantities")
        by_slug[slug(item)] = item
    files.write_json(files.folder() / "metrics.json", by_slug)


def read(path: Path) -> list[Row]:
    """The checked rows of a metrics.json; ValueError or FileNotFoundError name the file."""
    content = parsed(path)
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path}: holds no row")
    for index, (name, item) in enumerate(content.items()):
        check_row(item, f"{path}, row {index + 1}")
        if name != slug(item):
            raise ValueError(f"{path}: row {name!r} should be called {slug(item)!r}")
    return list(content.values())


def parsed(path: Path) -> Any:
    """The content of a JSON file; ValueError names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is not JSON ({error}); run its notebook again") from None


def sort_key(row: Row) -> tuple[int, str, str]:
    """Orders rows by claim number, then notebook, then quantity."""
    return int(row["claim"][1:]), row["notebook"], row["quantity"]


def _finite(name: str, values: Sequence[float]) -> np.ndarray:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1:
        raise ValueError(f"{name} must be a flat list of numbers, got shape {data.shape}")
    if not np.isfinite(data).all():
        raise ValueError(f"{name} must be finite, got {data[~np.isfinite(data)][0]}")
    return data
