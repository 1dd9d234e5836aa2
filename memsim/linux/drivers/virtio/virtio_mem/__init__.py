"""The virtio-mem driver: ``drivers/virtio/virtio_mem.c``."""

from typing import Any

from memsim.reexport import name_in, names_in

_MODULES = ("bbm", "memory", "notifier", "pages", "probe", "requests", "sbm", "state", "work")


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any name of a module)
    return name_in(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return names_in(__name__, _MODULES)
