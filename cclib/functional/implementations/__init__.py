"""The ways to sum taps times weights: a module each, found here and entered in ``IMPLEMENTATIONS`` by its decorator."""

from importlib import import_module
from pkgutil import iter_modules

from cclib.functional.registry import IMPLEMENTATIONS

__all__ = ["IMPLEMENTATIONS"]

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")
