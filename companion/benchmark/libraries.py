"""Which libraries the products of a step go through, and what share of its time they take."""

from __future__ import annotations

from collections.abc import Callable

from torch.profiler import ProfilerActivity, profile

from companion.benchmark.memory import quiet_profiler

# By the names of torch's operations in float32 on a CPU. The layer's own operators call its compiled kernels, and what
# they call of torch has a name of its own; left to them is what Python does between the kernels. The backward pass of a
# convolution calls oneDNN itself; the convolution that torch falls back on where oneDNN does not serve multiplies with
# MKL.
LIBRARIES = {
    "CC layer": ("cclib::continuous_convolution",),
    "oneDNN": ("aten::mkldnn_", "mkldnn::", "mkldnn_", "aten::convolution_backward"),
    "MKL": ("aten::bmm", "aten::baddbmm", "aten::mm", "aten::addmm", "aten::addbmm", "aten::_slow_conv2d"),
}


def shares(run: Callable[[], object], steps: int = 3) -> dict[str, float]:
    """The share of each library in the time of ``run``, per cent, over some steps together."""
    run()
    with quiet_profiler(), profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(steps):
            run()
    return shares_of([(event.key, event.self_cpu_time_total) for event in recorded.key_averages()])


def shares_of(times: list[tuple[str, float]]) -> dict[str, float]:
    """The same from (operation, its own time)."""
    total = sum(time for _, time in times) or 1.0
    return {
        library: 100 * sum(time for name, time in times if name.startswith(operations)) / total
        for library, operations in LIBRARIES.items()
    }


def libraries(run: Callable[[], object]) -> str:
    """Like "oneDNN 80 %, MKL 5 %"; what is left goes to copies, sums and calls."""
    return ", ".join(f"{library} {share:.0f} %" for library, share in shares(run).items())
