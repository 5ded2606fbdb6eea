"""An implementation by its name, or "phases" as it is where weights are many, or where there are no kernels."""

import pytest
from functional_cases import BY_PAIRS, WITHOUT_KERNELS, make_by_pairs

from cclib.functional import kernels


@pytest.fixture
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What ``every_fast_path`` asks for."""
    if request.param == WITHOUT_KERNELS:
        monkeypatch.setattr(kernels, "library", lambda: None)
        return "phases"
    if request.param == BY_PAIRS:
        make_by_pairs(monkeypatch)
        return "phases"
    return str(request.param)
