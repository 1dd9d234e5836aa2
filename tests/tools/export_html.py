"""Export the book as HTML pages that need nothing: no kernel, no network, no JupyterLab.

    python -m tests.tools.export_html FOLDER [NOTEBOOK...]

nbconvert's pages ask other hosts for scripts that a page without live widgets does not need, number the cells
in a grey that is hard to read, tell links by their colour alone, and colour numbers and `in` too lightly. A
few settings and rules mend that; links between notebooks become links between pages. Code that is folded in
JupyterLab, for it gives an answer away, is folded here, too.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from nbconvert import HTMLExporter

from tests.book.reading import BOOK

STYLE = """<style>
.jp-RenderedHTMLCommon a:link { text-decoration: underline; }
.jp-InputArea summary { font: 0.9em var(--jp-content-font-family, sans-serif); }
/* At least 4.5 to 1 on the grey of code cells. */
.highlight .ow { color: #7a00cc; }
.highlight :is(.il, .mb, .mf, .mh, .mi, .mo) { color: #006400; }
.highlight .c1, .highlight .sd { color: #2f5f5f; }
</style>
</head>"""
FOLDED = "Show the code"
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
    page, _ = exporter.from_filename(str(path))
    return _LINK.sub(r"\1.html\2", page).replace("</head>", STYLE, 1)


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
