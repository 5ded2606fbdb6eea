"""How fast the layer is and how much memory it takes, beside an ordinary convolution with as much arithmetic.

Times of a machine drift, so two ways are timed in turn and compared pair by pair. Results of experiments do not depend
on this module; ``python -m companion.benchmark`` prints a table.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from cclib.filters import MLPFilter
from cclib.functional import IMPLEMENTATIONS, explain
from cclib.functional.choice import Explanation
from cclib.layers import CCConv2d

METHODS = ("conv", "auto", *IMPLEMENTATIONS, "resize + conv")

WIDEST_STEADY = 1.5  # upper over lower quartile; pairs that vary more say that the machine had other work to do


@dataclass(frozen=True)
class Case:
    """A square layer: ``scale`` is that of the call where ``new_size`` alone would not say it."""

    batch: int
    in_channels: int
    out_channels: int
    size: int
    new_size: int
    kernel_size: int
    scale: float | None = None

    def __str__(self) -> str:
        text = f"{self.batch} × {self.in_channels} → {self.out_channels}, {self.size} → {self.new_size}"
        return f"{text}, {self.kernel_size} taps" + (f", scale {self.scale:.4f}" if self.scale else "")


TABLE = (
    Case(16, 64, 64, 32, 24, 4),
    Case(16, 32, 32, 32, 24, 4),
    Case(16, 32, 32, 16, 24, 4),
    Case(16, 32, 32, 16, 32, 4),
    Case(32, 32, 32, 28, 14, 4),
    Case(32, 32, 32, 14, 12, 4),
    Case(32, 32, 32, 28, 28, 3),
    Case(16, 32, 32, 32, 23, 4, math.sqrt(0.5)),
)


@dataclass(frozen=True)
class Workload:
    """A layer, its input, and the gradient of its output."""

    layer: Callable[[Tensor], Tensor]
    parameters: tuple[Tensor, ...]
    x: Tensor
    gradient: Tensor

    def forward(self) -> Tensor:
        """The output in inference; the filter is that of the call before."""
        with torch.no_grad():
            return self.layer(self.x)

    def train(self) -> None:
        """The output, and the gradients of input and parameters."""
        self.x.grad = None
        for parameter in self.parameters:
            parameter.grad = None
        self.layer(self.x).backward(self.gradient)


def workload(method: str, case: Case, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Workload:
    """``case`` computed by one of ``METHODS``, with the weights and the input of seed 0.

    - "conv": ``Conv2d`` with the same taps and channels on an image that gives the same output size: one of
      ``new_size + kernel_size − 1`` pixels, unpadded.
    - "auto", "phases", "basis", "pixels", "reference": ``CCConv2d``; the reference makes all weights at once.
    - "resize + conv": anti-aliased bilinear ``interpolate`` to the output size, then a padded ``Conv2d``.
    """
    torch.manual_seed(0)
    size = case.new_size + case.kernel_size - 1 if method == "conv" else case.size
    module: nn.Module
    if method in ("conv", "resize + conv"):
        module = nn.Conv2d(case.in_channels, case.out_channels, case.kernel_size)
    elif method in METHODS:
        module = CCConv2d(case.in_channels, case.out_channels, case.kernel_size, implementation=method)
    else:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    module = module.to(device, dtype)

    def layer(x: Tensor) -> Tensor:
        if method == "resize + conv":
            x = F.interpolate(x, size=(case.new_size, case.new_size), mode="bilinear", antialias=True)
            x = F.pad(x, ((case.kernel_size - 1) // 2, case.kernel_size // 2) * 2)
        return module(x, scale=case.scale, size=case.new_size) if isinstance(module, CCConv2d) else module(x)

    x = torch.randn(case.batch, case.in_channels, size, size, device=device, dtype=dtype, requires_grad=True)
    gradient = torch.randn(case.batch, case.out_channels, case.new_size, case.new_size, device=device, dtype=dtype)
    return Workload(layer, tuple(module.parameters()), x, gradient)


def seconds(run: Callable[[], object], device: str = "cpu") -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Timing:
    """Paired times: of each run, and of its ratio to the first one."""

    seconds: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median of the pairs."""
        return statistics.median(self.ratios)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between which half of the pairs lie."""
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return low, high

    @property
    def steady(self) -> bool:
        """Whether the quartiles are so close that the median can be relied on."""
        low, high = self.quartiles
        return high <= WIDEST_STEADY * low

    def __str__(self) -> str:
        """The median with its quartiles, and a question mark unless they are steady."""
        low, high = self.quartiles
        return f"{self.ratio:.2f} [{low:.2f}, {high:.2f}]{'' if self.steady else ' ?'}"


def keep_freed_memory() -> None:
    """Make the C library keep memory that tensors free, for the next ones.

    Else it may hand it back to the system after each run, and fetching it anew can take as long as a convolution: it
    hits one way or the other by the chance of sizes. A large block, freed, raises the threshold of glibc; elsewhere
    this does nothing.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def paired(runs: Sequence[Callable[[], object]], rounds: int, device: str = "cpu") -> list[Timing]:
    """Time ``runs`` in turn, ``rounds`` times, after two rounds that do not count."""
    keep_freed_memory()
    times: list[list[float]] = [[] for _ in runs]
    for round_number in range(rounds + 2):
        for run, into in zip(runs, times, strict=True):
            elapsed = seconds(run, device)
            if round_number >= 2:
                into.append(elapsed)
    first = times[0]
    return [Timing(tuple(each), tuple(t / base for t, base in zip(each, first, strict=True))) for each in times]


