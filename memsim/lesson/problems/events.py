"""Problems on the notifiers of memory hotplug, and on how offlining ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.errors import KernelError
from memsim.lesson.problems.machines import BLOCK, SIDES, START, with_hyper_v, with_virtio_mem, with_xen
from memsim.lesson.problems.problem import Answer, Task
from memsim.linux.include.layout import PAGES_PER_SECTION
from memsim.linux.include.notifier import NOTIFY_BAD, NOTIFY_OK, notifier_from_errno
from memsim.machine.machine import Machine
from memsim.release import PREPARING_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.lesson.problems.draw import Draw
    from memsim.patch import Patch

_NO = {
    "NOTIFY_BAD": NOTIFY_BAD,
    "notifier_from_errno(-EBUSY)": notifier_from_errno("EBUSY"),
    "notifier_from_errno(-ENOMEM)": notifier_from_errno("ENOMEM"),
    "notifier_from_errno(-EINTR)": notifier_from_errno("EINTR"),
}


class Listener:
    """A listener on the memory notifier chain; it records the actions it receives, and may refuse one."""

    def __init__(self, refusal: int = NOTIFY_OK) -> None:
        """Answer ``refusal`` to what is about to happen."""
        self.refusal = refusal
        self.heard: list[str] = []

    def __call__(self, action: str, _start_pfn: int, _nr_pages: int) -> int:
        """Record an action, unless it is one that says nothing on x86-64, and answer it."""
        if action not in PREPARING_ACTIONS:
            self.heard.append(action)
        return self.refusal if action.startswith("MEM_GOING") else NOTIFY_OK


def ends(operation: Callable[[], object]) -> str:
    """Do something to a machine and return how it ends, as the kernel returns it."""
    try:
        operation()
    except KernelError as error:
        return f"-{error.name}"
    return "0"


def notifiers(draw: Draw) -> Task:
    """Ask which actions each listener receives, and how the operation ends."""
    operation = draw.choice(["online", "offline"])
    refuses = draw.choice([None, "first", "second", "second"])
    word = draw.choice(list(_NO))

    def solve() -> dict[str, Answer]:
        machine = Machine()
        machine.add_memory(START, PAGES_PER_SECTION)
        if operation == "offline":
            machine.online(BLOCK, "online_movable")
        listeners = {
            name: Listener(_NO[word] if name == refuses else NOTIFY_OK) for name in ("first", "second")
        }
        machine.register_memory_notifier(listeners["first"], priority=10)
        machine.register_memory_notifier(listeners["second"], priority=0)
        do = machine.online if operation == "online" else machine.offline
        ended = ends(lambda: do(BLOCK))
        heard: dict[str, Answer] = {
            f"the {name} listener hears": tuple(each.heard) for name, each in listeners.items()
        }
        return heard | {f"writing `{operation}` to the state of the block returns": ended}

    said = f"The {refuses} answers {word} to MEM_GOING_{operation.upper()}." if refuses else "Both agree."
    return Task(
        f"Two listeners are on the memory notifier chain, the first with the higher priority. A memory block "
        f"is set {operation}. {said} Leave out MEM_PREPARE_ONLINE and MEM_FINISH_OFFLINE.",
        (
            "the first listener hears",
            "the second listener hears",
            f"writing `{operation}` to the state of the block returns",
        ),
        {"operation": operation, "refuses": refuses, "word": word},
        solve,
        "memory_notify(), drivers/base/memory.c, and notifier_to_errno(), include/linux/notifier.h",
    )


# ---- offlining ---------------------------------------------------------------------------------------


def plain(patch: Patch, online_type: str = "online_movable") -> Machine:
    """Return a machine with an ordinary DIMM."""
    machine = Machine(patch=patch)
    machine.add_memory(START, PAGES_PER_SECTION)
    machine.online(BLOCK, online_type)
    return machine


def of_programs(patch: Patch) -> Machine:
    """Return a machine on which programs use pages of the block, and there is room elsewhere."""
    machine = plain(patch)
    machine.allocate(100, "movable", block=BLOCK)
    return machine


def of_the_kernel(patch: Patch) -> Machine:
    """Return a machine on which the kernel uses a page of the block."""
    machine = plain(patch, "online_kernel")
    machine.allocate(1, "unmovable", block=BLOCK)
    return machine


def in_a_hyper_v_guest(patch: Patch) -> Machine:
    """Return a Hyper-V guest with a DIMM that the balloon driver does not know."""
    machine = Machine(patch=patch, devices=[{"kind": "hv-balloon", "name": "hv0"}])
    machine.add_memory(START, PAGES_PER_SECTION)
    machine.online(BLOCK, "online_movable")
    return machine


BLOCKS: dict[str, Callable[[Patch], Machine]] = {
    "All of its pages are free": plain,
    "Programs use 100 of its pages, and there is room elsewhere": of_programs,
    "It is in zone Normal, and the kernel uses one of its pages for itself": of_the_kernel,
    "virtio-mem has plugged half of it": lambda patch: with_virtio_mem(32, patch),
    "Hyper-V backs half of it": lambda patch: with_hyper_v(PAGES_PER_SECTION // 2, patch),
    "It is a DIMM that the Hyper-V driver withholds, since no host announced it": in_a_hyper_v_guest,
    "The Xen balloon added it, and half of its pages are still in the balloon": lambda patch: with_xen(
        PAGES_PER_SECTION // 2, patch
    ),
}


def offline(draw: Draw) -> Task:
    """Ask how offlining ends, and which actions a listener receives."""
    what = draw.choice(list(BLOCKS))
    side = draw.choice(sorted(SIDES))

    def solve() -> dict[str, Answer]:
        machine = BLOCKS[what](SIDES[side])
        listener = Listener()
        machine.register_memory_notifier(listener, priority=-1)
        ended = ends(lambda: machine.offline(BLOCK))
        return {"offline_pages() returns": ended, "a listener hears": tuple(listener.heard)}

    return Task(
        f"A memory block is online, and an administrator sets it offline, {side} the patch. {what}. What "
        "happens? (Leave out MEM_FINISH_OFFLINE.)",
        ("offline_pages() returns", "a listener hears"),
        {"what": what, "side": side},
        solve,
        "offline_pages(), mm/memory_hotplug.c, and has_unmovable_pages(), mm/page_isolation.c",
    )
