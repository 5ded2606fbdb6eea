"""The workers of a machine: started, started again, and sent back to a scheduler that has gone and comes back.

What they compute, ``companion.train.cluster`` says; this module does not load torch.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Sequence

import joblib

try:
    import dask
    import distributed
except ModuleNotFoundError:
    raise ValueError(
        "a cluster needs Dask, which is not installed: pip install -c constraints.txt -e '.[lab,cluster]'"
    ) from None

GPU = "GPU"  # the resource of a worker that a run on "cuda" takes
PATIENCE = 600.0  # seconds that a client and its workers wait for a scheduler


def work(address: str, workers: int | None = None) -> None:
    """Be ``workers`` workers of the scheduler at an address, by default one for each GPU, or else for each core.

    A worker that dies is started again; all come back to a scheduler that has gone and comes back.

    Raises:
        ValueError: a number of workers below 1.
        OSError: no scheduler has answered for ten minutes.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    gpus: Sequence[str | None] = visible_gpus() or [None]
    count = workers or (len(gpus) if gpus[0] is not None else joblib.cpu_count())
    while True:
        try:
            asyncio.run(serve(address, [gpus[index % len(gpus)] for index in range(count)]))
        except TimeoutError:
            raise OSError(f"no scheduler has answered at {address} for {PATIENCE / 60:.0f} minutes") from None
        except distributed.comm.CommClosedError:  # the scheduler went as they came
            pass
        time.sleep(1)


async def serve(address: str, gpus: Sequence[str | None]) -> None:
    """One worker process for each of ``gpus``, which it alone sees, until the scheduler goes."""
    preload = dask.config.get("distributed.worker.preload")
    nannies = [
        distributed.Nanny(
            address,
            nthreads=1,  # runs draw from torch's global generator, and set the number of threads
            memory_limit=0,  # Dask would pause or kill a training that takes more than its share of a guess
            death_timeout=PATIENCE,
            # Torch takes seconds to load: before there is something to do.
            preload=["companion.train.cluster", *([preload] if isinstance(preload, str) else preload)],
            resources=None if gpu is None else {GPU: 1},
            env={} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu},
        )
        for gpu in gpus
    ]
    await asyncio.gather(*nannies)
    await asyncio.gather(*(nanny.finished() for nanny in nannies))


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [gpu for gpu in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if gpu not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(index) for index, line in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]
