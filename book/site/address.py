"""Where memsim is published: ``Repository`` in pyproject.toml says it, and nothing else does.

The README's badge and CITATION.cff are written from it by ``python -m tests.tools.address``.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_ON_GITHUB = re.compile(r"https://github\.com/(?P<name>[\w.-]+/[\w.-]+)")


def repository(project: Path = PROJECT) -> str:
    """Return the address of the repository."""
    return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def binder(notebook: str, address: str) -> str:
    """Return the address at which Binder opens a notebook of the book in JupyterLab.

    Raises ValueError for an address that is no repository on GitHub: Binder has another form for those.

    >>> binder("00-welcome.ipynb", "https://github.com/OWNER/memsim")
    'https://mybinder.org/v2/gh/OWNER/memsim/HEAD?urlpath=lab/tree/book/00-welcome.ipynb'
    """
    found = _ON_GITHUB.fullmatch(address)
    if not found:
        msg = f"Repository in pyproject.toml must be https://github.com/OWNER/NAME, not {address}"
        raise ValueError(msg)
    return f"https://mybinder.org/v2/gh/{found['name']}/HEAD?urlpath=lab/tree/book/{notebook}"
