"""The lab's pieces that need no kernel: scripts, layouts, decoding, and that a wrong page is noticed.

A guest that stands still is imitated by the simulator's own state, written as the bytes that a kernel of a
layout would have. So what the lab reads and says of it must agree with the simulator, and one changed byte
must not.
"""

from __future__ import annotations

import gzip
import json
import lzma
import random
import shutil
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from memsim import Machine
from memsim.linux.include.page_flags import PageFlag, PageType
from memsim.recordings.observation import Observation
from memsim.recordings.verify import verify
from memsim.scenario.scenario import Scenario
from memsim.scenario.steps import STEPS
from tests.lab import __main__ as lab
from tests.lab import debian, initramfs, pages, scripts, vmlinux
from tests.lab.__main__ import exactness
from tests.lab.btf import Btf
from tests.lab.channels import expand
from tests.lab.errors import LabError
from tests.lab.guest import SYMBOLS, is_current
from tests.lab.layout import ACTIONS, Layout, actions_of, layout_of, layout_of_image
from tests.lab.memory import KernelMemory, Section, digits_of
from tests.lab.recorder import Recorder
from tests.lab.scripts import Abilities
from tests.lab.session import errno_of, write

BITS = {"reserved": 13, "dirty": 4, "self_hosted": 10, "hwpoison": 20}
FLAGS = {
    "reserved": PageFlag.RESERVED,
    "dirty": PageFlag.DIRTY,
    "self_hosted": PageFlag.VMEMMAP_SELF_HOSTED,
    "hwpoison": PageFlag.HWPOISON,
}
LAYOUT = Layout(
    page_size=64,
    page={"flags": 0, "private": 40, "page_type": 48, "refcount": 52},
    flags=BITS,
    lru=5,
    nr_flags=24,
    type_encoding="byte",
    zone_size=1536,
    zone={"start_pfn": 144, "spanned": 160, "present": 168, "managed": 152, "nr_isolate_pageblock": 192},
    section_size=32,
    section_usage=8,
    usage_pageblocks=24,
    pageblock_bits=4,
    isolate_bit=None,
    isolate_type=4,
    notifier_pfn=16,
    actions={},
)
STORED = {"byte": {1: 0xF0000000, 2: 0xF1000000}, "inverted-bits": {1: 0xFFFFFF7F, 2: 0xFFFFFEFF}}


def raw_pages(codes, layout=LAYOUT):
    """Return the bytes of struct pages with these codes."""
    raw = np.zeros((len(codes), layout.page_size), np.uint8)
    codes = np.asarray(codes, np.int64)
    flags = sum(((codes >> n) & 1) << layout.flags[name] for n, name in enumerate(pages.FLAG_ORDER))
    kinds = np.full(len(codes), 0xFFFFFFFF, np.uint32)
    for kind, stored in STORED[layout.type_encoding].items():
        kinds[codes >> 20 == kind] = stored
    for name, values, width in (
        ("flags", flags.astype("<u8") | np.uint64(1 << 54), 8),
        ("private", ((codes >> 12) & 0xFF).astype("<u8"), 8),
        ("page_type", kinds.astype("<u4"), 4),
        ("refcount", ((codes >> 8) & 0xF).astype("<i4"), 4),
    ):
        at = layout.page[name]
        raw[:, at : at + width] = values.view(np.uint8).reshape(-1, width)
    return raw


