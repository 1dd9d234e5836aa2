"""The guest's file system: busybox, the modules that scripts need, and an init that serves a shell."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.vmlinux import has_interpreter, section, unpack_zstd

MODULES = ("virtio_pci", "virtio_mem", "nd_pmem", "nd_e820")
"""What scripts need, where the kernel has it as a module. What these depend on comes before them."""
LATE = ("nd_e820",)
"""Modules that are loaded by a step and not after boot."""
BUSYBOX = ("/bin/busybox", "/usr/bin/busybox")
READY = "memsim-lab: ready"
INIT = f"""#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
stty -F /dev/ttyS1 raw -echo -ixon
echo "{READY}"
while :; do dd if=/dev/ttyS1 bs=4096 2>/dev/null | sh >/dev/ttyS1 2>&1; done
"""
_DIRECTORY, _PROGRAM, _FILE, _DEVICE = 0o040755, 0o100755, 0o100644, 0o020600


def build(modules: Path | None, out: Path) -> list[str]:
    """Write the initramfs; return the modules in it, in the order in which they must be loaded."""
    found = modules_below(modules, MODULES) if modules else {}
    entries = [("bin", _DIRECTORY, b""), ("bin/busybox", _PROGRAM, busybox())]
    entries += [("dev", _DIRECTORY, b""), ("dev/console", _DEVICE, b""), ("mod", _DIRECTORY, b"")]
    entries += [(f"mod/{name}.ko", _FILE, data) for name, data in found.items()]
    entries += [("init", _PROGRAM, INIT.encode())]
    out.write_bytes(gzip.compress(cpio(entries), 1))
    return list(found)


def busybox(places: tuple[str, ...] = BUSYBOX) -> bytes:
    """Return a busybox that needs no library, for the guest has none."""
    found = [Path(place).read_bytes() for place in places if Path(place).exists()]
    static = [program for program in found if not has_interpreter(program)]
    if not static:
        why = "it needs libraries" if found else "there is none"
        msg = f"no busybox for the guest: {why}; install a static one (Debian's package busybox-static)"
        raise LabError(msg)
    return static[0]


def cpio(entries: list[tuple[str, int, bytes]]) -> bytes:
    """Return an archive in the format that the kernel unpacks (newc)."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        console = (5, 1) if mode == _DEVICE else (0, 0)
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *console, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def modules_below(folder: Path, wanted: tuple[str, ...]) -> dict[str, bytes]:
    """Return the wanted modules and what they depend on, uncompressed, dependencies first.

    The packages have no ``modules.dep`` before they are installed, so each module is asked.
    """
    files = {path.name.split(".")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name not in files:
            return  # built into the kernel
        data = _uncompressed(files[name])
        for other in depends(data):
            add(other)
        found[name] = data

    for name in wanted:
        add(name)
    return found


def depends(module: bytes) -> list[str]:
    """Return the modules that a module says it depends on."""
    for line in (section(module, ".modinfo") or b"").split(b"\0"):
        key, _, value = line.decode(errors="replace").partition("=")
        if key == "depends":
            return [name.replace("-", "_") for name in value.split(",") if name]
    return []


def _uncompressed(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return unpack_zstd(data, str(path)) if path.suffix == ".zst" else data
