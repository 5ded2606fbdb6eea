"""How fast the layer is and how much memory it takes, beside an ordinary convolution with as much arithmetic.

Times of a machine drift, so two ways are timed in turn and compared pair by pair. Results of experiments do not depend
on this package but through the constants that ``refit`` writes. ``python -m companion.benchmark`` prints a table,
with ``--choice`` what ``auto`` loses; with ``--refit`` it fits the constants of ``auto``.

``cases`` are the layers and ``networks`` the classifiers that are timed; ``timing``, ``memory`` and ``libraries`` are
how; ``instructions`` repeats it in a process with fewer instructions.
"""

from companion.benchmark.cases import (
    CHOICE,
    FITTING,
    METHODS,
    MOST_PHASES,
    TABLE,
    WAYS,
    Case,
    explanation,
    phases_of,
    serves,
    timed_ways,
    workload,
)
from companion.benchmark.instructions import WIDER, has_more
from companion.benchmark.memory import extra_memory, peak_bytes
from companion.benchmark.networks import training
from companion.benchmark.ratios import ratios_with_avx2
from companion.benchmark.timing import Timing, paired

__all__ = [
    "CHOICE",
    "FITTING",
    "METHODS",
    "MOST_PHASES",
    "TABLE",
    "WAYS",
    "WIDER",
    "Case",
    "Timing",
    "explanation",
    "extra_memory",
    "has_more",
    "paired",
    "peak_bytes",
    "phases_of",
    "ratios_with_avx2",
    "serves",
    "timed_ways",
    "training",
    "workload",
]