class ImitatedMemory:
    """What :class:`KernelMemory` reads, taken from a simulated machine."""

    def __init__(self, machine, layout=LAYOUT):
        self.machine, self.layout = machine, layout
        self.changed = {}

    @property
    def state(self):
        return self.machine.kernel.state

    def zones(self):
        names = {"start_pfn": "zone_start_pfn", "spanned": "spanned_pages", "present": "present_pages"}
        names |= {"managed": "managed_pages", "nr_isolate_pageblock": "nr_isolate_pageblock"}
        found = {zone.name: zone for zone in self.state.zones if zone.name in {"Normal", "Movable"}}
        return {
            name: {key: getattr(zone, attribute) for key, attribute in names.items()}
            for name, zone in found.items()
        }

    def totalram(self):
        return self.state.totalram_pages

    def section(self, number):
        part = self.state.memmap.sections.get(number)
        if part is None:
            return Section(present=False, online=False, pageblocks="")
        return Section(present=True, online=part.online, pageblocks="".join(str(d) for d in part.pageblocks))

    def pages(self, block):
        memmap, found = self.state.memmap, self.state.memmap.sections[block].pages
        kind = np.select(
            [memmap.encoding.where(found.type, PageType(name)) for name in ("buddy", "offline")], [1, 2], 0
        ).astype(np.int64)
        order = np.where(kind == 1, found.order, 0).astype(np.int64)
        codes = kind << 20 | order << 12 | found.refcount.astype(np.int64) << 8
        for number, name in enumerate(pages.FLAG_ORDER):
            codes |= (found.flags & np.uint32(FLAGS[name]) != 0).astype(np.int64) << number
        raw = raw_pages(codes, self.layout)
        for page, (at, data) in self.changed.items():
            if page // 32768 == block:
                raw[page % 32768, at : at + len(data)] = list(data)
        return raw


STORY = {
    "format": "memsim-scenario/1",
    "title": "imitated",
    "machine": {"ram": [[0, 131072]], "block_pages": 32768, "default_online_type": "offline"},
    "steps": [
        {"do": "add_memory", "start_pfn": 32 * 32768, "nr_pages": 2 * 32768},
        {"do": "online", "block": 32, "type": "online_movable"},
        {"do": "poison", "pfns": [32 * 32768 + 77]},
        {"do": "offline", "block": 32},
    ],
}


def imitated_recording(tmp_path, change=None, at_step=1, release="6.12"):
    """Record the simulator's own run of STORY as the lab records a kernel; return the file."""
    scenario = Scenario.parse(STORY, "STORY")
    machine = scenario.boot("after", release)
    memory = ImitatedMemory(machine)
    recorder = Recorder(memory, [32, 33], self_hosting=True)
    recorder.probe(-1, "done")
    for number, step in enumerate(STORY["steps"]):
        STEPS[step["do"]].do(machine, step)
        memory.changed = change if change and number == at_step else {}
        recorder.probe(number, "done")
    document = {
        "format": "memsim-observation/1",
        "kernel": {"release": f"{release}.1", "series": "after"},
        "scenario": STORY,
        "range": {"start_pfn": 32 * 32768, "nr_pages": 2 * 32768},
        "states": recorder.states,
        "probes": recorder.probes,
    }
    path = tmp_path / "imitated.json"
    write(document, path)
    return path


# ---- the comparison ---------------------------------------------------------------------------------


def test_what_the_lab_reads_of_the_simulator_is_what_the_simulator_says(tmp_path):
    found = verify(imitated_recording(tmp_path))
    assert found.agrees
    assert found.pages == 2 * 32768, "block 32, online at two probes"


@pytest.mark.parametrize(
    ("page", "at", "data"),
    [
        (32 * 32768 + 5, 0, struct.pack("<Q", 1 << 13)),
        (32 * 32768 + 5, 48, struct.pack("<I", 0xF1000000)),
        (32 * 32768 + 32767, 0, struct.pack("<Q", 1 << 20)),
        (32 * 32768, 40, struct.pack("<Q", 11)),
    ],
    ids=["reserved", "offline", "hwpoison in the last page", "a larger order"],
)
def test_one_wrong_page_is_noticed(tmp_path, page, at, data):
    found = verify(imitated_recording(tmp_path, {page: (at, data)}))
    assert not found.agrees
    assert found.differ >= 1


def test_a_smaller_order_costs_exactness(tmp_path):
    """Its other pages could be on a per-cpu list, so the block counts as used; the summary tells how many."""
    path = imitated_recording(tmp_path, {32 * 32768: (40, struct.pack("<Q", 9))})
    assert exactness(Observation.load(path)) == (0, 2), "a used block stays one until it comes online again"


