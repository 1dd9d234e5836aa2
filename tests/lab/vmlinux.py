"""The ELF file inside a kernel image (bzImage), and its sections."""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
import zlib

from tests.lab.errors import LabError

_SETUP_SECTS, _MAGIC, _PAYLOAD = 0x1F1, 0x202, 0x248
"""Offsets in the header of a bzImage (Documentation/arch/x86/boot.rst)."""
_SECTOR = 512
_PT_INTERP = 3
_GZIP = 31
"""zlib's number for a gzip header."""


def unpack(image: bytes, name: str = "the image") -> bytes:
    """Return the vmlinux that a bzImage holds; an ELF file is returned as it is."""
    if image.startswith(b"\x7fELF"):
        return image
    if image[_MAGIC : _MAGIC + 4] != b"HdrS":
        msg = f"{name}: is neither an x86 bzImage nor an ELF file"
        raise LabError(msg)
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = ((image[_SETUP_SECTS] or 4) + 1) * _SECTOR + offset
    elf = _decompress(image[start : start + length], name)
    if not elf.startswith(b"\x7fELF"):
        msg = f"{name}: its payload is not an ELF file"
        raise LabError(msg)
    return elf


def _decompress(payload: bytes, name: str) -> bytes:
    """Decompress a payload. The build appends 4 bytes, the size, which the decompressors must not see."""
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(_GZIP).decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        return unpack_zstd(payload[:-4], name)
    msg = f"{name}: is compressed with something else than gzip, xz or zstd"
    raise LabError(msg)


def unpack_zstd(data: bytes, name: str) -> bytes:
    """Decompress with the program ``zstd``, which Python has from 3.14 on only."""
    program = shutil.which("zstd")
    if program is None:
        msg = f"{name}: is compressed with zstd, and the program zstd is missing (Debian's package zstd)"
        raise LabError(msg)
    done = subprocess.run([program, "-dcq"], input=data, capture_output=True, check=False)
    if done.returncode:
        msg = f"{name}: zstd cannot decompress it: {done.stderr.decode(errors='replace').strip()}"
        raise LabError(msg)
    return done.stdout


def has_interpreter(elf: bytes) -> bool:
    """Return whether a 64-bit ELF program is started by a loader, which brings its libraries (PT_INTERP)."""
    (table,) = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    kinds = [struct.unpack_from("<I", elf, table + number * size)[0] for number in range(count)]
    return _PT_INTERP in kinds


def section(elf: bytes, wanted: str) -> bytes | None:
    """Return a section of a 64-bit ELF file by name, or None."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + number * size) for number in range(count)]
    for name, _, _, _, offset, length in headers:
        start = headers[names][4] + name
        if elf[start : elf.index(b"\0", start)].decode() == wanted:
            return elf[offset : offset + length]
    return None
