"""Memory blocks and the memory notifier: ``drivers/base/memory.c``."""

from typing import Any

from memsim.reexport import name_in, names_in

_MODULES = ("blocks", "notifier", "sysfs")


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any name of a module)
    return name_in(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return names_in(__name__, _MODULES)
