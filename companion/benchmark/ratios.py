"""Ratios to the time of a convolution, in blocks, as numbers: what a notebook asks of a process limited to AVX2."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from companion.benchmark.cases import Case, workload
from companion.benchmark.instructions import in_avx2
from companion.benchmark.timing import paired


def ratios(cases: Sequence[Case], blocks: int, rounds: int) -> list[list[float]]:
    """For each case, of each block the median of time over that of ``Conv2d``, forward and backward."""
    measured = []
    for case in cases:
        conv, cc = workload("conv", case), workload("auto", case)
        measured.append([paired((conv.train, cc.train), rounds)[1].ratio for _ in range(blocks)])
    return measured


def ratios_with_avx2(cases: Sequence[Case], blocks: int, rounds: int) -> list[list[float]]:
    """The same in a process limited to AVX2."""
    asked = {"cases": [asdict(case) for case in cases], "blocks": blocks, "rounds": rounds}
    measured: list[list[float]] = json.loads("".join(in_avx2(["--ratios", json.dumps(asked)])))
    return measured


def answer(asked: str) -> str:
    """What the child process prints: the ratios that ``ratios_with_avx2`` asks for."""
    given = json.loads(asked)
    return json.dumps(ratios([Case(**case) for case in given["cases"]], given["blocks"], given["rounds"]))
