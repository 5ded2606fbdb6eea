"""The progress bar over runs, wherever they are computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tqdm import tqdm

MOST_LABELS = 8  # that a line has room for


@contextmanager
def progress_bar(labels: Sequence[str], epochs: Sequence[int], done: Callable[[], Sequence[int]]) -> Iterator[None]:
    """A bar over the epochs of all runs, naming those at work; it looks twice a second.

    Args:
        labels, epochs: of each run, its name for people and how many epochs it has.
        done: how many epochs of each run are done; −1 if it has not started.
    """
    resumed = sum(max(count, 0) for count in done())  # these say nothing about the speed from here on
    with tqdm(total=sum(epochs), initial=resumed, unit="epoch", disable=not labels, leave=False, mininterval=2) as bar:
        finished = threading.Event()

        def follow() -> None:
            while not finished.wait(0.5):
                counts = done()
                at_work = [label for label, count, of in zip(labels, counts, epochs, strict=True) if 0 <= count < of]
                named = at_work[:MOST_LABELS]
                more = [f"{len(at_work) - len(named)} more"] if len(at_work) > len(named) else []
                bar.set_description(", ".join(named + more), refresh=False)
                bar.update(sum(max(count, 0) for count in counts) - bar.n)

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        finally:
            finished.set()
            follower.join()
