"""A kernel in QEMU: a shell in the guest, breakpoints in its kernel, and its memory, read from outside."""

from __future__ import annotations

import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.lab.channels import Channel, Debugger, Monitor
from tests.lab.errors import LabError
from tests.lab.initramfs import READY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RAM_MIB = 512
BOOT_SECONDS = 600
COMMAND_LINE = (
    "console=ttyS0 nokaslr mitigations=off panic=-1 memhp_default_state=offline kfence.sample_interval=0"
)
"""nokaslr: symbols are where the image has them. The lab chooses itself what is onlined."""
SYMBOLS = (
    *("node_data", "contig_page_data", "mem_section", "_totalram_pages", "vmemmap_base"),
    *("memory_chain", "blocking_notifier_call_chain", "undo_isolate_page_range", "online_pages"),
    *("mhp_init_memmap_on_memory", "__offline_isolated_pages", "remove_pfn_range_from_zone"),
)
VMEMMAP_START = 0xFFFFEA0000000000
"""Where struct pages begin with 4-level page tables, if the kernel has no variable that says it."""


@dataclass(frozen=True)
class Boot:
    """What is booted, and how."""

    image: Path
    initramfs: Path
    modules: tuple[str, ...]
    extra: str = ""
    """More of the kernel's command line."""
    ram_mib: int = RAM_MIB


