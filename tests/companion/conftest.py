"""For the tests of the lab: their order, their environment, a browser, and a tiny project to run commands in."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from tiny_project import Project

from companion import instructions

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take minutes first, so that the two processes of `make test` end together."""
    items.sort(key=lambda item: item.path.stem not in ("test_notebooks", "test_paper", "test_commands"))


@pytest.fixture(autouse=True)
def own_instructions() -> Iterator[None]:
    """A command that is called in this process settles its instructions for good: put back what was there."""
    before = {name: os.environ.get(name) for name in instructions.SETTINGS}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """In a folder whose name has spaces and braces."""
    return Project(tmp_path / "a {b} c")
