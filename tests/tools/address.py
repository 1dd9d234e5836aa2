"""Write the address of the repository, which pyproject.toml has, where the README and CITATION.cff tell it.

python -m tests.tools.address
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from book.site.address import binder, repository
from book.site.pages import FIRST

ROOT = Path(__file__).resolve().parents[2]
BADGE = "[![Read it on Binder](https://mybinder.org/badge_logo.svg)]"
PLACES = {
    "README.md": lambda address: f"{BADGE}({binder(FIRST, address)})",
    "CITATION.cff": lambda address: f'repository-code: "{address}"',
}
"""The line of each file."""


def main() -> int:
    """Write all of them."""
    for name in PLACES:
        path = ROOT / name
        path.write_text(written(name, path.read_text(encoding="utf-8"), repository()), encoding="utf-8")
    return 0


def written(name: str, text: str, address: str) -> str:
    """Return the text of a file with the address in it; the line is known by how it begins."""
    line = PLACES[name](address)
    start = re.escape(BADGE if name == "README.md" else line.partition(" ")[0])
    text, found = re.subn(f"^{start}.*$", line, text, flags=re.MULTILINE)
    if found != 1:
        msg = f"{name} must have one line that begins with {start}, and has {found}"
        raise ValueError(msg)
    return text


if __name__ == "__main__":
    sys.exit(main())
