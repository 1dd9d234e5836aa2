"""The reference part of the site: public names, models of kernel functions, scenarios, the whole patch.

Sphinx turns docstrings into pages (autodoc, napoleon); this module chooses the modules and names. Names with
one leading underscore are private. Some models begin with two, as in the kernel; autodoc would take them for
private, so every page lists its names.
"""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path

import memsim
from memsim.patch import Hunk
from memsim.scenario.reference import reference_page
from memsim.scenario.schema import scenario_schema
from memsim.view.patch import hunk_html, overview

FOLDER = "reference"
PUBLIC = ("memsim.lesson", "memsim.grading", "memsim.walkers")
"""Packages whose ``__all__`` is public, beside that of memsim itself."""
PAGES = ("memsim", "patch", "scenarios", "linux", *(name.rpartition(".")[2] for name in PUBLIC))
ROOT = Path(memsim.__file__).parent


def write(folder: Path) -> list[str]:
    """Write the pages below a folder, and return the names of those that stand in the contents."""
    target = folder / FOLDER
    target.mkdir()
    (target / "memsim.rst").write_text(module_page("memsim", memsim.__all__), encoding="utf-8")
    for name in PUBLIC:
        page = module_page(name, import_module(name).__all__)
        (target / f"{name.rpartition('.')[2]}.rst").write_text(page, encoding="utf-8")
    models = linux_modules()
    for name in models:
        (target / f"{name}.rst").write_text(module_page(name, names_in(name)), encoding="utf-8")
    (target / "linux.rst").write_text(linux_page(models), encoding="utf-8")
    (target / "patch.md").write_text(patch_page(), encoding="utf-8")
    (target / "scenarios.md").write_text(reference_page(), encoding="utf-8")
    schema = json.dumps(scenario_schema(), indent=1)
    (target / "scenario.schema.json").write_text(schema, encoding="utf-8")
    static = folder / "static"
    static.mkdir(exist_ok=True)
    (static / "scenario.schema.json").write_text(schema, encoding="utf-8")  # an address that stays the same
    return [f"{FOLDER}/{page}" for page in PAGES]


def heading(text: str) -> str:
    """Return a heading of a page in reStructuredText."""
    return f"{text}\n{'=' * len(text)}\n"


def module_page(module: str, names: list[str]) -> str:
    """Return the page of a module: its docstring, then each name with its own."""
    entries = [entry(module, name) for name in names]
    return "\n".join([heading(module), f".. automodule:: {module}\n", *entries])


def entry(module: str, name: str) -> str:
    """Return what makes the entry of one name; of data autodoc would show the docstring of its type."""
    what = kind(module, name)
    directive = f"py:{what}" if what == "data" else f"auto{what}"
    options = "   :members:\n   :undoc-members:\n" if what == "class" else ""
    return f".. {directive}:: {module}.{name}\n{options}"


def kind(module: str, name: str) -> str:
    """Return what autodoc calls the kind of thing that a name stands for."""
    value = getattr(import_module(module), name)
    if isinstance(value, type):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if callable(value) else "data"


def linux_modules() -> list[str]:
    """Return the modules with models, under the names that their path in the kernel gives them."""
    paths = sorted((ROOT / "linux").rglob("*.py"))
    names = [".".join(("memsim", *path.relative_to(ROOT).with_suffix("").parts)) for path in paths]
    return [name for name in names if not name.endswith("__init__")]


def names_in(module: str) -> list[str]:
    """Return the public functions and classes that a module defines, in the order of the text."""
    path = ROOT.parent / Path(*module.split(".")).with_suffix(".py")
    defined = ast.parse(path.read_text(encoding="utf-8")).body
    names = [node.name for node in defined if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in names if not name.startswith("_") or name.startswith("__")]


def linux_page(models: list[str]) -> str:
    """Return the page that lists the modules with models."""
    intro = (
        "A path below ``memsim/linux/`` is the kernel's path, and a model has the name of the kernel's "
        "function. A file of the kernel that would be too long here is a package of its name."
    )
    tree = "\n".join([".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in models), ""])
    return "\n".join([heading("Models of kernel functions"), intro, "", tree])


# ---- the patch on one page -------------------------------------------------------------------------


_FUNCTION, _AS_CODE = re.compile(r"(\w+\(\))"), r"`\1`"


def patch_page() -> str:
    """Return the page that shows every hunk: function and model without it beside the same with it."""
    intro = (
        "What each hunk changes: the kernel's function in short, as pseudo-C of our own, and behind a fold "
        "our model of it, which follows the function step by step. On the left the hunk is missing, on the "
        "right it is applied. On both sides the pseudo-C has the patches before it, and the model all other "
        "hunks. "
        "`memsim patch` prints the same. What breaks when a hunk is missing, or alone, can be opened in "
        "[chapter 13](../13-the-patch.ipynb)."
    )
    rows = [
        f"| {commit} | [{hunk}](#{hunk.lower()}) | {_FUNCTION.sub(_AS_CODE, places)} |"
        for commit, hunk, places in overview()
    ]
    table = ["| patch, commit (Linux 6.11) | hunk | file: function |", "|---|---|---|", *rows]
    parts = ["# The patch, hunk by hunk\n", f"{intro}\n", "\n".join([*table, ""])]
    parts += [f'## {hunk.name}\n\n<div class="memsim-hunk">{hunk_html(hunk)}</div>\n' for hunk in Hunk]
    return "\n".join(parts)