def test_a_page_of_the_running_system_makes_its_block_inexact_and_hides_no_withheld_page():
    memory = ImitatedMemory(Machine(ram=[(0, 131072)], patch="after", release="6.12"))
    memory.machine.add_memory(32 * 32768, 32768)
    memory.machine.online(32, "online_movable")
    memory.changed = {
        32 * 32768 + 9: (0, struct.pack("<Q", 1 << 5)),
        32 * 32768 + 10: (48, struct.pack("<I", 0xF1000000)),
    }
    recorder = Recorder(memory, [32], self_hosting=False)
    seen = recorder.probe(0, "done")["blocks"]["32"]
    assert seen["exact"] is False
    assert seen["pages"] == [[10, "*"], [1, "O/0"], [32757, "*"]]


# ---- reading a kernel -------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["byte", "inverted-bits"])
def test_every_state_is_read_back_as_it_was_written(encoding):
    codes = [0, 1 << 8, 1 << 8 | 1, 1 << 20 | 10 << 12, 2 << 20 | 1 << 8 | 2, 2 << 20, 1 << 8 | 8, 1 << 8 | 4]
    layout = LAYOUT.__class__(**{**LAYOUT.__dict__, "type_encoding": encoding})
    got = pages.decode(raw_pages(codes, layout), layout, self_hosting=True).codes.tolist()
    assert got == [codes[0], pages.FOREIGN, *codes[2:]], "a plain page with a reference is in use"


def test_pages_of_no_free_block_are_counted():
    head = 1 << 20 | 2 << 12
    assert pages.outside_free_blocks(np.array([head, 0, 0, 0, 0, 1 << 8 | 1, head, 0])) == 1


def test_an_isolated_pageblock_is_a_4_whatever_the_kernel_calls_it():
    as_type = LAYOUT
    as_bit = LAYOUT.__class__(**{**LAYOUT.__dict__, "pageblock_bits": 8, "isolate_bit": 4, "isolate_type": 5})
    assert digits_of(bytes([0x41, 0x20]), as_type) == "1402"
    assert digits_of(bytes([0x11, 0x01, 0x02]), as_bit) == "412"


def test_zones_and_sections_are_found_by_their_pointers():
    memory = bytearray(1 << 16)
    words = {0x100: 0x1000, 0x108: 0x2000, 0x200: 0x9000, 0x9000: 0xA000, 0xA000 + 32 * 5: 0b110}
    words |= {0xA008 + 32 * 5: 0xB000, 0x2000 + 3 * 1536 + 152: 123}
    for address, value in words.items():
        struct.pack_into("<Q", memory, address, value)
    memory[0xB000 + 24 : 0xB000 + 56] = b"\x11" * 32
    symbols = {"node_data": 0x100, "mem_section": 0x200}
    kernel = KernelMemory(lambda at, size: bytes(memory[at : at + size]), LAYOUT, symbols, node=1)
    assert kernel.section(5) == Section(present=True, online=True, pageblocks="1" * 64)
    assert kernel.section(6) == Section(present=False, online=False, pageblocks="")
    assert kernel.zones()["Movable"]["managed"] == 123


def blob(types, strings):
    """Return BTF with these types."""
    return (
        struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings
    )


