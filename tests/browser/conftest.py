"""The browser tests' JupyterLab, Chromium, and notebooks open in both."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright

from .notebook import PATIENCE_MS, Notebook, Watch, stored, write_notebook
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
PATIENT = """
  const limit = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = ms => limit(100 * ms);
"""
"""anywidget gives a widget two seconds on the clock to load; a later one never hears of its kernel again."""
VIEWPORT = {"width": 1300, "height": 1100}
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A running JupyterLab."""
    with jupyterlab(tmp_path_factory.mktemp("jupyterlab")) as server:
        yield server


@pytest.fixture(scope="package")
def chromium():
    """A headless Chromium.

    For this folder, not the session: as long as Playwright runs, so does an event loop in this thread, and
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Keep whether a test failed, for the fixtures that it leaves a page to."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="package")
def tab(chromium):
    """A page that JupyterLab stays loaded in from test to test."""
    page = new_page(chromium)
    yield page
    page.context.close()


@pytest.fixture(scope="package")
def sheet():
    """The notebook that run_cells has open, if any: a kernel takes longer to start than most cells run."""
    return []


@pytest.fixture
def page(chromium, screenshots, request):
    """An empty page, or JupyterLab's with nothing open.

    What it shows in the end is kept as a picture when the test failed, named where the failure shows it, and
    when MEMSIM_SCREENSHOTS asks for pictures.
    """
    shared = "tab" in request.fixturenames
    page = request.getfixturevalue("tab") if shared else new_page(chromium)
    page.set_viewport_size(VIEWPORT)
    page.keyboard.press("Escape")  # a browser shows the focus after a key, and not after a click
    yield page
    failed = request.node.stash.get(FAILED, False)
    if failed or "MEMSIM_SCREENSHOTS" in os.environ:
        path = screenshots / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', request.node.name)}.png"
        page.screenshot(path=path)
        print(f"The page as it was in the end: {path}")  # noqa: T201 (pytest shows it on failure)
    if not shared:
        page.context.close()


def new_page(chromium):
    """Return a page that shares nothing with others."""
    context = chromium.new_context(viewport=VIEWPORT, service_workers="block")
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(PATIENT)
    return context.new_page()


@pytest.fixture
def watch(page, lab):
    """What the page may not do; asserted when the test is over, so that no test can forget it."""
    watch = Watch(page, lab)
    yield watch
    watch.stop()
    watch.assert_clean()


@pytest.fixture
def open_notebook(tab, page, lab, watch, sheet, request):  # noqa: ARG001 (watched from the start)
    """A function that opens a fresh copy of a notebook and of the folder around it, without running it."""
    opened = []

    def show(path):
        if sheet:
            sheet.pop().close()
        opened.append(Notebook(page, lab, f"{lab.copy(path.parent)}/{path.name}"))
        return opened[-1]

    yield show
    if request.node.stash.get(FAILED, False):
        page.goto("about:blank")  # whatever state it is in
    elif opened:
        opened[0].close()
    lab.forget()


@pytest.fixture
def run_cells(tab, page, lab, watch, sheet, tmp_path, request):  # noqa: ARG001 (watched from the start)
    """A function that runs cells in a notebook of nothing else, in the kernel of the test before."""

    def run(*cells):
        path = write_notebook(tmp_path / "sheet" / "sheet.ipynb", *cells)
        if sheet:
            sheet[0].fill(stored(path))
        else:
            sheet.append(Notebook(page, lab, f"{lab.copy(path.parent)}/{path.name}"))
        sheet[0].run_all()
        assert sheet[0].errors() == []
        return sheet[0]

    yield run
    if request.node.stash.get(FAILED, False):
        page.goto("about:blank")  # whatever state it is in
        sheet.clear()
        lab.forget()