def peak_bytes(run: Callable[[], object], device: str = "cpu") -> int:
    """The most memory that ``run`` holds at one time beyond what was held before, after a first run."""
    run()
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() - before
    with quiet_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    with tempfile.TemporaryDirectory() as folder:
        recorded.export_chrome_trace(str(Path(folder) / "trace.json"))
        trace = json.loads((Path(folder) / "trace.json").read_text(encoding="utf-8"))
    changes = [event for event in trace["traceEvents"] if event["name"] == "[memory]"]
    held: dict[int, int] = {}  # by address, what was allocated since
    peak = 0
    for event in sorted(changes, key=lambda event: event["ts"]):
        address, change = event["args"]["Addr"], event["args"]["Bytes"]
        if change > 0:
            held[address] = change
        else:
            held.pop(address, None)
        peak = max(peak, sum(held.values()))
    return peak


@contextmanager
def quiet_profiler() -> Iterator[None]:
    """Without the lines about its own start and stop that the profiler writes to the process's error stream."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def extra_memory(work: Workload, run: Callable[[], object], device: str = "cpu") -> float:
    """The memory beyond input and output that a run needs at its peak, as a multiple of input plus output."""
    images = work.x.nbytes + work.gradient.nbytes
    return (peak_bytes(run, device) - work.gradient.nbytes) / images


def explanation(case: Case, device: str = "cpu") -> Explanation:
    """What ``auto`` picks, and why."""
    filter = MLPFilter(case.in_channels, case.out_channels, case.kernel_size)
    shape = case.batch, case.in_channels, case.size, case.size
    return explain(shape, filter, scale=case.scale, size=case.new_size, device=device)


def table(cases: Sequence[Case] = TABLE, rounds: int = 25, device: str = "cpu") -> Iterator[str]:
    """The lines of a table: time and memory of the layer beside those of a convolution, on a device.

    Times whose quartiles lie wide apart are marked, and a last line warns of them.
    """
    unsteady = 0
    yield (
        "Times: CCConv2d over Conv2d, median [quartiles] of pairs; training is forward and backward, inference forward "
        "alone.\nMemory: at the peak, beyond input and output, in units of input plus output.\n"
    )
    yield f"{'':<45}{'':<9}{'Conv2d':>8}{'':>22}{'':>22}{'memory':>14}"
    yield f"{'case':<45}{'picked':<9}{'ms':>8}{'training':>22}{'inference':>22}{'train':>8}{'infer':>6}{'ref.':>7}"
    for case in cases:
        conv, cc, reference = (workload(method, case, device) for method in ("conv", "auto", "reference"))
        training = paired((conv.train, cc.train), rounds, device)
        inference = paired((conv.forward, cc.forward), rounds, device)
        unsteady += (not training[1].steady) + (not inference[1].steady)
        milliseconds = statistics.median(training[0].seconds) * 1e3
        yield (
            f"{case!s:<45}{explanation(case, device).implementation:<9}{milliseconds:>8.1f}"
            f"{training[1]!s:>22}{inference[1]!s:>22}{extra_memory(cc, cc.train, device):>8.1f}"
            f"{extra_memory(cc, cc.forward, device):>6.1f}{extra_memory(reference, reference.train, device):>7.1f}"
        )
    if unsteady:
        yield (
            f"\nWarning: {unsteady} of {2 * len(cases)} times, marked '?', have quartiles more than a factor of "
            f"{WIDEST_STEADY} apart. The machine was busy: run the benchmark again when it is idle."
        )


if __name__ == "__main__":
    for where in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        print(f"device: {where}\n")
        for line in table(device=where):
            print(line, flush=True)
