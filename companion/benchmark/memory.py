"""Memory that a run holds at its peak."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from companion.benchmark.cases import Workload


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
