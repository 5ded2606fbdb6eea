"""In a real browser: the pages need nothing but their files and are accessible; the playground moves in JupyterLab."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tiny_project import ROOT

from companion.workflow import profiles

INDEX = ROOT / "results" / "index.html"
PAGES = [INDEX, *(ROOT / "results" / "pages" / f"{name}.html" for name in profiles.notebook_names(ROOT))]
LOOKS: list[tuple[int, Literal["dark", "light"]]] = [(360, "dark"), (390, "light"), (1200, "dark"), (1600, "light")]
PATIENCE = 600  # seconds until a test gives up, which a busy machine does not reach


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_needs_its_files_only_and_is_accessible(browser: Browser, path: Path) -> None:
    for width, scheme in LOOKS if path == INDEX else LOOKS[:1]:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", partial(lambda urls, request: urls.append(request.url), asked))
        page.on("console", partial(lambda texts, message: texts.append(message.text), said))
        page.on("pageerror", partial(lambda texts, error: texts.append(str(error)), said))
        page.goto(path.as_uri())
        assert [url for url in asked if not url.startswith("file:")] == []
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        broken = (
            "[...document.images].filter(i => i.checkVisibility() && (!i.complete || !i.naturalWidth)).map(i => i.src)"
        )
        assert page.evaluate(broken) == []
        assert faults(page) == []
        context.close()


def faults(page: Page) -> list[tuple[str, str]]:
    """What axe-core objects to, with the first element that has each fault."""
    return [(found["id"], found["nodes"][0]["html"]) for found in Axe().run(page).response["violations"]]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of JupyterLab on a copy of the playground, with settings of its own."""
    shutil.copy(ROOT / "notebooks" / "00-playground.ipynb", tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1"}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR"):
        environment[name] = str(tmp_path / f".{name}")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", *options], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address + "/api", process)
        yield address
    finally:
        process.terminate()
        process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(PATIENCE):
        assert process.poll() is None, "JupyterLab ended"
        try:
            with urllib.request.urlopen(address):
                return
        except OSError:
            time.sleep(1)
    raise TimeoutError(address)


def test_a_slider_and_an_image_of_ones_own_change_the_picture_in_jupyterlab(browser: Browser, lab: str) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(f"{lab}/lab/tree/00-playground.ipynb")
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
    page.get_by_text("| Idle").wait_for()  # the kernel
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    picture = page.locator("img.widget-image").first
    picture.wait_for()
    before = picture.get_attribute("src")
    page.locator(".widget-slider", has_text="scale, vertical").locator(".noUi-handle").first.press("ArrowRight")
    page.wait_for_function("([image, before]) => image.src !== before", arg=[picture.element_handle(), before])
    before = picture.get_attribute("src")
    with page.expect_file_chooser() as chooser:
        page.locator("button.widget-upload").first.click()
    chooser.value.set_files(ROOT / "results" / "01-cc-layer" / "figures" / "four-steps.png")
    page.wait_for_function("([image, before]) => image.src !== before", arg=[picture.element_handle(), before])
    page.get_by_text("frozen: True").wait_for()
    assert page.locator("img.widget-image").count() == 3
    page.close()
