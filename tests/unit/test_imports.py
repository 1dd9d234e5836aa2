"""Imports go down only, and the simulator needs numpy and nothing else (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import memsim

ROOT = Path(memsim.__file__).parent
# From the ground up. A name stands for a module, or for a package with all that is in it; the longest counts.
FLOORS = (
    {"errors", "free_list", "reexport", "linux.include"},
    {"patch", "release", "hosts"},
    {"state"},
    {"linux"},
    {"fast", "walkers", "devices"},
    {"machine"},
    {"scenario", "ftrace", "source"},
    {"recordings", "real"},
    {"view", "lesson", "grading", "cli", "__init__", "__main__"},
)
ABOVE_THE_SIMULATOR = FLOORS[-1] - {"__init__"}
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in sorted(ROOT.rglob("*.py"))
}
SIMULATOR = [name for name in MODULES if name.split(".")[1] not in ABOVE_THE_SIMULATOR]


class Imports(ast.NodeVisitor):
    """Collects what a module imports when it runs, and what it imports for types only."""

    def __init__(self):
        self.names, self.types = set(), set()

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            self.names, self.types = self.types, self.names
            self.generic_visit(node)
            self.names, self.types = self.types, self.names
            return
        self.generic_visit(node)

    def visit_Call(self, node):
        """``import_module("memsim.x")`` is an import, too."""
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name == "import_module" and node.args and isinstance(node.args[0], ast.Constant):
            self.names.add(node.args[0].value)
        self.generic_visit(node)

    def visit_Import(self, node):
        self.names |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node):
        assert node.level == 0, "imports are written in full"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            is_module = inner in MODULES or f"{inner}.__init__" in MODULES
            self.names.add(inner if is_module else node.module)


def imports_of(name, *, types=False):
    """Return the names of the modules that a module imports when it runs, and maybe for types only."""
    found = all_imports_of(name)
    return found.names | found.types if types else found.names


@functools.cache
def all_imports_of(name):
    """Return what a module imports; it is parsed once for all tests."""
    found = Imports()
    found.visit(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    return found


def floor_of(name):
    """Return the floor that a module stands on; None if it has none."""
    parts = name.split(".")[1:] or ["__init__"]
    for length in range(len(parts), 0, -1):
        room = ".".join(parts[:length])
        for number, rooms in enumerate(FLOORS):
            if room in rooms:
                return number
    return None


def own(names):
    """Return those that are modules of memsim."""
    return {name for name in names if name.split(".")[0] == "memsim"}


def test_every_module_has_its_floor():
    homeless = {name for name in MODULES if floor_of(name) is None}
    assert homeless == set(), "say in FLOORS where they stand"


def test_a_module_imports_from_its_own_floor_and_from_those_below():
    higher = {
        f"{name} -> {other}"
        for name in MODULES
        for other in own(imports_of(name, types=True))
        if floor_of(other) > floor_of(name)
    }
    assert higher == set()


def test_there_are_at_most_twelve_floors():
    assert len(FLOORS) <= 12


def test_an_import_inside_a_function_and_one_by_name_are_noticed():
    found = Imports()
    found.visit(ast.parse('if TYPE_CHECKING:\n import a\ndef f():\n importlib.import_module("b").c'))
    assert (found.names, found.types) == ({"b"}, {"a"})


def test_there_are_no_import_circles():
    """Not even of imports for types only, or by name."""
    graph = {}
    for name in MODULES:
        known = {
            other if other in MODULES else f"{other}.__init__" for other in own(imports_of(name, types=True))
        }
        graph[name] = known - {name}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert set(order) == set(MODULES)


def test_the_simulator_needs_numpy_and_nothing_else():
    outside = {other.split(".")[0] for name in SIMULATOR for other in imports_of(name)} - {"memsim", "numpy"}
    assert outside <= set(sys.stdlib_module_names)


def test_nothing_in_memsim_imports_the_book_the_exercises_or_the_tests():
    for name in MODULES:
        assert not {other.split(".")[0] for other in imports_of(name)} & {"book", "exercises", "tests"}


def loaded_by(code):
    """Return the names of the modules that a fresh Python has loaded after some code."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 (our own code)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "from memsim import Machine, Patch, Scenario, compare, run, verify",
        "import memsim.recordings.observation",
    ],
)
def test_importing_the_simulator_loads_neither_figures_nor_widgets_nor_a_test_tool(code):
    loaded = loaded_by(code)
    assert "memsim.machine.machine" in loaded
    assert not {name.split(".")[0] for name in loaded} & {
        "plotly",
        "ipywidgets",
        "IPython",
        "anywidget",
        "nbformat",
        "pytest",
        "hypothesis",
    }
    assert not {name for name in loaded if name.startswith(("memsim.view", "memsim.lesson"))}


def test_importing_memsim_loads_no_model_and_not_even_numpy():
    loaded = loaded_by("import memsim")
    assert "memsim.patch" in loaded
    assert "numpy" not in loaded
    assert not {
        name for name in loaded if name.startswith(("memsim.linux.mm", "memsim.machine", "memsim.state"))
    }


def test_no_package_takes_the_name_of_a_module_of_python():
    """pytest imports a package by its own name; book/site was once `site` for all that ran after it."""
    ours = ("memsim", "book", "tests", "benchmarks", "exercises")
    folders = [path.parent for name in ours for path in (ROOT.parent / name).rglob("__init__.py")]
    packages = {folder.name for folder in folders if not (folder.parent / "__init__.py").exists()}

    assert "memsim" in packages
    assert packages & sys.stdlib_module_names == set()


def test_the_help_of_the_command_line_needs_no_simulator():
    loaded = loaded_by("import memsim.cli\nmemsim.cli.parser().format_help()")
    assert not {name for name in loaded if name.startswith(("numpy", "memsim.state", "memsim.scenario"))}
