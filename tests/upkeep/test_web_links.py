"""make links finds links into the web, and says which pages are not there. Here the web is this machine."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.tools.web_links import ROOT, links, trouble


class Pages(BaseHTTPRequestHandler):
    """Answers /404 with 404, and so on."""

    def do_GET(self):
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def host():
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 403, 429])
def test_a_page_that_answers_is_there(host, status):
    assert trouble(f"{host}/{status}") is None


@pytest.mark.parametrize("status", [404, 410, 500])
def test_a_page_that_is_gone_is_told(host, status):
    assert str(status) in trouble(f"{host}/{status}")


def test_a_host_that_does_not_answer_is_told():
    assert "no answer" in trouble("http://127.0.0.1:9/")  # the port of `discard`, where nobody listens


def test_links_are_found_in_prose_and_not_in_code(tmp_path):
    (tmp_path / "book" / ".hidden").mkdir(parents=True)
    (tmp_path / "A.md").write_text("[a](https://a.org/x#part), <https://b.org>.", encoding="utf-8")
    cells = [
        {"cell_type": "markdown", "source": ["See [c](https://c.org/y)."]},
        {"cell_type": "code", "source": ["'https://code.org'"]},
    ]
    for folder in ("book", "book/.hidden"):
        (tmp_path / folder / "1.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")

    assert links(tmp_path) == {
        "https://a.org/x": {"A.md"},
        "https://b.org": {"A.md"},
        "https://c.org/y": {"1.ipynb"},
    }


def test_a_link_of_the_project_itself_is_among_them():
    assert "CHANGELOG.md" in links(ROOT)["https://semver.org/spec/v2.0.0.html"]
