"""The claims of a book's notebooks: listed by reading them, checked by running them.

The book is given as a folder: memsim knows nothing of it. A chapter's code is run here, in this process and
without Jupyter, with its folder as the current one; what it shows goes nowhere.
"""

from __future__ import annotations

import ast
import io
import json
import linecache
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import memsim
from memsim.errors import MemsimError
from memsim.lesson import claim_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.lesson.claim_registry import Claim

_COMPUTED = "(computed when it runs)"
_ARGUMENTS = ("claim_id", "sentence", "source")


@dataclass(frozen=True)
class ListedClaim:
    """A claim as it is written in a chapter, not checked."""

    chapter: str
    id: str
    sentence: str
    source: str


def find_book(folder: str | None = None) -> Path:
    """Return the folder of the book: the one given, ``book`` here, or the one that memsim came with.

    In a checkout that one lies beside memsim's code, in an installed wheel inside of it.

    Raises
    ------
    MemsimError
        No notebook is there.
    """
    return _first_book([Path(folder)] if folder is not None else [Path("book"), *_came_with()])


def book_that_came_along() -> Path:
    """Return the folder of the book that memsim came with, whatever a reader has made of a copy."""
    return _first_book(_came_with())


def _came_with() -> list[Path]:
    code = Path(memsim.__file__).parent
    return [code / "book", code.parent / "book"]


def _first_book(places: list[Path]) -> Path:
    for place in places:
        if chapters(place):
            return place
    msg = f"there are no notebooks in {' or '.join(map(str, places))}: name the folder of the book"
    raise MemsimError(msg)


def chapters(book: Path) -> list[Path]:
    """Return the notebooks of a book, in the order of their names."""
    return sorted(path for path in book.glob("*.ipynb") if not path.name.startswith("."))


def code_cells(path: Path) -> list[tuple[str, str]]:
    """Return (name, code) of each code cell of a notebook.

    Raises
    ------
    MemsimError
        It is no notebook.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return [
            (f"{path.name}[{cell.get('id', number)}]", "".join(cell["source"]))
            for number, cell in enumerate(document["cells"])
            if cell["cell_type"] == "code"
        ]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        msg = f"{path}: is no notebook that can be read: {problem}"
        raise MemsimError(msg) from None


def listed_claims(path: Path) -> list[ListedClaim]:
    """Return the claims of a notebook, without running anything."""
    return [
        ListedClaim(path.stem, *arguments)
        for name, code in code_cells(path)
        for arguments in _claims_in(code, name)
    ]


def _claims_in(code: str, name: str) -> Iterator[tuple[str, str, str]]:
    try:
        tree = ast.parse(code)
    except SyntaxError as problem:
        msg = f"{name}: is no Python: {problem}"
        raise MemsimError(msg) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "claim":
            given: dict[str | None, ast.expr] = dict(zip(_ARGUMENTS, node.args, strict=False))
            given |= {keyword.arg: keyword.value for keyword in node.keywords}
            claim_id, sentence, source = (_constant(given.get(argument)) for argument in _ARGUMENTS)
            yield claim_id, sentence, source


def _constant(node: ast.expr | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else _COMPUTED


def run_chapter(path: Path) -> tuple[list[Claim], dict[str, Any]]:
    """Run a notebook's code; return the claims that were checked, and the names that it defined.

    Raises
    ------
    MemsimError
        A claim is wrong, or a cell fails in another way; the message names notebook and cell.
    """
    names: dict[str, Any] = {"__name__": "__main__", "display": lambda *_, **__: None}
    with claim_registry.collecting() as made, chdir(path.parent), redirect_stdout(io.StringIO()):
        for name, code in code_cells(Path(path.name)):
            linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
            try:
                exec(compile(code, name, "exec"), names)  # noqa: S102 (a chapter is there to be run)
            except Exception as problem:
                msg = f"{name}: {type(problem).__name__}: {problem}"
                raise MemsimError(msg) from problem
    return list(made), names
