"""Small pictures as SVG, without a script: an interval on a scale of its unit, a verdict's mark, curves."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from companion.evidence import tables
from companion.evidence.claims import Row
from companion.evidence.pages.rendering import typeset

WIDTH, HEIGHT = 340, 78
MARGIN = 22  # to the left and right of the scale, for half a number


def mark(verdict: str, x: float, y: float) -> str:
    """A shape for each verdict, about a point."""
    return {
        "reproduced": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>',
        "no difference": f'<path d="M{x - 5.5:.1f} {y - 3:.1f} h11 m-11 6 h11"/>',
        "inconclusive": f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>',
        "not reproduced": f'<path d="M{x:.1f} {y - 7:.1f} l7 7 l-7 7 l-7 -7 z"/>',
    }[verdict]


def badge(verdict: str) -> Markup:
    """The mark of a verdict, to stand before its word."""
    return Markup(f'<svg class="mark" viewBox="0 0 16 16" aria-hidden="true">{mark(verdict, 8, 8)}</svg>')


def ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers from ``low`` to ``high``."""
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if (high - low) / step <= 6)
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def spelt(number: float) -> str:
    """A number as print has it: no zero with a sign, a minus that is as wide as a plus."""
    return typeset(tables.number(number + 0.0))


def interval(row: Row) -> Markup:
    """The adjusted interval of a judged row on a scale in its unit, beside what was asked for.

    The scale holds zero, and is a logarithmic one where a positive value is thousands of times another. What is at
    least as good as asked for is shaded.
    """
    low, high, value, threshold = (row[key] for key in ("adjusted_low", "adjusted_high", "value", "threshold"))
    logarithmic = min(low, threshold) > 0 and max(high, threshold) / min(low, threshold) > 1000
    measure = math.log10 if logarithmic else float
    held = [measure(number) for number in (low, high, threshold)] + ([] if logarithmic else [0.0])
    higher = row["better"] == "higher"
    reach = max(held) - min(held)
    # On the better side there is room for a word.
    first, last = min(held) - (0.12 if higher else 0.24) * reach, max(held) + (0.24 if higher else 0.12) * reach

    def at(number: float) -> float:
        return MARGIN + (measure(number) - first) / (last - first) * (WIDTH - 2 * MARGIN)

    line, middle = HEIGHT - 24, 38
    marks = [10.0**power for power in ticks(first, last)] if logarithmic else ticks(first, last)
    start, end = (at(threshold), WIDTH) if higher else (0, at(threshold))
    sign = "≥" if higher else "≤"
    asked = f"{sign} {spelt(threshold)} asked for"
    word, arrow = ("as asked →", "→") if higher else ("← as asked", "←")
    # The words stand on the side of the threshold that has room.
    room = at(threshold) < WIDTH / 2
    parts = [
        f'<rect class="good" x="{start:.1f}" y="18" width="{end - start:.1f}" height="{line - 18}"/>',
        f'<line class="axis" x1="0" x2="{WIDTH}" y1="{line}" y2="{line}"/>',
        *(
            f'<line class="axis" x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="{line}" y2="{line + 4}"/>'
            f'<text x="{at(tick):.1f}" y="{line + 18}" text-anchor="middle">{spelt(tick)}</text>'
            for tick in marks
        ),
        f'<line class="threshold" x1="{at(threshold):.1f}" x2="{at(threshold):.1f}" y1="4" y2="{line}"/>',
        f'<text x="{at(threshold) + (5 if room else -5):.1f}" y="13" text-anchor="{"start" if room else "end"}">'
        f"{asked}</text>",
        f'<text class="better" x="{WIDTH - 2 if higher else 2}" y="13" text-anchor="{"end" if higher else "start"}">'
        f"{word if end - start > 80 else arrow}</text>",
        f'<line class="span" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="{middle}" y2="{middle}"/>',
        mark(row["verdict"], at(value), middle),
    ]
    label = html.escape(typeset(f"{tables.adjusted(row)}, asked for {tables.required(row)}: {row['verdict']}"))
    return Markup(
        f'<svg class="interval {row["verdict"].replace(" ", "-")}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )


def curves(
    factors: Sequence[float],
    lines: Mapping[str, tuple[str, Sequence[float]]],
    trained: tuple[float, float],
    threshold: tuple[float, str],
) -> Markup:
    """PSNR over the factor, with a dot on each curve that a script moves.

    lines: by a name for the style, the words beside the curve, and its values in dB.
    trained: the range of factors that is shaded. threshold: a level that is marked, and its words.
    """
    width, height, left, right, above, bottom = 480, 280, 34, 126, 22, 42
    top = 10 * math.ceil(max(min(value, 85) for _, values in lines.values() for value in values) / 10)
    least = 10 * math.floor(min(value for _, values in lines.values() for value in values) / 10)

    def x(factor: float) -> float:
        return left + (factor - factors[0]) / (factors[-1] - factors[0]) * (width - left - right)

    def y(level: float) -> float:
        return above + (top - min(level, top)) / (top - least) * (height - bottom - above)

    def parts() -> Iterator[str]:
        start, end = (x(factor) for factor in trained)
        deep = height - bottom - above
        yield f'<rect class="good" x="{start:.1f}" y="{above}" width="{end - start:.1f}" height="{deep}"/>'
        yield f'<text x="{start + 5:.1f}" y="{height - bottom - 6}">trained at</text>'
        for level in range(least, top + 1, 10):
            yield f'<line class="axis" x1="{left}" x2="{width - right}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>'
            yield f'<text x="{left - 6}" y="{y(level) + 4:.1f}" text-anchor="end">{level}</text>'
        for factor in ticks(factors[0], factors[-1]):
            yield f'<text x="{x(factor):.1f}" y="{height - 22}" text-anchor="middle">{tables.number(factor)}</text>'
        middle = (left + width - right) / 2
        yield f'<text x="{middle}" y="{height - 4}" text-anchor="middle">factor: input over output size</text>'
        yield '<text x="0" y="12">PSNR, dB</text>'
        asked, words = threshold
        yield f'<line class="threshold" x1="{left}" x2="{width - right}" y1="{y(asked):.1f}" y2="{y(asked):.1f}"/>'
        yield f'<text x="{width - right - 4}" y="{y(asked) - 5:.1f}" text-anchor="end">{html.escape(words)}</text>'
        ends: list[float] = []
        for factor, value in ((f, v) for _, values in lines.values() for f, v in zip(factors, values, strict=True)):
            if value > top:
                yield f'<text x="{x(factor) + 6:.1f}" y="{above + 14}">↑ {value:.0f} at {tables.number(factor)}</text>'
        for style, (words, values) in lines.items():
            points = " ".join(f"{x(f):.1f},{y(v):.1f}" for f, v in zip(factors, values, strict=True))
            yield f'<polyline class="{style}" points="{points}"/>'
            end = y(values[-1])
            while any(abs(end - other) < 15 for other in ends):
                end += 1
            ends.append(end)
            yield f'<text class="{style}" x="{width - right + 8}" y="{end + 4:.1f}">{html.escape(words)}</text>'
            across, down = " ".join(f"{x(f):.1f}" for f in factors), " ".join(f"{y(v):.1f}" for v in values)
            yield f'<circle class="here {style}" r="5" data-x="{across}" data-y="{down}" style="display: none"/>'

    label = "PSNR to the right answer over the factor: " + "; ".join(
        f"{words}, {min(values):.0f} to {max(values):.0f} dB" for words, values in lines.values()
    )
    return Markup(
        f'<svg class="curves" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(parts())}</svg>'
    )
