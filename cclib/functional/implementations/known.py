"""The implementations by their names."""

from cclib.functional.implementations.basis import BASIS
from cclib.functional.implementations.phases import PHASES
from cclib.functional.registry import Implementation

__all__ = ["OPERATORS"]

OPERATORS: dict[str, Implementation] = {"phases": PHASES, "basis": BASIS}
