"""For the tests of both packages."""

import os

# Before torch loads: tests run side by side, and threads that wait for each other waste the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
