"""The book as a site that computes in the browser alone: ``make lite``.

JupyterLite is JupyterLab without a server; its Python is Pyodide. What is pure Python comes along: memsim and
what the controls and figures need. Pyodide itself, and numpy for it, come from Pyodide's own servers when a
reader runs the first cell.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from html import escape
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
# What Pyodide does not have itself. Each has a wheel that is pure Python.
ALONG = ("anywidget", "comm", "ipywidgets", "jupyterlab-widgets", "psygnal", "widgetsnbextension")
# ipywidgets asks for them, and they hold nothing but files of JupyterLab's, which the site has already.
FRONT_END_ONLY = ("jupyterlab_widgets", "widgetsnbextension")
INSTALL = "%pip install -q memsim anywidget ipywidgets"
PAGE = Path(__file__).with_name("lite_page")
PYODIDE = re.compile(rb"https://cdn\.jsdelivr\.net/pyodide/v[0-9.]+/full/pyodide\.m?js")
PYODIDE_BYTES = 13_500_000
"""About what Pyodide's core, its packages for a kernel and numpy weigh, compressed."""
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
SETTINGS: dict[str, Any] = {
    "jupyter-lite-schema-version": 0,
    "jupyter-config-data": {
        "appName": "memsim",
        "exposeAppInBrowser": True,  # the page says what is loading
        "litePluginSettings": {
            # What is not along and not in Pyodide is an error, and no request to a package index.
            "@jupyterlite/pyodide-kernel-extension:kernel": {"disablePyPIFallback": True},
        },
    },
}


def main(out: Path, pyodide: str = "") -> None:
    """Build the site in a folder; ``pyodide`` is the address of a copy of Pyodide's ``pyodide.js``."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary)
        write_notebooks(PROJECT / "book", source / "files")
        collect_wheels(source / "pypi")
        (source / "jupyter-lite.json").write_text(json.dumps(settings(pyodide)), encoding="utf-8")
        folders = [f"--lite-dir={source}", f"--contents={source / 'files'}", f"--output-dir={out.resolve()}"]
        run("-m", "jupyterlite_core", "build", *folders, cwd=source)
        say_what_loads(out, pyodide or default_pyodide(out), source / "pypi")


def settings(pyodide: str) -> dict[str, Any]:
    """Return JupyterLite's settings, with another place for Pyodide if there is one."""
    made = copy.deepcopy(SETTINGS)
    if pyodide:
        plugins = made["jupyter-config-data"]["litePluginSettings"]
        plugins["@jupyterlite/pyodide-kernel-extension:kernel"]["pyodideUrl"] = pyodide
    return made


def default_pyodide(out: Path) -> str:
    """Return where the kernel that comes along looks for Pyodide."""
    scripts = (out / "extensions" / "@jupyterlite" / "pyodide-kernel-extension").rglob("*.js")
    found = next(filter(None, (PYODIDE.search(script.read_bytes()) for script in scripts)))
    return found[0].decode()


def say_what_loads(out: Path, pyodide: str, wheels: Path) -> None:
    """Let the first page show the book's picture, and JupyterLab say what it waits for."""
    welcome = json.loads((PROJECT / "book" / "00-welcome.ipynb").read_text(encoding="utf-8"))
    (alt,) = re.findall(r"!\[(.*?)\]\(images/", "".join(welcome["cells"][0]["source"]), re.DOTALL)
    page = (PAGE / "index.html").read_text(encoding="utf-8").replace("@ALT@", escape(alt))
    (out / "index.html").write_text(page, encoding="utf-8")
    shutil.copy(PAGE / "loading.js", out)
    weight = sum(wheel.stat().st_size for wheel in wheels.glob("*.whl"))
    facts = {"pyodide": pyodide, "pyodide_bytes": PYODIDE_BYTES, "wheels_bytes": weight}
    (out / "memsim-lite.json").write_text(json.dumps(facts), encoding="utf-8")
    lab = out / "lab" / "index.html"
    html = lab.read_text(encoding="utf-8")
    assert "<head>" in html
    tag = '<head><script src="../loading.js"></script>'
    lab.write_text(html.replace("<head>", tag, 1), encoding="utf-8")


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
    for name in FRONT_END_ONLY:
        (wheel,) = target.glob(f"{name}-*.whl")
        strip(wheel)


def strip(wheel: Path) -> None:
    """Leave a wheel's code and metadata, and drop the files that it would put beside JupyterLab."""
    with zipfile.ZipFile(wheel) as old:
        kept = {
            name: old.read(name) for name in old.namelist() if ".data/" not in name and "/static/" not in name
        }
    record = next(name for name in kept if name.endswith(".dist-info/RECORD"))
    lines = kept[record].decode().splitlines(keepends=True)
    kept[record] = "".join(line for line in lines if line.partition(",")[0] in kept).encode()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in kept.items():
            new.writestr(name, content)


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
    main(Path(sys.argv[1]), os.environ.get("PYODIDE_URL", ""))
