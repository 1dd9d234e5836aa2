"""The book for the browser alone, as far as it goes without Pyodide's own servers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tools.lite import settings, strip

from .notebook import stored

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PROJECT = Path(__file__).parents[2]
WELCOME = PROJECT / "book" / "00-welcome.ipynb"
MOST_OF_WHEELS = 3_000_000
PYODIDE = re.compile(r"https://cdn\.jsdelivr\.net/pyodide/v[0-9.]+/full/")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """The folder that ``make lite`` makes, and its address on a local server."""
    made = subprocess.run(  # noqa: S603 (our own command)
        ["make", "lite", f"PYTHON={sys.executable}"],  # noqa: S607 (the reader's make)
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    folder = PROJECT / "build" / "lite"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_every_notebook_is_there_with_its_outputs_and_a_cell_that_installs_memsim(site):
    for path in sorted((PROJECT / "book").glob("*.ipynb")):
        ours = stored(site[0] / "files" / path.name)
        setup = ours["cells"].pop(1)

        assert "%pip install -q memsim" in "".join(setup["source"])
        assert ours == stored(path)


def test_all_that_is_pure_python_comes_along(site):
    index = json.loads((site[0] / "pypi" / "all.json").read_text(encoding="utf-8"))
    (wheel,) = (site[0] / "pypi").glob("memsim-*.whl")

    assert {"memsim", "anywidget", "ipywidgets", "psygnal"} <= set(index)
    assert "plotly" not in index  # charts are its figures as plain data; what draws them is in JupyterLab
    assert sum(path.stat().st_size for path in (site[0] / "pypi").glob("*.whl")) < MOST_OF_WHEELS
    assert all(path.name.endswith("-none-any.whl") for path in (site[0] / "pypi").glob("*.whl"))
    assert "memsim/book/scenarios/one-block.json" in zipfile.ZipFile(wheel).namelist()


def test_the_book_asks_for_a_kernel_and_nobody_but_pyodide(site, page):
    _, url = site
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.route(PYODIDE, lambda route: route.abort())
    with page.expect_request(PYODIDE):  # the kernel is asked for
        page.goto(f"{url}lab/index.html")  # which opens the welcome page by itself
    others = [address for address in asked if not address.startswith((url, "data:", "blob:"))]
    assert [address for address in others if not PYODIDE.match(address)] == []


def test_the_page_says_what_loads_and_that_python_cannot_be_had(site, page):
    _, url = site
    page.route(PYODIDE, lambda route: route.abort())
    page.goto(f"{url}lab/index.html")
    loading = page.locator("#memsim-loading")
    loading.get_by_text("Python cannot be fetched: cdn.jsdelivr.net does not answer.").wait_for()
    assert loading.get_attribute("role") == "alert"
    facts = json.loads((site[0] / "memsim-lite.json").read_text(encoding="utf-8"))
    assert f"{facts['wheels_bytes'] / 2**20:.1f} MiB" in loading.inner_text()
    loading.get_by_role("button", name="Close").press("Enter")
    assert loading.count() == 0


def test_jupyterlab_shows_the_welcome_page_though_python_cannot_be_had(site, page):
    """It reads settings out of the first page too, which is ours."""
    page.route(PYODIDE, lambda route: route.abort())
    page.goto(f"{site[1]}lab/index.html")
    page.locator(".jp-Notebook .jp-MarkdownOutput img").first.wait_for()


def test_the_first_page_moves_before_anything_else_is_there(site, page):
    page.goto(site[1])
    picture = page.locator("img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert page.get_by_role("link", name="Open the book").get_attribute("href").endswith(WELCOME.name)


def test_a_copy_of_pyodide_on_a_server_of_ones_own():
    own = "https://example.org/pyodide/pyodide.js"
    plugins = settings(own)["jupyter-config-data"]["litePluginSettings"]
    assert plugins["@jupyterlite/pyodide-kernel-extension:kernel"]["pyodideUrl"] == own
    assert own not in json.dumps(settings(""))


def test_a_wheel_is_stripped_of_what_pip_would_put_beside_jupyterlab(tmp_path):
    wheel = tmp_path / "a-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("a/__init__.py", "")
        made.writestr("a-1.data/data/share/x.js", "x" * 1000)
        made.writestr(
            "a-1.dist-info/RECORD", "a/__init__.py,,\na-1.data/data/share/x.js,,\na-1.dist-info/RECORD,,\n"
        )
    strip(wheel)
    with zipfile.ZipFile(wheel) as stripped:
        assert stripped.namelist() == ["a/__init__.py", "a-1.dist-info/RECORD"]
        assert b"x.js" not in stripped.read("a-1.dist-info/RECORD")
