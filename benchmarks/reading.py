"""What reading the book costs: *Run All* of each notebook, and the bytes that a page of the web site loads.

    python -m benchmarks.reading run [NOTEBOOK...]
    python -m benchmarks.reading site [FOLDER]

``run`` executes notebooks one after the other, each in a new kernel, and prints seconds of processor time
(the kernel's, with all that it started) and on the clock. The goal is 8 seconds on a quiet machine.

``site`` opens each page of the site, as ``make site`` builds it (in a temporary folder unless FOLDER has it),
from a local server that compresses, and prints the bytes that came over the wire until the page is still. The
goals are 500 kB for chapter 1 and 1 MB for every other page.
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from book.site.build import main as build
from tests.tools.execute_book import BOOK, execute, load

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TEXTS = {".html", ".js", ".css", ".svg", ".json", ".txt"}


# ---- Run All ----------------------------------------------------------------------------------------


def run_all(paths: list[Path]) -> None:
    """Execute notebooks, and print what each of them took."""
    for path in paths:
        notebook = load(path.read_text(encoding="utf-8"))
        before, begun = processor(), time.monotonic()
        execute(notebook, path.parent)
        print(
            f"{path.stem:32}{processor() - before:6.1f} s{time.monotonic() - begun:7.1f} s on the clock",
            flush=True,
        )


def processor() -> float:
    """Return the seconds of processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# ---- the site ---------------------------------------------------------------------------------------


class Compressing(SimpleHTTPRequestHandler):
    """A server as a site has one: what is text goes out compressed."""

    def do_GET(self) -> None:
        """Send a file."""
        path = Path(self.translate_path(self.path))
        if path.suffix not in TEXTS or not path.is_file():
            super().do_GET()
            return
        body = gzip.compress(path.read_bytes())
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def weigh(folder: Path) -> None:
    """Print the weight of every page of a site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Compressing, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = os.environ.get("MEMSIM_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for page in sorted(folder.glob("*.html")):
            address = f"http://127.0.0.1:{server.server_port}/{page.name}"
            print(f"{page.stem:32}{bytes_of(chromium, address):12,} bytes", flush=True)
        chromium.close()
    server.shutdown()
    print(f"{'data of explorers, compressed':32}")
    for data in sorted((folder / "_static" / "explorers").glob("*.js")):
        print(f"  {data.stem:50}{len(gzip.compress(data.read_bytes())):10,} bytes")


def bytes_of(chromium: Browser, address: str) -> int:
    """Return the bytes that a page takes over the wire, to a reader who has nothing of the site yet."""
    page = chromium.new_page()
    session = page.context.new_cdp_session(page)
    sizes: list[int] = []
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    page.goto(address, wait_until="networkidle")
    page.close()
    return sum(sizes)


def main(arguments: list[str]) -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["run", "site"])
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="notebooks, or the folder of a site"
    )
    chosen = parser.parse_args(arguments)
    if chosen.what == "run":
        run_all(chosen.paths or sorted(BOOK.glob("*.ipynb")))
        return 0
    if chosen.paths:
        weigh(chosen.paths[0])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        if failed := build([str(site)]):
            return failed
        weigh(site)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
