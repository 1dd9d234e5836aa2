"""Ask every page in the web that the book or a text beside it links to whether it is still there.

    python -m tests.tools.web_links

Needs the network, and Python's own library only. Each page is asked for once, twice if it does not answer.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"""https?://[^\s<>"'`\\\])]+""")
FOLDERS = ("benchmarks", "book", "exercises", "memsim", "tests")
TIMEOUT_S = 30
# Some hosts turn away a client that does not say what it is.
HEADERS = {"User-Agent": "memsim-link-check (python-urllib)"}
# Asked too often, or only members may look: the page is there.
THERE_ALL_THE_SAME = {401, 403, 429}


def main() -> int:
    """Print the pages that are not there; 0 if all are."""
    found = links(ROOT)
    wrong = 0
    for link, files in sorted(found.items()):
        problem = trouble(link)
        if problem:
            wrong += 1
            print(f"{link}\n    {problem}; in {', '.join(sorted(files))}")
    print(f"{len(found)} pages asked for, {wrong} not there")
    return 1 if wrong else 0


def links(root: Path) -> dict[str, set[str]]:
    """Return the links into the web of notebooks' prose and of Markdown files, with the files they are in."""
    found: dict[str, set[str]] = {}
    folders = [root / name for name in FOLDERS]
    inside = [path for folder in folders for kind in ("*.md", "*.ipynb") for path in folder.rglob(kind)]
    for path in [*root.glob("*.md"), *inside]:
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        for link in LINK.findall(prose(path)):
            found.setdefault(link.rstrip(".,;:").partition("#")[0], set()).add(path.name)
    return found


def prose(path: Path) -> str:
    """Return the text of a Markdown file, or of the Markdown cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def trouble(link: str, tries: int = 2) -> str | None:
    """Return why a page is not there, or None."""
    try:
        request = urllib.request.Request(link, headers=HEADERS)  # noqa: S310 (LINK finds http and https only)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            return None
    except urllib.error.HTTPError as error:
        return None if error.code in THERE_ALL_THE_SAME else f"answers {error.code} {error.reason}"
    except OSError as error:
        return trouble(link, tries - 1) if tries > 1 else f"no answer: {getattr(error, 'reason', error)}"


if __name__ == "__main__":
    sys.exit(main())
