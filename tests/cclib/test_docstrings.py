"""The examples in the docstrings are true."""

import doctest

import pytest

import cclib.filters.learned
import cclib.functional
import cclib.layers


@pytest.mark.parametrize("module", [cclib.filters.learned, cclib.functional, cclib.layers])
def test_examples(module) -> None:
    results = doctest.testmod(module, extraglobs={"torch": __import__("torch")})
    assert results.attempted > 0
    assert results.failed == 0