def accelerator() -> str:
    """Return ``kvm`` where this processor can virtualise and we may use it, else ``tcg`` (emulation)."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    able = ("vmx" in flags or "svm" in flags) and os.access("/dev/kvm", os.R_OK | os.W_OK)
    return "kvm" if able else "tcg"


def is_current(saved: Path) -> bool:
    """Return whether a saved guest is there, and was asked for the symbols that the lab needs now."""
    facts = saved.with_suffix(".json")
    if not (saved.exists() and facts.exists()):
        return False
    return json.loads(facts.read_text(encoding="utf-8")).get("asked") == list(SYMBOLS)


class Guest:
    """A running virtual machine; ``with`` ends it."""

    def __init__(self, boot: Boot, saved: Path | None = None) -> None:
        """Boot a kernel, or go on from a state that :meth:`save` wrote."""
        self.folder = Path(tempfile.mkdtemp(prefix="memsim-lab-"))
        self.boot = boot
        self.symbols: dict[str, int] = {}
        self.version = ""
        self._asked = 0
        self._accelerator = accelerator()
        self._qemu = self._start(saved)
        try:
            self.monitor = Monitor(self.folder / "monitor")
            self._shell = Channel(self.folder / "shell")
            if saved is None:
                self._wait_for_boot()
            else:
                self._wait(lambda: self.monitor.ask("query-status")["status"] == "running", 120)
            self.gdb = Debugger(self.folder / "gdb")
            self.gdb.send("c")
            if saved is None:
                self._look_around()
            else:
                self._recall(saved)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the guest."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the virtual machine."""
        self.close()

    def close(self) -> None:
        """End the virtual machine and remove its files."""
        self._qemu.kill()
        self._qemu.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- starting ------------------------------------------------------------------------------------

    def _start(self, saved: Path | None) -> subprocess.Popen[bytes]:
        program = shutil.which("qemu-system-x86_64")
        if program is None:
            msg = "qemu-system-x86_64 is missing (Debian's package qemu-system-x86)"
            raise LabError(msg)
        boot, how = self.boot, self._accelerator
        processor = "host" if how == "kvm" else "max"
        command = [program, "-accel", how, "-machine", "pc", "-cpu", f"{processor},la57=off", "-smp", "1"]
        command += ["-m", f"{boot.ram_mib}M,slots=16,maxmem=16G", "-nodefaults", "-no-user-config"]
        command += ["-display", "none", "-no-reboot"]
        command += ["-object", f"memory-backend-ram,id=ram,size={boot.ram_mib}M"]
        command += ["-numa", "node,nodeid=0,cpus=0,memdev=ram", "-numa", "node,nodeid=1"]
        command += ["-chardev", f"file,id=console,path={self.folder}/console", "-serial", "chardev:console"]
        for name in ("shell", "gdb"):
            command += ["-chardev", f"socket,id={name},path={self.folder}/{name},server=on,wait=off"]
        command += ["-serial", "chardev:shell", "-gdb", "chardev:gdb"]
        command += ["-qmp", f"unix:{self.folder}/monitor,server=on,wait=off"]
        command += ["-kernel", str(boot.image), "-initrd", str(boot.initramfs)]
        command += ["-append", f"{COMMAND_LINE} {boot.extra}".strip()]
        if saved is not None:
            command += ["-incoming", f"exec:cat {saved}"]
        with (self.folder / "qemu").open("wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _wait(self, done: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not done():
            if self._qemu.poll() is not None:
                msg = f"QEMU ended: {(self.folder / 'qemu').read_text(errors='replace')[-500:].strip()}"
                raise LabError(msg)
            if time.monotonic() > end:
                msg = (
                    f"the kernel did not come up in {seconds:.0f} s; its last words: {self.console()[-800:]}"
                )
                raise LabError(msg)
            time.sleep(0.1)

    def console(self) -> str:
        """Return what the kernel printed on its console."""
        path = self.folder / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def _wait_for_boot(self) -> None:
        self._wait(lambda: READY in self.console(), BOOT_SECONDS)
        time.sleep(0.5)
        self.run("true")

    def _look_around(self) -> None:
        """Load the modules, read the symbols, let the guest come to rest."""
        for module in self.boot.modules:
            said, failed = self.run(f"insmod /mod/{module}.ko")
            if failed:
                msg = f"insmod {module} failed: {said.strip()}"
                raise LabError(msg)
        said, _ = self.run(f"grep -wE '{'|'.join(SYMBOLS)}' /proc/kallsyms", 300)
        for line in said.splitlines():
            address, _, name = line.split()[:3]
            if name in SYMBOLS:
                self.symbols.setdefault(name, int(address, 16))
        self.version = self.run("cat /proc/version")[0].strip()
        self.run("sleep 2")

    # ---- keeping a booted guest ------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write the whole guest to a file, from which others start in seconds."""
        self.monitor.ask("migrate-set-parameters", **{"max-bandwidth": 8 << 30})
        part = path.with_suffix(".part")
        self.monitor.ask("migrate", uri=f"exec:cat > {part}")
        status = lambda: self.monitor.ask("query-migrate").get("status")  # noqa: E731
        self._wait(lambda: status() in ("completed", "failed"), 300)
        if status() == "failed":
            msg = "QEMU cannot write the state of the guest"
            raise LabError(msg)
        facts = {"asked": SYMBOLS, "symbols": self.symbols, "version": self.version}
        path.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
        part.rename(path)

    def _recall(self, saved: Path) -> None:
        facts = json.loads(saved.with_suffix(".json").read_text(encoding="utf-8"))
        self.symbols, self.version = facts["symbols"], facts["version"]

    # ---- the shell in the guest ------------------------------------------------------------------

    def run(self, command: str, timeout: float = 180) -> tuple[str, int]:
        """Run a shell command in the guest; return what it printed, and its exit status."""
        return self._finish(self._send(command), timeout)

    def _send(self, command: str) -> bytes:
        """Send a command, and an echo that marks its end; the quotes keep the mark out of the command."""
        self._asked += 1
        data = f'{command}\necho "@@"{self._asked}@@ $?\n'.encode()
        for at in range(0, len(data), 256):
            self._shell.write(data[at : at + 256])
        return f"@@{self._asked}@@".encode()

    def _finish(self, mark: bytes, timeout: float) -> tuple[str, int]:
        said = self._shell.until(mark, timeout)
        status = self._shell.until(b"\n", timeout)
        if said is None or status is None:
            msg = f"the guest does not answer; its kernel's last words: {self.console()[-1500:]}"
            raise LabError(msg)
        return said.decode("latin-1").replace("\r", ""), int(status)

    # ---- standing still --------------------------------------------------------------------------

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the guest still."""
        self.gdb.interrupt()
        try:
            yield
        finally:
            self.gdb.send("c")

    def run_stopping(
        self,
        command: str,
        stops: dict[str, Callable[[dict[str, int]], None]],
        *,
        before: Callable[[], None] | None = None,
        timeout: float = 240,
    ) -> tuple[str, int]:
        """Run a command, stopping whenever the kernel enters one of these functions.

        Each function is called with the registers while the guest stands still. ``before`` is called when
        the breakpoints are set, before the command.
        """
        at = {self.symbols[name]: call for name, call in stops.items() if name in self.symbols}
        with self.paused():
            self._breakpoints("Z", at)
            if before is not None:
                before()
        mark = self._send(command)
        self._serve(mark, at, timeout)
        with self.paused():
            self._breakpoints("z", at)
        return self._finish(mark, timeout)

    def _breakpoints(self, kind: str, addresses: dict[int, Callable[[dict[str, int]], None]]) -> None:
        for address in addresses:
            self.gdb.ask(f"{kind}0,{address:x},1")

    def _serve(self, mark: bytes, at: dict[int, Callable[[dict[str, int]], None]], timeout: float) -> None:
        """Answer breakpoints until the command has ended.

        An interrupt that comes while a breakpoint is stepped over leads to the same place once more, which is
        no second call.
        """
        end, last = time.monotonic() + timeout, None
        while not (mark in self._shell.buffer and b"\n" in self._shell.buffer.split(mark, 1)[1]):
            if time.monotonic() > end:
                msg = f"a step did not end in {timeout:.0f} s; the kernel said: {self.console()[-1500:]}"
                raise LabError(msg)
            if not self.gdb.has_packet():
                ready, _, _ = select.select([self.gdb, self._shell], [], [], 1)
                for channel in ready:
                    channel.fill(0.1)
                if not self.gdb.has_packet():
                    continue
            self.gdb.answer()
            registers = self.gdb.registers()
            call = at.get(registers["rip"])
            if call is not None:
                place = (registers["rip"], registers["rsp"], registers["rdi"])
                if place != last:
                    call(registers)
                last = place
                self._step_over(registers["rip"])
            self.gdb.send("c")

    def _step_over(self, address: int) -> None:
        """Execute the instruction under a breakpoint. With KVM the breakpoint is written in its place."""
        if self._accelerator == "tcg":
            self.gdb.ask("s")
            return
        self.gdb.ask(f"z0,{address:x},1")
        self.gdb.ask("s")
        self.gdb.ask(f"Z0,{address:x},1")

    # ---- memory ----------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Return kernel memory; the guest must stand still."""
        file = self.folder / "memory"
        try:
            self.monitor.ask("memsave", val=address, size=size, filename=str(file))
        except LabError:  # a QEMU whose addresses have a sign
            self.monitor.ask("memsave", val=address - (1 << 64), size=size, filename=str(file))
        return file.read_bytes()

    def read_word(self, address: int) -> int:
        """Return 8 bytes of kernel memory as a number."""
        return int(struct.unpack("<Q", self.read(address, 8))[0])
