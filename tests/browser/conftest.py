"""The browser tests' JupyterLab, Chromium, and notebooks open in both."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright

from .notebook import PATIENCE_MS, Notebook, Watch
from .server import jupyterlab

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    # Chromium's own sandbox does not work for root and in most containers.
    "--no-sandbox",
    "--disable-gpu",
    # The browser itself asks no one either.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A running JupyterLab."""
    with jupyterlab(tmp_path_factory.mktemp("jupyterlab")) as server:
        yield server


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium.

    For a module, not the session: as long as Playwright runs, so does an event loop in this thread, and
    what comes after the browser tests (nbval's kernels) must not run inside it.
    """
    path = os.environ.get("MEMSIM_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE_MS)
        except Error as error:
            pytest.fail(f"{_no_chromium(path)}\n{error}", pytrace=False)
        yield browser
        browser.close()


def _no_chromium(path: str | None) -> str:
    tried = f"{path} does not start" if path else f"none of {', '.join(NAMES)} is on PATH"
    return (
        f"The browser tests need Chromium, and {tried}. Install it (Debian: apt install chromium; "
        "or: playwright install chromium) or name one in MEMSIM_CHROMIUM."
    )


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory):
    """The folder that screenshots go to: MEMSIM_SCREENSHOTS, or one of the last three runs' own."""
    chosen = os.environ.get("MEMSIM_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(chromium, screenshots, request):
    """An empty page; what it shows in the end is kept as a picture, named where a failure shows it."""
    context = chromium.new_context(viewport={"width": 1300, "height": 1100}, service_workers="block")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    yield page
    path = screenshots / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', request.node.name)}.png"
    page.screenshot(path=path)
    print(f"The page as it was in the end: {path}")  # noqa: T201 (pytest shows it on failure)
    context.close()


@pytest.fixture
def watch(page, lab):
    """What the page may not do; asserted when the test is over, so that no test can forget it."""
    watch = Watch(page, lab)
    yield watch
    watch.assert_clean()


@pytest.fixture
def open_notebook(page, lab, watch):  # noqa: ARG001 (watched from the start)
    """A function that opens a fresh copy of a notebook and of the folder around it, without running it."""
    yield lambda path: Notebook(page, lab, f"{lab.copy(path.parent)}/{path.name}")
    lab.forget()
