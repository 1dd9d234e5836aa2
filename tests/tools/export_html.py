"""Export the book as HTML pages that need nothing: no kernel, no network, no JupyterLab.

    python -m tests.tools.export_html FOLDER [NOTEBOOK...]

nbconvert's pages ask other hosts for scripts that a page without live widgets does not need, number the cells
in a grey that is hard to read, tell links by their colour alone, and colour numbers and `in` too lightly. A
few settings and rules mend that; links between notebooks become links between pages. Code that is folded in
JupyterLab, for it gives an answer away, is folded here, too.

Explorers, questions and labs are alive as on the web site: the same modules, with their data in the page.
What was changed after it was executed keeps its stored form, and the reason is printed.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbconvert import HTMLExporter

from book.site import live, players
from book.site.address import binder, repository
from memsim.view.explorer import bundle
from tests.book.reading import BOOK

if TYPE_CHECKING:
    from collections.abc import Iterator

STYLE = """<style>
.jp-RenderedHTMLCommon a:link { text-decoration: underline; }
.jp-InputArea summary { font: 0.9em var(--jp-content-font-family, sans-serif); }
/* At least 4.5 to 1 on the grey of code cells. */
.highlight .ow { color: #7a00cc; }
.highlight :is(.il, .mb, .mf, .mh, .mi, .mo) { color: #006400; }
.highlight .c1, .highlight .sd { color: #2f5f5f; }
/* On a phone a chart gets the shape of its narrow drawing, and shows that. */
@media (max-width: 600px) { .memsim-chart img { width: 100%; aspect-ratio: var(--narrow); } }
</style>
</head>"""
FOLDED = "Show the code"
LIVE = BOOK / "site" / "static" / "live.js"
TEMPLATE = f"""
{{%- extends 'index.html.j2' -%}}
{{% block input %}}
{{% if cell.metadata.get('jupyter', {{}}).source_hidden %}}
<details><summary>{FOLDED}</summary>{{{{ super() }}}}</details>
{{% else %}}{{{{ super() }}}}{{% endif %}}
{{% endblock input %}}
"""
_LINK = re.compile(r'(<a href="[\w./-]+)\.ipynb(["#])')


def export(path: Path) -> str:
    """Return a notebook as an HTML page."""
    exporter = HTMLExporter(
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        require_js_url="",
        mathjax_url="",
        mermaid_js_url="",
        raw_template=TEMPLATE,
        embed_images=True,  # a page is one file
    )
    notebook = json.loads(path.read_text(encoding="utf-8"))
    styles, scripts = alive(notebook, path)
    resources = {"metadata": {"name": path.stem, "path": str(path.parent)}}
    page, _ = exporter.from_notebook_node(nbformat.reads(json.dumps(notebook), as_version=4), resources)
    page = _LINK.sub(r"\1.html\2", page).replace("</head>", f"<style>{styles}</style>\n{STYLE}", 1)
    head, _, rest = page.rpartition("</body>")
    return f"{head}{''.join(f'<script>{script}</script>' for script in scripts)}</body>{rest}"


def alive(notebook: dict[str, Any], path: Path) -> tuple[str, list[str]]:
    """Give live elements their places in a notebook; return the style sheets and scripts that fill them."""
    styles, scripts = [], []
    if data := list(_kept(path, _explorers(notebook, path))):
        styles.append(bundle.read("explorer.css"))
        scripts += [bundle.page(), *data]
    if list(_kept(path, _questions(notebook, path))):
        styles.append(live.style())
        scripts += [live.script(), LIVE.read_text(encoding="utf-8")]
    return "".join(styles), scripts


def _explorers(notebook: dict[str, Any], path: Path) -> Iterator[str]:
    for cell, explorer in players.explorers(notebook, path):
        players.placeholder(cell, cell["id"], explorer)
        yield players.data_script(cell["id"], explorer.packed)


def _questions(notebook: dict[str, Any], path: Path) -> Iterator[str]:
    for cell, widget, question in live.live_cells(notebook, path):
        live.make_live(cell, widget, question, binder(path.name, repository()))
        yield widget


def _kept(path: Path, made: Iterator[str]) -> Iterator[str]:
    """Give what can be made; what comes after a cell that no longer fits its output keeps its stored form."""
    try:
        yield from made
    except Exception as problem:  # noqa: BLE001 (whatever a reader's own cell raises)
        print(f"{path.name}: stays without life from here on: {problem}")


def main(arguments: list[str]) -> int:
    """Write the pages into a folder."""
    folder, *names = arguments
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for path in map(Path, names) if names else sorted(BOOK.glob("*.ipynb")):
        (target / f"{path.stem}.html").write_text(export(path), encoding="utf-8")
        print(f"{path.stem}.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