def test_members_of_anonymous_structs_and_values_of_enums_are_found():
    strings = b"\0page\0flags\0private\0int\0e\0PG_lru\0"
    at = {word: strings.index(word.encode()) for word in ("page", "flags", "private", "int", "PG_lru")}
    types = struct.pack("<IIII", at["int"], 1 << 24, 4, 0)  # 1: int
    types += struct.pack("<III", 0, 4 << 24 | 1, 8) + struct.pack(
        "<III", at["private"], 1, 32
    )  # 2: anonymous
    types += struct.pack("<III", at["page"], 4 << 24 | 2, 16)  # 3: struct page
    types += struct.pack("<III", at["flags"], 1, 0) + struct.pack("<III", 0, 2, 64)
    types += struct.pack("<III", 0, 6 << 24 | 1, 4) + struct.pack("<Ii", at["PG_lru"], 5)  # 4: enum
    btf = Btf(blob(types, strings))
    assert (btf.size("page"), btf.offset("page", "gone", "private")) == (16, 12)
    assert btf.value("PG_lru") == 5
    with pytest.raises(LabError, match="no MIGRATE_ISOLATE; was it built with CONFIG_MEMORY_HOTREMOVE=y"):
        btf.value("MIGRATE_ISOLATE")
    with pytest.raises(LabError, match="struct page of this kernel has no member lru"):
        btf.offset("page", "lru")
    with pytest.raises(LabError, match="no member _refcount"):
        layout_of(Btf(blob(types, strings)))


def test_notifier_actions_are_bits_until_an_enum_numbers_them():
    """include/linux/memory.h: macros in 6.1, an enum in 7.3 and in Debian's 6.12.117."""
    assert {1: "MEM_ONLINE", 2: "MEM_GOING_OFFLINE", 8: "MEM_GOING_ONLINE"}.items() <= actions_of({}).items()
    assert actions_of({name: number for number, name in enumerate(ACTIONS[:6])})[3] == "MEM_GOING_ONLINE"


@pytest.mark.parametrize("kind", ["xz", "gzip"])
def test_the_vmlinux_inside_an_image_is_found(kind):
    elf = b"\x7fELF" + bytes(range(256)) * 40
    payload = (lzma.compress if kind == "xz" else gzip.compress)(elf) + struct.pack("<I", len(elf))
    image = bytearray(5 * 512 + 100) + payload
    image[0x1F1], image[0x202:0x206] = 4, b"HdrS"
    struct.pack_into("<II", image, 0x248, 100, len(payload))
    assert vmlinux.unpack(bytes(image)) == elf
    with pytest.raises(LabError, match="neither an x86 bzImage nor an ELF file"):
        vmlinux.unpack(b"\0" * 4096)


# ---- the guest --------------------------------------------------------------------------------------


def test_an_archive_has_what_cpio_reads():
    archive = initramfs.cpio([("dir", 0o040755, b""), ("dir/file", 0o100644, b"five\n")])
    assert archive[:6] == b"070701"
    assert len(archive) % 4 == 0
    assert b"dir/file\0" in archive
    program = shutil.which("cpio")
    if program:
        listed = subprocess.run([program, "-t", "--quiet"], input=archive, capture_output=True, check=True)  # noqa: S603
        assert listed.stdout.split() == [b"dir", b"dir/file"]


def test_modules_come_after_what_they_depend_on(tmp_path):
    """On 6.1 virtio needs virtio_ring: in the alphabet's order it does not load."""

    def module(name, depends):
        modinfo = f"depends={depends}\0".encode()
        names = b"\0.modinfo\0.shstrtab\0"
        elf = bytearray(64) + modinfo + names
        headers = [(0, 0, 0, 0, 0, 0), (1, 1, 0, 0, 64, len(modinfo))]
        headers.append((10, 3, 0, 0, 64 + len(modinfo), len(names)))
        table = len(elf)
        for header in headers:
            elf += struct.pack("<IIQQQQ", *header).ljust(64, b"\0")
        elf[:4] = b"\x7fELF"
        struct.pack_into("<Q", elf, 0x28, table)
        struct.pack_into("<HHH", elf, 0x3A, 64, 3, 2)
        (tmp_path / f"{name}.ko").write_bytes(elf)

    module("virtio-pci", "virtio,virtio_ring")
    module("virtio", "virtio_ring")
    module("virtio_ring", "")
    assert list(initramfs.modules_below(tmp_path, ("virtio_pci", "gone"))) == [
        "virtio_ring",
        "virtio",
        "virtio_pci",
    ]


