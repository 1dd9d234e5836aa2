"""Words that no text of memsim uses, because they are another language's in English words; where each stands.

``python -m tests.tools.english`` shows where one stands.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INSTEAD = {
    "told": "says, shows, reports, returns; shown, reported",
    "nobody|no one": "no reader, no code; or say who it is",
    "somebody|someone": "another process, a student; or say who it is",
    "whoever": "a reader who, if you",
    "so many|so often": "at most N, this many",
    "comes to the same": "has the same result, is equivalent",
    "there is to see|all there is": "what is shown, everything",
    r"in what (?:the|two|one|both)\b": "how, where",
    "for ever": "forever, without end",
    "otherwise than": "differently from",
    "in the place of": "instead of",
}
WORDS = re.compile(rf"\b(?:{'|'.join(INSTEAD)})\b", re.IGNORECASE)


def texts_of_python(source: str) -> list[tuple[int, str]]:
    """Return (line, text) of each string and comment, docstrings and parts of f-strings included."""
    strings = [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value  # no key
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    return strings + comments


def texts_of_markdown(source: str) -> list[tuple[int, str]]:
    """Return (line, text) of each line that is no code."""
    return [
        (number, line) for number, line in enumerate(source.splitlines(), 1) if not line.startswith("    ")
    ]


def found(source: str, *, python: bool) -> list[tuple[int, str]]:
    """Return (line, word) of each word of the list; a text of several lines counts from its first.

    >>> found('raise ValueError("the host is told")', python=True)
    [(1, 'told')]
    >>> found("told = 1", python=True)
    []
    """
    texts = texts_of_python(source) if python else texts_of_markdown(source)
    return sorted(
        (line + text.count("\n", 0, match.start()), match[0])
        for line, text in texts
        for match in WORDS.finditer(text)
    )


def found_in_notebook(notebook: dict[str, Any]) -> list[tuple[int, str]]:
    """Return (cell, word) of each word of the list in the cells of a notebook, whatever these print.

    >>> told = {"cell_type": "markdown", "source": ["It is told.\\n"]}
    >>> found_in_notebook({"cells": [{"cell_type": "code", "source": ["told = 1"]}, told]})
    [(1, 'told')]
    """
    return [
        (number, word)
        for number, cell in enumerate(notebook["cells"])
        for _, word in found("".join(cell["source"]), python=cell["cell_type"] == "code")
    ]


def found_in(path: Path) -> list[tuple[int, str]]:
    """Return (line or cell, word) of each word of the list in a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return found_in_notebook(json.loads(text))
    return found(text, python=path.suffix == ".py")


def files() -> list[Path]:
    """Return the files that the words must not be in."""
    book = [*(ROOT / "book").glob("*.ipynb"), *(ROOT / "book" / "questions").glob("*.toml")]
    return [*sorted((ROOT / "memsim").rglob("*.py")), *sorted(book), *(ROOT / f"{name}.md" for name in PAGES)]


PAGES = ("README", "CONTRIBUTING", "SECURITY")


def in_all_files() -> dict[str, list[tuple[int, str]]]:
    """Return what was found, by path; files without a word are left out."""
    every = {path.relative_to(ROOT).as_posix(): found_in(path) for path in files()}
    return {name: words for name, words in every.items() if words}


def main() -> None:
    """Show each word."""
    for name, words in in_all_files().items():
        for line, word in words:
            print(f"{name}:{line}: {word!r}")


if __name__ == "__main__":
    main()
