"""An implementation by its name, or "phases" as it is where there are no compiled kernels."""

import pytest
from functional_cases import WITHOUT_KERNELS

from cclib.functional import kernels


@pytest.fixture
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What ``every_fast_path`` asks for."""
    if request.param == WITHOUT_KERNELS:
        monkeypatch.setattr(kernels, "library", lambda: None)
        return "phases"
    return str(request.param)
