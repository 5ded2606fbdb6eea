"""The ways to sum taps times weights, a module each."""

from cclib.functional.implementations.known import OPERATORS

__all__ = ["OPERATORS"]
