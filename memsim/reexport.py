"""Packages that have the names of their modules, and import a module when one of its names is first used.

:func:`imported_on_first_use` serves packages that list their names. :func:`name_in` and :func:`names_in`
serve a package for a file of the kernel that is split into modules: it has the names of all of them, and
files of the kernel need each other. Memory blocks call ``online_pages()``, and ``add_memory()`` makes memory
blocks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType


def imported_on_first_use(package: str, found_in: Mapping[str, tuple[str, ...]]) -> Callable[[str], object]:
    """Return the ``__getattr__()`` of a package, given the names that each of some modules has.

    The function raises AttributeError for a name that is not listed.
    """
    homes = {name: module for module, names in found_in.items() for name in names}

    def find(name: str) -> object:
        if name not in homes:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(homes[name]), name)

    return find


def name_in(package: str, modules: tuple[str, ...], name: str) -> Any:  # noqa: ANN401 (any name of a module)
    """Return a function, a class or a constant of a package's modules.

    Raises
    ------
    AttributeError
        None of them has it.
    """
    for module in modules:
        found = import_module(f"{package}.{module}")
        if name in defined_in(found) or (name.isupper() and name in vars(found)):
            return getattr(found, name)
    msg = f"module {package!r} has no attribute {name!r}"
    raise AttributeError(msg)


def names_in(package: str, modules: tuple[str, ...]) -> list[str]:
    """Return the functions and classes that the modules of a package define."""
    return sorted({name for module in modules for name in defined_in(import_module(f"{package}.{module}"))})


def defined_in(module: ModuleType) -> set[str]:
    """Return the functions and classes that a module defines; the kernel begins some with underscores."""
    return {
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and not name.endswith("__")
    }