def test_a_busybox_that_needs_libraries_is_of_no_use_to_the_guest(tmp_path):
    dynamic, static = tmp_path / "dynamic", tmp_path / "static"
    for path, kinds in ((dynamic, (6, 3, 1)), (static, (1, 1))):
        program = bytearray(64)
        program[:4] = b"\x7fELF"
        struct.pack_into("<Q", program, 0x20, 64)
        struct.pack_into("<HH", program, 0x36, 56, len(kinds))
        path.write_bytes(program + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in kinds))
    assert initramfs.busybox((str(dynamic), str(static))) == static.read_bytes()
    with pytest.raises(LabError, match="it needs libraries"):
        initramfs.busybox((str(dynamic),))
    with pytest.raises(LabError, match="there is none"):
        initramfs.busybox((str(tmp_path / "gone"),))


def test_an_image_that_only_root_can_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    image = tmp_path / "vmlinuz"
    image.touch()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(LabError, match="vmlinuz: Permission denied; make a copy of the same name"):
        layout_of_image(image, tmp_path / "layout.json")


def test_packets_of_the_debugger_are_expanded():
    assert expand(b"0* ") == "0000"


def test_a_failure_without_an_errno_is_no_result():
    assert errno_of("", 0) is None
    assert errno_of("", 143) == "EINTR"
    with pytest.raises(LabError, match="names no errno"):
        errno_of("Segmentation fault", 139)


# ---- scripts ----------------------------------------------------------------------------------------


def drawn(seed, can=scripts.Abilities()):  # noqa: B008 (frozen)
    """Run a script on a guest that obeys, and return its steps."""
    plan = scripts.plan_of(seed, can)
    view = scripts.View(device_bound=plan.device is not None)
    steps = []
    for number in range(plan.steps):
        step = scripts.choose(plan, number, view)
        steps.append(step)
        match step:
            case ("add", block, count):
                view.dimms[number] = (block, count)
                view.states |= dict.fromkeys(range(block, block + count), "offline")
            case ("remove", dimm):
                block, count = view.dimms.pop(dimm)
                for each in range(block, block + count):
                    del view.states[each]
                    view.zones.pop(each, None)
            case ("online", block, kind):
                view.states[block] = "online"
                view.zones[block] = "Movable" if kind == "online_movable" else "Normal"
            case ("offline", block) if block not in view.pinned:
                view.states[block] = "offline"
                view.zones.pop(block, None)
            case ("pin",):
                view.pinned = {next(block for block, zone in view.zones.items() if zone == "Movable"): 1}
            case ("unpin",):
                view.pinned = {}
            case ("map_pmem",):
                view.pmem_mapped = True
    return plan, steps


def test_a_seed_gives_one_script():
    assert [drawn(seed) for seed in range(40)] == [drawn(seed) for seed in range(40)]
    assert len({json.dumps(drawn(seed)[1]) for seed in range(40)}) == 40


def test_scripts_have_every_step_and_keep_to_the_range():
    steps = [step for seed in range(400) for step in drawn(seed)[1] if step]
    names = {step[0] for step in steps}
    assert names == {
        "add",
        "remove",
        "online",
        "offline",
        "request",
        "unbind",
        "poison",
        "pin",
        "unpin",
        "map_pmem",
    }
    last = scripts.FIRST_BLOCK + scripts.NR_BLOCKS
    assert all(
        step[1] >= scripts.FIRST_BLOCK and step[1] + step[2] <= last for step in steps if step[0] == "add"
    )


def test_a_dimm_never_lies_where_the_device_is():
    for seed in range(300):
        plan, steps = drawn(seed)
        if plan.device is None:
            continue
        start = scripts.FIRST_BLOCK * 128 + plan.device.offset
        for step in steps:
            if step and step[0] == "add":
                first, end = step[1] * 128, (step[1] + step[2]) * 128
                assert end <= start // 128 * 128 or first >= start + plan.device.region


