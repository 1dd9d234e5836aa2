"""Execute the book's notebooks in place, and keep nothing in them that changes by itself.

Without arguments: every notebook in book/, and the guide for instructors. With arguments: these notebooks.
A notebook whose cell fails stays as it was. Widget state and times are not stored: state alone can be
megabytes, and both would make each execution look like a change of the book.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from tests.tools.notebooks import KERNELSPEC, LANGUAGE

BOOK = Path(__file__).resolve().parents[2] / "book"
GUIDE = BOOK.parent / "exercises" / "instructor-guide.ipynb"
CELL_TIMEOUT_S = 600
OUTPUT_TIMEOUT_S = 60
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CHANGING_METADATA = ("execution", "ExecuteTime", "widgets", "trusted")


def main(arguments: list[str]) -> int:
    """Renew the notebooks; 0 if all of them ran."""
    paths = [Path(name) for name in arguments] or [*sorted(BOOK.glob("*.ipynb")), GUIDE]
    if not paths:
        print(f"There is no notebook in {BOOK}.")
        return 1
    ran = [renew(path) for path in paths]
    return 0 if all(ran) else 1


def renew(path: Path) -> bool:
    """Execute one notebook and write it back; False, and the cell's error, if it fails."""
    before = path.read_text(encoding="utf-8")
    notebook = load(before)
    try:
        execute(notebook, path.parent)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"{path.name}: failed, left as it was.\n{error}")
        return False
    tidy(notebook)
    nbformat.validate(notebook)
    after = nbformat.writes(notebook) + "\n"
    if after != before:
        path.write_text(after, encoding="utf-8", newline="\n")
    print(f"{path.name}: executed, {'the same' if after == before else 'changed'}.")
    return True


def load(text: str) -> nbformat.NotebookNode:
    """Read a notebook, giving an id of its own to each cell that has none."""
    raw = json.loads(text)
    raw["nbformat_minor"] = max(5, raw["nbformat_minor"])
    taken = set()
    for number, cell in enumerate(raw["cells"]):
        if cell.get("id") in {None, *taken}:
            # Made from place and text, so that the same notebook always gets the same ids.
            seed = f"{number} {''.join(cell['source'])}".encode()
            cell["id"] = hashlib.sha256(seed).hexdigest()[:8]
        taken.add(cell["id"])
    return nbformat.reads(json.dumps(raw), as_version=4)


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells in a new kernel of this environment, in the notebook's folder."""
    NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        iopub_timeout=OUTPUT_TIMEOUT_S,
        kernel_name=KERNELSPEC["name"],
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
    ).execute()


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Drop what differs between two executions and between two machines."""
    notebook.metadata.update(kernelspec=KERNELSPEC, language_info=LANGUAGE)
    for part in (notebook, *notebook.cells):
        for key in CHANGING_METADATA:
            part.metadata.pop(key, None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            # A view is the number of a widget that is gone; without it the text beside it shows.
            for part in (output.get("data", {}), output.get("metadata", {})):
                part.pop(WIDGET_VIEW, None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
