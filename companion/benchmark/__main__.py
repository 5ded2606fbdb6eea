"""``python -m companion.benchmark``: the table, the loss of the choice, the fit of its constants."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from companion.benchmark import choice, printed, ratios, refit
from companion.benchmark.instructions import SAME, has_more, in_avx2


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m companion.benchmark", description="Time the layer beside Conv2d.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--choice", action="store_true", help="what auto loses against the best way")
    what.add_argument("--refit", action="store_true", help="fit the constants of auto, and write them")
    what.add_argument("--ratios", help=argparse.SUPPRESS)  # JSON, from ratios_with_avx2
    parser.add_argument("--times", type=Path, help="with --refit: a file of times, read if it exists, else written")
    parser.add_argument("--rounds", type=int, help="timed rounds (25; 7 with --choice and --refit)")
    parser.add_argument("--here", action="store_true", help="only with the instructions of this process")
    options = parser.parse_args(given)
    if options.times and not options.refit:
        parser.error("--times goes with --refit")
    if options.rounds is not None and options.rounds < 2:
        parser.error(f"--rounds must be at least 2, got {options.rounds}")
    return options


def lines(options: argparse.Namespace) -> Iterator[str]:
    """What is printed."""
    if options.ratios:
        yield ratios.answer(options.ratios)
        return
    if options.refit:
        yield from refit.refit(options.times, options.rounds or 7)
        return
    yield from (
        choice.lines(rounds=options.rounds or 7) if options.choice else printed.table(rounds=options.rounds or 25)
    )
    if options.here:
        return
    yield ""
    if not has_more():
        yield SAME
        return
    passed = ["--choice"] if options.choice else []
    yield from in_avx2([*passed, *(["--rounds", str(options.rounds)] if options.rounds else [])])


if __name__ == "__main__":
    for line in lines(arguments()):
        print(line, flush=True)
