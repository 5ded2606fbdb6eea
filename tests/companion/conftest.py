"""For the tests of the lab: their order, and a tiny project to run commands in."""

from pathlib import Path

import pytest
from tiny_project import Project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take minutes first, so that the two processes of `make test` end together."""
    items.sort(key=lambda item: item.path.stem not in ("test_notebooks", "test_paper", "test_commands"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """In a folder whose name has spaces and braces."""
    return Project(tmp_path / "a {b} c")
