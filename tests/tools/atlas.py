"""Write book/atlas.ipynb: for each function of the kernel where its model, its chapters and its tests are.

    python -m tests.tools.atlas        (part of `make book`)

The functions are the models that carry @kernel_function, and every other function of the kernel's rooms that
a sentence of a chapter mentions with its parentheses. A chapter or a test that names a function counts, as
`git grep -w` would find it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.book.reading import BOOK, CHAPTERS, source
from tests.tools.glossary import read
from tests.tools.notebooks import notebook_of, prose, write

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH = BOOK / "atlas.ipynb"
ROOT = Path(__file__).parents[2]
ROOMS = ("linux",)
HELPERS = {"first_state", "mark_managed"}
"""Functions of the models that chapters name, and no kernel has."""
TESTS = ("unit", "property", "fidelity")
TITLE = """# Atlas

This page lists the kernel functions that memsim models. A model has the name of its function. For each file
of models a table says which chapters mention a function, and which test files name it. (*None* in the last
column: tests of other functions run it.) `make book` collects this page from the sources.

To find a function in the kernel, search a kernel tree for its name: `git grep -n 'online_pages('`.
"""
_STRING = re.compile(r'"([^"\n]*)"')
_HEAD = "| kernel function | chapters | tests |\n|---|---|---|"


@dataclass(frozen=True)
class Entry:
    """A model of a kernel function."""

    function: str
    module: str
    marked: bool
    """Whether it carries @kernel_function."""
    chapters: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


def models() -> list[Entry]:
    """Return the functions at the top of the modules in the kernel's rooms."""
    return [
        Entry(node.name, path.relative_to(ROOT).as_posix(), marked=is_marked(node))
        for room in ROOMS
        for path in sorted((ROOT / "memsim" / room).rglob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    ]


def is_marked(node: ast.FunctionDef) -> bool:
    """Return whether a function carries @kernel_function."""
    calls = [each.func for each in node.decorator_list if isinstance(each, ast.Call)]
    return any(isinstance(each, ast.Name) and each.id == "kernel_function" for each in calls)


def words_of(text: str) -> set[str]:
    """Return the names in a text."""
    return set(re.findall(r"\w+", text))


def text_of(path: Path) -> str:
    """Return what the cells of a notebook say."""
    return "\n".join(source(cell) for cell in read(path)["cells"])


def sentences_of(path: Path) -> str:
    """Return the prose of a notebook, and the strings in its code: there `boot()` is no helper of a cell."""
    return "\n".join(
        source(cell) if cell["cell_type"] == "markdown" else "\n".join(_STRING.findall(source(cell)))
        for cell in read(path)["cells"]
    )


def entries() -> list[Entry]:
    """Return the atlas: every marked model, and every other that a sentence mentions with parentheses."""
    chapters = {path.name: text_of(path) for path in CHAPTERS}
    named = {name: words_of(text) for name, text in chapters.items()}
    tests = {
        path.stem: words_of(path.read_text(encoding="utf-8"))
        for kind in TESTS
        for path in sorted((ROOT / "tests" / kind).glob("test_*.py"))
    }
    called = {name for path in CHAPTERS for name in re.findall(r"(\w+)\(\)", sentences_of(path))}
    return [
        Entry(
            each.function,
            each.module,
            each.marked,
            having(each.function, named),
            having(each.function, tests),
        )
        for each in models()
        if each.marked or each.function in called - HELPERS
    ]


def having(name: str, texts: dict[str, set[str]]) -> tuple[str, ...]:
    """Return which of the texts have a name."""
    return tuple(sorted(where for where, names in texts.items() if name in names))


def atlas(found: Iterable[Entry]) -> dict[str, Any]:
    """Return the page: a table for each file."""
    by_module = defaultdict(list)
    for each in found:
        by_module[each.module].append(each)
    tables = [
        prose(
            re.sub(r"\W+", "-", module).strip("-"),
            f"## {module}\n\n{_HEAD}\n" + "\n".join(map(row, sorted(of_it, key=lambda each: each.function))),
        )
        for module, of_it in sorted(by_module.items())
    ]
    return notebook_of(prose("all-functions", TITLE), *tables)


def row(each: Entry) -> str:
    """Return a line of a table."""
    chapters = ", ".join(f"[{int(name[:2])}]({name})" for name in each.chapters)
    return f"| `{each.function}()` | {chapters or 'none'} | {', '.join(each.tests) or 'none'} |"


def main() -> int:
    """Write the atlas."""
    found = entries()
    write(PATH, atlas(found))
    print(f"{PATH.name}: {len(found)} functions.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
