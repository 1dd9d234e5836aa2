"""The claims of the book as they are written: none is made twice, and readers see them as checked.

Each is checked in the kernel that nbval runs the chapter in, there and in worlds in which something is broken
(claims.py).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter

from memsim.lesson.chapters import listed_claims

from .reading import CHAPTERS, NOTEBOOKS, cells, joined


def test_a_claim_is_made_once():
    made = Counter(each.id for path in NOTEBOOKS for each in listed_claims(path))
    assert [name for name, times in made.items() if times > 1] == []


def test_the_book_makes_150_claims():
    assert sum(len(listed_claims(path)) for path in CHAPTERS) >= 150


def test_every_notebook_with_claims_has_them_checked():
    """The cell that checks them is added when a notebook is collected."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *map(str, NOTEBOOKS)]
    plain = {**os.environ, "PYTEST_ADDOPTS": ""}  # -v there would list them in another form
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=plain).stdout  # noqa: S603 (ours)

    checked = re.findall(r"([\w-]+)\.ipynb::the claims$", found, re.MULTILINE)
    assert sorted(checked) == [path.stem for path in NOTEBOOKS if listed_claims(path)]


def test_claims_are_stored_as_checked():
    """What a reader sees without running anything is the same claims."""
    for path in CHAPTERS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        shown = [
            joined(output["data"]["text/plain"])
            for cell in cells(notebook, "code")
            for output in cell["outputs"]
            if "data" in output
        ]
        text = "\n".join(shown)
        assert [each.id for each in listed_claims(path) if f"Claim {each.id} (checked)" not in text] == []
