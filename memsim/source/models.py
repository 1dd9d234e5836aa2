"""Where the model of a kernel function stands, or why there is none.

Functions that a reader can stop at are in the register of models; what they call stands beside them, also
under the kernel's names.
"""

from __future__ import annotations

import pkgutil
import sys
import tomllib
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

import memsim.linux
from memsim.errors import MemsimError
from memsim.source.hunks import import_models
from memsim.state.trace import FUNCTIONS, KERNEL_FILES
from memsim.walkers import WALKERS

if TYPE_CHECKING:
    from collections.abc import Iterator

_BELOW = f"{memsim.linux.__name__}."


def find_model(name: str) -> tuple[FunctionType, str]:
    """Return the model of a kernel function and the kernel's file.

    >>> find_model("walk_memory_blocks")[1], find_model("offline_pages")[1]
    ('drivers/base/memory.c', 'mm/memory_hotplug.c')

    Raises
    ------
    MemsimError
        There is none; the message says why, or which names are similar.
    """
    import_models()
    if name in FUNCTIONS:
        return FUNCTIONS[name], KERNEL_FILES[name]
    found = next((each for each in _plain_models() if each.__name__ == name), None)
    if found is None:
        raise MemsimError(_why_none(name))
    return found, _kernel_file(found.__module__)


def _plain_models() -> Iterator[FunctionType]:
    """Yield the functions below memsim.linux that are not in the register."""
    for info in pkgutil.walk_packages(memsim.linux.__path__, _BELOW):
        module: ModuleType = import_module(info.name)
        for function in vars(module).values():
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                yield function


def _kernel_file(module: str) -> str:
    """Return the kernel's file of a module: its package is one file if its docstring names that file."""
    known = {function.__module__: KERNEL_FILES[name] for name, function in FUNCTIONS.items()}
    path = module.removeprefix(_BELOW).replace(".", "/")
    folder, package = path.rpartition("/")[0], module.rpartition(".")[0]
    end = ".h" if path.startswith("include/") else ".c"
    split = f"{folder}.c" in (sys.modules[package].__doc__ or "")
    return known.get(module, f"{folder}.c" if split else f"{path}{end}")


def _why_none(name: str) -> str:
    """Say why a function has no model, or that it only reads struct pages, or which names are similar."""
    text = (Path(memsim.linux.__file__).parent / "left_out.toml").read_text(encoding="utf-8")
    for file, reasons in tomllib.loads(text).items():
        for reason, names in reasons.items():
            if name in names:
                return f"{name}() of {file} has no model in memsim: {reason}"
    reads = next(
        (key for key, walker in WALKERS.items() if name in walker.function.replace("()", "").split()), None
    )
    if reads is not None:
        return f"{name}() only reads struct pages: memsim.walkers.WALKERS[{reads!r}] says what it asks of one"
    plain = [function.__name__ for function in _plain_models()]
    near = ", ".join(get_close_matches(name, FUNCTIONS, 3) or get_close_matches(name, plain, 3)) or "none"
    return f"{name}() has no model in memsim; similar names that have one: {near}"
