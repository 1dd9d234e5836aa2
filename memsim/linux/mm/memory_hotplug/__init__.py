"""Memory hotplug: ``mm/memory_hotplug.c``."""

from typing import Any

from memsim.reexport import name_in, names_in

_MODULES = ("add", "offline", "online", "online_page", "resources", "sections", "zones")


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any name of a module)
    return name_in(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return names_in(__name__, _MODULES)
