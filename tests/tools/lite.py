"""The book as a site that computes in the browser alone: ``make lite``.

JupyterLite is JupyterLab without a server; its Python is Pyodide. What is pure Python comes along: memsim and
what the controls and figures need. Pyodide itself, and numpy for it, come from Pyodide's own servers when a
reader runs the first cell.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]
# What Pyodide does not have itself. Each has a wheel that is pure Python.
ALONG = ("anywidget", "comm", "ipywidgets", "jupyterlab-widgets", "plotly", "psygnal", "widgetsnbextension")
INSTALL = "%pip install -q memsim anywidget ipywidgets plotly"
SETUP = {
    "cell_type": "code",
    "execution_count": None,
    "id": "memsim-lite",
    "metadata": {},
    "outputs": [],
    "source": [
        "# This copy computes in your browser. Run this cell first: it fetches Python, once.\n",
        INSTALL,
    ],
}
SETTINGS = {
    "jupyter-lite-schema-version": 0,
    "jupyter-config-data": {
        "appName": "memsim",
        "litePluginSettings": {
            # What is not along and not in Pyodide is an error, and no request to a package index.
            "@jupyterlite/pyodide-kernel-extension:kernel": {"disablePyPIFallback": True},
        },
    },
}


def main(out: Path) -> None:
    """Build the site in a folder."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary)
        write_notebooks(PROJECT / "book", source / "files")
        collect_wheels(source / "pypi")
        (source / "jupyter-lite.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
        folders = [f"--lite-dir={source}", f"--contents={source / 'files'}", f"--output-dir={out.resolve()}"]
        run("-m", "jupyterlite_core", "build", *folders, cwd=source)


def write_notebooks(book: Path, target: Path) -> None:
    """Copy the book, with a cell in front of each notebook that installs memsim where it runs."""
    shutil.copytree(book, target, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    for path in target.glob("*.ipynb"):
        document = json.loads(path.read_text(encoding="utf-8"))
        document["cells"].insert(1, SETUP)  # the title stays the first thing that a reader sees
        path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def collect_wheels(target: Path) -> None:
    """Build memsim's wheel, and download the locked versions of what comes along."""
    run("-m", "hatchling", "build", "-t", "wheel", "-d", str(target), cwd=PROJECT)
    wanted = target / "along.txt"
    wanted.write_text(
        pins((PROJECT / "requirements-lite.lock").read_text(encoding="utf-8")), encoding="utf-8"
    )
    pure = (
        "--only-binary=:all:",
        "--platform=any",
        "--implementation=py",
        "--abi=none",
        "--python-version=3.14",
    )
    options = ("-qq", "--disable-pip-version-check")
    run(
        "-m",
        "pip",
        *options,
        "download",
        "--no-deps",
        "--require-hashes",
        *pure,
        "-r",
        str(wanted),
        cwd=target,
    )
    wanted.unlink()


def pins(lock: str) -> str:
    """Return the part of a lock that is about what comes along."""
    entries = re.findall(r"^[a-z].*?(?=^[a-z]|\Z)", lock, re.MULTILINE | re.DOTALL)
    return "".join(entry for entry in entries if entry.partition("==")[0] in ALONG)


def run(*arguments: str, cwd: Path) -> None:
    """Run a module of this environment, and show what it said if it fails."""
    done = subprocess.run(  # noqa: S603 (our own commands)
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
