"""The bytes of a text that is packed (gzip) or in UTF-16, in pieces: memory stays bounded."""

from __future__ import annotations

import codecs
import zlib
from itertools import chain
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.ftrace.events import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MOST_UNPACKED = 64 << 20
"""Bytes that a packed text may unpack to: a few kilobytes can unpack to gigabytes."""
MOST_MEMBERS = 1000
"""Files that may be packed one behind the other: what follows one is copied."""
_GZIP = b"\x1f\x8b"
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file in pieces of text in UTF-8.

    Raises
    ------
    MemsimError
        It is packed, and cannot be unpacked, or is larger than :data:`MOST_UNPACKED` then.
    """
    return _in_utf_8(_unpacked(iter(lambda: file.read(CHUNK), b"")))


def _unpacked(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what is packed with gzip, or the parts as they are."""
    first = next(parts, b"")
    if not first.startswith(_GZIP):
        yield from chain([first], parts)
        return
    stream, total, members = zlib.decompressobj(31), 0, 1
    for part in chain([first], parts):
        rest, out = part, b""
        while rest or len(out) == CHUNK:
            try:
                out = stream.decompress(rest, CHUNK)
            except zlib.error:
                msg = "it is packed with gzip and damaged"
                raise MemsimError(msg) from None
            total += len(out)
            if total > MOST_UNPACKED or members > MOST_MEMBERS:
                size = f"more than {MOST_UNPACKED >> 20} MiB or {MOST_MEMBERS} files"
                msg = f"it unpacks to {size}: unpack it, and give the part that matters"
                raise MemsimError(msg)
            yield out
            rest = stream.unconsumed_tail
            if stream.eof:
                rest, stream, members = stream.unused_data, zlib.decompressobj(31), members + 1
                if not rest.startswith(_GZIP):  # padding
                    break


def _in_utf_8(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield text in UTF-8 that is in UTF-16 with a byte order mark, or the parts as they are."""
    first = next(parts, b"")
    encoding = _UTF_16.get(first[:2])
    if encoding is None:
        yield from chain([first.removeprefix(codecs.BOM_UTF8)], parts)
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for part in chain([first[2:]], parts):
        yield decoder.decode(part).encode("utf-8", "replace")
