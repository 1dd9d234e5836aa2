"""Build the book's web site from the notebooks with their stored outputs; nothing is executed again.

    python -m book.site.build FOLDER

Sphinx and MyST-NB make the pages. What they get are copies of the notebooks (:mod:`book.site.pages`), and
around each explorer's stored output an element that the live one replaces (:mod:`book.site.players`).
"""

from __future__ import annotations

import json
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs
from sphinx.cmd.build import build_main

from book.site import reference
from book.site.address import binder, repository
from book.site.live import live_cells, make_live
from book.site.live import script as live_script
from book.site.live import style as live_style
from book.site.pages import FIRST, contents, page_of, runs_at, targets
from book.site.players import data_script, explorers, placeholder, walks_without_a_hunk
from memsim.view.charts.chart import PLOTLY
from memsim.view.explorer import bundle
from memsim.view.lab import WIDGET_VIEW

HERE = Path(__file__).parent
BOOK = HERE.parent
EXTRAS = ("images", "questions", "scenarios")


def main(arguments: list[str]) -> int:
    """Build the site in a folder; Sphinx's warnings are errors."""
    (name,) = arguments
    folder = Path(name)
    sources, doctrees = (folder.with_name(f"{folder.name}-{what}") for what in ("sources", "doctrees"))
    for old in (folder, sources):
        shutil.rmtree(old, ignore_errors=True)
    prepare(sources)
    how = ["--quiet", "--fail-on-warning", "--keep-going", "-j", "auto"]
    static = f"html_static_path={HERE / 'static'},{sources.resolve() / 'static'}"
    return build_main([*how, "-D", static, "-c", str(HERE), "-d", str(doctrees), str(sources), str(folder)])


def prepare(folder: Path) -> None:
    """Write what Sphinx reads: a copy of each notebook, its pictures, and the data of the explorers."""
    for extra in EXTRAS:
        shutil.copytree(BOOK / extra, folder / extra)
    data = folder / "static" / "explorers"
    data.mkdir(parents=True)
    (folder / "static" / "explorer.css").write_text(bundle.read("explorer.css"), encoding="utf-8")
    (folder / "static" / "explorer.js").write_text(bundle.page(), encoding="utf-8")
    (folder / "static" / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
    (folder / "static" / "widgets.js").write_text(live_script(), encoding="utf-8")
    (folder / "static" / "widgets.css").write_text(live_style(), encoding="utf-8")
    notebooks = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted(BOOK.glob("*.ipynb"))}
    linked = targets({path.name: notebook for path, notebook in notebooks.items()})
    tree = contents([path.name for path in notebooks], reference.write(folder))
    longest_first = sorted(notebooks, key=lambda path: -path.stat().st_size)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(write_page, folder=folder, linked=linked, tree=tree), longest_first))
    assert any(data.iterdir()), f"{BOOK} has no explorer"  # noqa: S101 (a site without them is broken)


def write_page(path: Path, folder: Path, linked: set[str], tree: dict[str, Any]) -> None:
    """Write the page of a notebook, and the data of its explorers; the first page has the contents."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    without_views(notebook)
    for cell, explorer in explorers(notebook, path):
        name = f"{path.stem}--{cell['id']}"
        walks = dict(walks_without_a_hunk(explorer))
        data = {name: explorer.packed} | {f"{name}--without-{hunk}": walk for hunk, walk in walks.items()}
        for each, walk in data.items():
            script = folder / "static" / "explorers" / f"{each}.js"
            script.write_text(data_script(each, walk), encoding="utf-8")
        placeholder(cell, name, explorer, "_static/plotly.min.js", list(walks))
    for cell, widget, question in live_cells(notebook, path):
        make_live(cell, widget, question, binder(path.name, repository()))
    page = page_of(notebook, path.name, linked)
    runs_at(page, binder(path.name, repository()))
    if path.name == FIRST:
        page["cells"].append(tree)
    target = folder / ("index.ipynb" if path.name == FIRST else path.name)
    target.write_text(json.dumps(page, ensure_ascii=False), encoding="utf-8")


def without_views(notebook: dict[str, Any]) -> None:
    """Drop what a page cannot show: figures of plotly's, and the views of widgets that are gone.

    Reading a notebook in JupyterLab leaves such views. Beside both stands HTML that a page can show.
    """
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for of_no_use in (WIDGET_VIEW, PLOTLY):
                output.get("data", {}).pop(of_no_use, None)
                output.get("metadata", {}).pop(of_no_use, None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
