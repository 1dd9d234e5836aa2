"""Kernel versions as numbers that can be ordered, and what a text says about the kernel that wrote it.

>>> parse_version("7.0.0-0.rc4.x86_64"), parse_version("6.1.0-18-amd64")
((7, 0), (6, 1))
"""

from __future__ import annotations

import re

Version = tuple[int, int]
OLDEST: Version = (2, 6)
NEWEST: Version = (999, 0)

_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})(?![\d])")
_ARCHITECTURES = (
    ("x86-64", ("x86_64", "amd64", "RIP: ", "RAX: ", "entry_SYSCALL_64", "i440FX", "Q35 ")),
    ("arm64", ("aarch64", "arm64", "pstate: ", "ESR = 0x", "Call trace:", "el0_svc", "Internal error: ")),
    ("s390", ("s390x", "Krnl PSW")),
    ("ppc64", ("ppc64", "powerpc", "pseries", "NIP: ", "NIP [")),
    ("arm", ("ARMv7", "-v7+", "armv7")),
    ("x86-32", ("i386", "i486", "i586", "i686", "EIP: ")),
    ("riscv64", ("riscv64", "epc : ")),
)
"""What only logs of one architecture hold: registers, machine names, suffixes of releases, heads of stacks.

32-bit ARM writes ``Call trace:`` and ``Internal error:`` too; :mod:`memsim.real.reading` tells the two apart
by the size of a word.
"""
_ARCHITECTURE_OF = {word: name for name, words in _ARCHITECTURES for word in words}
_ARCHITECTURE = re.compile("|".join(map(re.escape, _ARCHITECTURE_OF)))


def parse_version(text: str) -> Version | None:
    """Return the (major, minor) numbers that a release string starts with, or None."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else None


def version_name(version: Version) -> str:
    """Return a version as people write it.

    >>> version_name((6, 12))
    '6.12'
    """
    return f"{version[0]}.{version[1]}"


def architecture_of(line: str) -> str | None:
    """Return the architecture that a line of a kernel log shows, or None.

    >>> architecture_of("RIP: 0010:bad_page+0x1"), architecture_of("Krnl PSW : 0704"), architecture_of("ok")
    ('x86-64', 's390', None)
    """
    found = _ARCHITECTURE.search(line)
    return _ARCHITECTURE_OF[found[0]] if found else None