def test_a_kernel_without_a_feature_gets_the_rest_of_the_same_script():
    without = scripts.Abilities(virtio_mem=False, memmap_on_memory=False, pmem=False, pins=False)
    for seed in range(100):
        full, less = scripts.plan_of(seed, scripts.Abilities()), scripts.plan_of(seed, without)
        assert (less.steps, less.default) == (full.steps, full.default)
        assert (less.device, less.memmap_on_memory, less.pmem, less.pins) == (None, False, False, False)
    assert without.missing()[0] == "virtio-mem (no virtio_mem module)"


def test_a_withheld_page_is_poisoned_now_and_then():
    codes = np.zeros(100, np.int64)
    codes[40:] = 2 << 20 | 1 << 8
    chosen = [scripts.poisonable(random.Random(seed), codes) for seed in range(200)]  # noqa: S311
    assert 20 < sum(page >= 40 for page in chosen) < 120
    assert scripts.poisonable(random.Random(1), np.full(10, pages.FOREIGN)) is None  # noqa: S311


# ---- Debian's packages ------------------------------------------------------------------------------


def test_the_newest_image_of_a_release_is_chosen_and_no_other_flavour():
    names = [
        *("linux-image-6.12.95+deb12-amd64", "linux-image-6.12.117+deb12-amd64"),
        *("linux-image-6.12.117+deb12-rt-amd64", "linux-image-6.12.117+deb12-amd64-dbg"),
        *("linux-image-6.1.0-57-amd64", "linux-image-6.1.0-9-amd64", "linux-image-7.3.4+deb13-amd64"),
    ]
    assert debian.of_release(names, "6.12") == [names[1], names[0]]
    assert debian.of_release(names, "6.12.95") == [names[0]]
    assert debian.of_release(names, "6.1") == [names[4], names[5]]


def test_what_is_no_release_is_refused(tmp_path):
    with pytest.raises(LabError, match=r"must be a release such as 6\.12"):
        debian.fetch("newest", tmp_path)


def test_a_saved_guest_that_was_not_asked_for_every_symbol_is_booted_again(tmp_path):
    saved = tmp_path / "plain.state"
    assert not is_current(saved)
    saved.write_bytes(b"")
    assert not is_current(saved)
    for asked, current in ((list(SYMBOLS[1:]), False), (list(SYMBOLS), True)):
        saved.with_suffix(".json").write_text(json.dumps({"asked": asked, "symbols": {}, "version": ""}))
        assert is_current(saved) == current


def found(pages, problems=()):
    """Return a verification that compared so many pages."""
    return SimpleNamespace(pages=pages, agrees=not problems)


@pytest.fixture
def scripted(monkeypatch):
    """Have the lab run no guest, and seeds compare what the returned table says."""
    table = {}
    monkeypatch.setattr(lab, "record", lambda _kernel, plan, path: path.write_text(str(plan.seed)))
    monkeypatch.setattr(lab, "verify", lambda path: table[int(path.read_text())])
    return table


def test_a_script_that_compares_nothing_is_replaced_and_does_not_count(scripted, tmp_path, capsys):
    scripted |= {7: found(0), 1_000_007: found(0), 2_000_007: found(4096)}
    seed, path, result = lab.first_that_compares(None, Abilities(), 7, tmp_path)
    assert (seed, path.name, result.pages) == (2_000_007, "seed-2000007.json", 4096)
    assert capsys.readouterr().out.count("compares no page") == 2


def test_a_script_that_compares_nothing_and_differs_is_kept(scripted, tmp_path):
    scripted[7] = found(0, ["step ended with EBUSY"])
    assert lab.first_that_compares(None, Abilities(), 7, tmp_path)[0] == 7


def test_the_lab_gives_up_when_no_script_compares_anything(scripted, tmp_path):
    scripted |= {7 + number * lab.APART: found(0) for number in range(lab.MOST_EMPTY)}
    with pytest.raises(LabError, match="5 scripts in a row compare no page"):
        lab.first_that_compares(None, Abilities(), 7, tmp_path)
