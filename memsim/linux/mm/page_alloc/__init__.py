"""The buddy allocator: ``mm/page_alloc.c``."""

from typing import Any

from memsim.reexport import name_in, names_in

_MODULES = ("api", "buddy", "contig", "free_lists", "isolation", "watermarks")


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any name of a module)
    return name_in(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return names_in(__name__, _MODULES)
