"""An implementation by its name, or "phases" as it is where weights are many, or where there are no kernels."""

import pytest
from functional_cases import BY_PAIRS, WITHOUT_KERNELS

from cclib.functional import kernels, sums


@pytest.fixture
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What ``every_fast_path`` asks for."""
    if request.param == WITHOUT_KERNELS:
        monkeypatch.setattr(kernels, "library", lambda: None)
        return "phases"
    if request.param == BY_PAIRS:
        monkeypatch.setattr(sums, "TABLE_NUMBERS", 0)
        monkeypatch.setattr(sums, "FEW_PAIRS", 1)
        return "phases"
    return str(request.param)
