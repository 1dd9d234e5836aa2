"""The Hyper-V balloon driver: ``drivers/hv/hv_balloon.c``."""

from typing import Any

from memsim.reexport import name_in, names_in

_MODULES = ("ballooning", "hot_add", "region")


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any name of a module)
    return name_in(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return names_in(__name__, _MODULES)
