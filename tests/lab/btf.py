"""BTF, a kernel's own description of its types: where members of structs are, what enumerators are worth.

Format: Documentation/bpf/btf.rst of the kernel.
"""

from __future__ import annotations

import struct

from tests.lab.errors import LabError

_STRUCT, _UNION, _ENUM, _ENUM64 = 4, 5, 6, 19
_ALIASES = (8, 9, 10, 11, 18)
"""typedef, volatile, const, restrict, type tag: each stands for the type that it names."""
_TAIL = {1: 4, 3: 12, 14: 4, 17: 4}
"""Bytes after the common part of a type: integer, array, variable, declaration tag."""
_PER_MEMBER = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
"""Bytes of each member: struct, union, enum, function prototype, data section, 64-bit enum."""


class Btf:
    """The types of one kernel."""

    def __init__(self, data: bytes) -> None:
        """Find every struct by its name, and every enumerator."""
        magic, _, _, header, types, length, strings, _ = struct.unpack_from("<HBBIIIII", data, 0)
        if magic != 0xEB9F:
            msg = "the .BTF section is not BTF of a little-endian kernel"
            raise LabError(msg)
        self._data = data
        self._strings = header + strings
        self._places = [0]
        self._structs: dict[str, int] = {}
        self.enumerators: dict[str, int] = {}
        at, end = header + types, header + types + length
        while at < end:
            at = self._read_type(at)

    def _read_type(self, at: int) -> int:
        name, info, _ = struct.unpack_from("<III", self._data, at)
        kind, members = info >> 24 & 0x1F, info & 0xFFFF
        if kind in (_STRUCT, _UNION) and name:
            self._structs.setdefault(self._text(name), len(self._places))
        self._places.append(at)
        at += 12
        if kind in (_ENUM, _ENUM64):
            for number in range(members):
                word, value = struct.unpack_from("<Ii", self._data, at + number * _PER_MEMBER[kind])
                self.enumerators[self._text(word)] = value
        return at + _TAIL.get(kind, 0) + members * _PER_MEMBER.get(kind, 0)

    def _text(self, offset: int) -> str:
        start = self._strings + offset
        return self._data[start : self._data.index(b"\0", start)].decode()

    def value(self, enumerator: str) -> int:
        """Return what an enumerator is worth."""
        if enumerator not in self.enumerators:
            msg = f"this kernel's BTF has no {enumerator}; was it built with CONFIG_MEMORY_HOTREMOVE=y?"
            raise LabError(msg)
        return self.enumerators[enumerator]

    def size(self, name: str) -> int:
        """Return the size of a struct in bytes."""
        return int(struct.unpack_from("<I", self._data, self._places[self._number(name)] + 8)[0])

    def offset(self, name: str, *members: str) -> int:
        """Return the offset of the first of these members that a struct has, in bytes."""
        found = dict(self._members(self._number(name), 0))
        for member in members:
            if member in found:
                return found[member]
        msg = f"struct {name} of this kernel has no member {' or '.join(members)}"
        raise LabError(msg)

    def _number(self, name: str) -> int:
        if name not in self._structs:
            msg = f"this kernel's BTF has no struct {name}"
            raise LabError(msg)
        return self._structs[name]

    def _members(self, number: int, base: int) -> list[tuple[str, int]]:
        """Return names and offsets of the members of a struct, those of anonymous ones inside it too."""
        at = self._places[number]
        info = struct.unpack_from("<I", self._data, at + 4)[0]
        mask = 0xFFFFFF if info >> 31 else 0xFFFFFFFF  # with bit fields, the upper byte is their width
        found = []
        for count in range(info & 0xFFFF):
            name, kind, bits = struct.unpack_from("<III", self._data, at + 12 + 12 * count)
            place = base + (bits & mask) // 8
            if name:
                found.append((self._text(name), place))
            else:
                found += self._members(self._aliased(kind), place)
        return found

    def _aliased(self, number: int) -> int:
        while True:
            _, info, size_or_type = struct.unpack_from("<III", self._data, self._places[number])
            if info >> 24 & 0x1F not in _ALIASES:
                return number
            number = size_or_type
