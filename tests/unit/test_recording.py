"""All state is written by the primitives: that is what tracing, tapes and checks rely on."""

import ast
import inspect
from pathlib import Path

import pytest

import memsim
from memsim import Machine
from memsim.errors import KernelBug
from memsim.linux.include.mmzone import COUNTERS, Zone
from memsim.linux.include.page_flags import PageType
from memsim.state.memmap import Memmap
from memsim.state.recording import PRIMITIVES, SPANS, is_recorded, watch
from memsim.state.section import Pages
from memsim.state.sharing import share
from memsim.state.state import State

ROOT = Path(memsim.__file__).parent
MAY_WRITE = ("state", "fast", "linux/include/mmzone.py")
"""The primitives, and the shortcuts, which run on kernels that nothing watches."""
CONTAINERS = {*Pages.__slots__, "pageblocks", "free_area", "pcp", "sections", "blocks", "log"}
"""State that is written by item or by a method; other classes have attributes of these names, too."""
VALUES = {*COUNTERS, "watermark", "totalram_pages", "online", "early", "maybe_flagged", *CONTAINERS}
VALUES -= {"flags", "refcount", "type", "order", "pattern", "zone", "blocks", "log"}
"""State that an assignment to the attribute writes."""
CHANGE = {
    "append",
    "appendleft",
    "extend",
    "extendleft",
    "insert",
    "pop",
    "popitem",
    "remove",
    "clear",
    "update",
    "setdefault",
    "move_to_end",
}
OF_A_SECTION = {"fill", "private_pages"}


def is_owner(node):
    """Return whether an attribute may be one of the state: ``blocks`` and ``log`` are only a State's."""
    owner = ast.unparse(node.value)
    return owner.endswith("state") if node.attr in {"blocks", "log"} else owner != "self"


def state_in(node):
    """Return the part of the state that an expression like ``zone.free_area[order][kind]`` names, or None.

    An attribute of ``self`` is something else, since this is not asked of the classes that are state.
    """
    known = VALUES
    while isinstance(node, ast.Subscript | ast.Attribute):
        if isinstance(node, ast.Attribute) and node.attr in known and is_owner(node):
            return node.attr
        node, known = node.value, VALUES | CONTAINERS
    return None


def writes_in(tree):
    """Yield (line, what) for every place that writes state itself."""
    for node in ast.walk(tree):
        targets = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in CHANGE:
                targets = [node.func]
            elif node.func.attr in OF_A_SECTION and ast.unparse(node.func.value).endswith("section"):
                yield node.lineno, node.func.attr
        for target in targets:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                if state_in(part):
                    yield node.lineno, state_in(part)


def test_nothing_else_in_memsim_writes_state():
    found = {
        (path.relative_to(ROOT).as_posix(), *place)
        for path in ROOT.rglob("*.py")
        if not path.relative_to(ROOT).as_posix().startswith(MAY_WRITE)
        for place in writes_in(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("section.pages.flags[at] |= 1", "flags"),
        ("kernel.memmap.section(pfn).pages.refcount_at[0] = 1", "refcount_at"),
        ("section.pageblocks[0:2] = b'xx'", "pageblocks"),
        ("section.online = True", "online"),
        ("pages.type[at], pages.order[at] = 0, 0", "type"),
        ("zone.nr_free_pages -= 1 << order", "nr_free_pages"),
        ("del zone.free_area[order][kind][pfn]", "free_area"),
        ("zone.free_area[order][kind].appendleft(pfn)", "free_area"),
        ("self.kernel.state.log.append('x')", "log"),
        ("del kernel.memmap.sections[3]", "sections"),
        ("section.fill(pattern)", "fill"),
    ],
)
def test_a_write_past_the_primitives_is_seen(line, what):
    assert (1, what) in set(writes_in(ast.parse(line)))


def test_the_list_of_primitives_is_what_stands_below_writes_in_each_class():
    for plain, primitives in PRIMITIVES.items():
        lines, first = inspect.getsourcelines(plain)
        marker = next(number for number, line in enumerate(lines) if "# ---- writes" in line)
        below = {
            name
            for name, method in vars(plain).items()
            if inspect.isfunction(method)
            and not name.startswith("_")
            and method.__code__.co_firstlineno > first + marker
        }
        assert below == set(primitives)
    assert len(SPANS) == sum(map(len, PRIMITIVES.values())), "an event gives only the name"


def test_watching_swaps_the_classes_and_stopping_swaps_them_back():
    machine = Machine([(0x100000, 32768)])
    parts = (machine.kernel.memmap, machine.zone("Normal"), machine.kernel.state)
    machine.record()
    assert all(is_recorded(type(part)) for part in parts)
    assert isinstance(parts[0], Memmap)
    machine.record()  # a second tape takes the place of the first
    machine.stop_recording()
    assert [type(part) for part in parts] == [Memmap, Zone, State]


def test_a_state_is_watched_or_shared_but_not_both():
    machine = Machine([(0x100000, 32768)])
    machine.record()
    with pytest.raises(TypeError, match="cannot be shared"):
        share(machine.kernel.state)
    other = share(machine.kernel.state.copy())
    with pytest.raises(TypeError, match="cannot be watched"):
        watch(other, machine.tape)


def test_a_write_that_fails_is_not_on_the_tape(snapshot):
    # set_type() on a page with another type is a bug with CONFIG_DEBUG_VM: nothing is written.
    machine = Machine([(0x100000, 32768)], debug_vm=True)
    machine.kernel.memmap.set_type(0x100007, 1, PageType.OFFLINE)
    tape = machine.record()
    with pytest.raises(KernelBug):
        machine.kernel.memmap.set_type(0x100007, 1, PageType.TABLE)
    assert len(tape) == 0
    assert snapshot(tape.at(-1)) == snapshot(machine.kernel.state)


def test_a_section_of_boot_memory_is_early_when_a_tape_plays_it():
    machine = Machine([(0x100000, 32768)], record=True)
    assert machine.tape.at(len(machine.tape) - 1).memmap.sections[32].early
