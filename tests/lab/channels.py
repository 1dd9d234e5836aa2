"""The two ways to talk to QEMU: its monitor (QMP, JSON) and its gdb stub."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from tests.lab.errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{n}" for n in range(8, 16)), "rip")


class Channel:
    """A Unix socket with a buffer."""

    def __init__(self, path: Path, timeout: float = 60) -> None:
        """Connect as soon as the other side listens."""
        end = time.monotonic() + timeout
        self.socket = socket.socket(socket.AF_UNIX)
        self.buffer = b""
        while True:
            try:
                self.socket.connect(str(path))
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return

    def fileno(self) -> int:
        """Return the descriptor, for select()."""
        return self.socket.fileno()

    def write(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.settimeout(None)
        self.socket.sendall(data)

    def fill(self, timeout: float) -> bool:
        """Read what is there within ``timeout`` seconds; False if nothing came."""
        self.socket.settimeout(max(0.01, timeout))
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            return False
        if not data:
            msg = "QEMU has closed its end: the virtual machine is gone"
            raise LabError(msg)
        self.buffer += data
        return True

    def until(self, mark: bytes, timeout: float) -> bytes | None:
        """Return what comes up to a mark, and drop the mark; None if it does not come in time."""
        end = time.monotonic() + timeout
        while mark not in self.buffer:
            if time.monotonic() > end:
                return None
            self.fill(end - time.monotonic())
        before, self.buffer = self.buffer.split(mark, 1)
        return before


class Monitor(Channel):
    """QEMU's machine protocol."""

    def __init__(self, path: Path) -> None:
        """Read the greeting and leave negotiation."""
        super().__init__(path)
        self.until(b"\n", 60)
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Send a command and return its answer; events are passed over."""
        self.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            line = self.until(b"\n", 120)
            if line is None:
                msg = f"QEMU does not answer {command}"
                raise LabError(msg)
            answer = json.loads(line)
            if "error" in answer:
                msg = f"QEMU refuses {command}: {answer['error']['desc']}"
                raise LabError(msg)
            if "return" in answer:
                return answer["return"]


class Debugger(Channel):
    """As much of gdb's remote protocol as breakpoints and registers need. It starts with a stopped guest."""

    def __init__(self, path: Path) -> None:
        """Say hello."""
        super().__init__(path)
        self.write(b"+")
        self.ask("qSupported:swbreak+;hwbreak+")
        self.ask("?")

    def send(self, packet: str) -> None:
        """Send a packet without waiting for an answer."""
        data = packet.encode()
        self.write(b"$%s#%02x" % (data, sum(data) & 0xFF))

    def answer(self, timeout: float = 120) -> str | None:
        """Return the next packet, or None if none comes in time."""
        end = time.monotonic() + timeout
        while not self.has_packet():
            if time.monotonic() > end:
                return None
            self.fill(end - time.monotonic())
        packet = self.buffer[self.buffer.index(b"$") + 1 :]
        packet, self.buffer = packet.split(b"#", 1)
        self.buffer = self.buffer[2:]
        self.write(b"+")
        return expand(packet)

    def has_packet(self) -> bool:
        """Return whether a whole packet with its checksum has come."""
        start = self.buffer.find(b"$")
        end = self.buffer.find(b"#", start + 1)
        return 0 <= start < end and len(self.buffer) >= end + 3

    def ask(self, packet: str) -> str:
        """Send a packet and return the answer."""
        self.send(packet)
        answer = self.answer()
        if answer is None:
            msg = f"QEMU's gdb stub does not answer {packet!r}"
            raise LabError(msg)
        return answer

    def registers(self) -> dict[str, int]:
        """Return the general registers of the stopped processor."""
        values = bytes.fromhex(self.ask("g")[: 16 * len(REGISTERS)])
        return dict(zip(REGISTERS, struct.unpack(f"<{len(REGISTERS)}Q", values), strict=True))

    def interrupt(self) -> None:
        """Stop the guest; whatever the stub still had to say before is read and dropped."""
        self.write(b"\x03")
        if self.answer(5) is not None:
            while self.answer(0.1) is not None:
                pass
        self.ask("?")


def expand(packet: bytes) -> str:
    """Undo the protocol's run-length encoding and escapes.

    >>> expand(b"0*!"), expand(b"a}#")
    ('00000', 'a\\x03')
    """
    out, at = bytearray(), 0
    while at < len(packet):
        if packet[at] == ord("*"):
            out += bytes([out[-1]]) * (packet[at + 1] - 29)
            at += 1
        elif packet[at] == ord("}"):
            out.append(packet[at + 1] ^ 0x20)
            at += 1
        else:
            out.append(packet[at])
        at += 1
    return out.decode("latin-1")
