"""Code that stands in a constant in another form: base64, hexadecimal digits, compressed, turned round.

Nothing is executed. What is unpacked is no larger than a small multiple of what stands there, so that a file
costs what its size allows.
"""

from __future__ import annotations

import base64
import bz2
import codecs
import lzma
import zlib
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHORTEST = 40
"""Bytes: what is shorter holds no function that would count."""
_TIMES = 32
"""How many times its own size all that is unpacked of a constant may have. Code becomes ten times larger."""
_LAYERS = 4


def unpacked(value: str | bytes) -> Iterator[str]:
    r"""Return the code in a constant, whatever it was packed by.

    >>> code = "def f(start, pages):\\n    return [start + page for page in range(pages)]"
    >>> [*unpacked(base64.b64encode(zlib.compress(code.encode())))] == [code]
    True
    """
    first = value.encode("utf-8", "replace") if isinstance(value, str) else value
    if len(first) < _SHORTEST or _is_code(first):
        return
    left = _TIMES * len(first)
    waiting, seen = deque([(first, _LAYERS)]), {first}
    while waiting and left > 0:
        data, layers = waiting.popleft()
        for made in _forms(data, max(left, 1)):
            if made in seen or len(made) < _SHORTEST:
                continue
            seen.add(made)
            left -= len(made)
            if _is_code(made):
                yield made.decode("utf-8", "replace")
            elif layers > 1:
                waiting.append((made, layers - 1))


def _is_code(data: bytes) -> bool:
    return b"def " in data or b"lambda" in data or b"def\\" in data


def _forms(data: bytes, most: int) -> Iterator[bytes]:
    """Return what some bytes may stand for."""
    for read in (_compressed, *(_READERS if data.isascii() else ())):
        try:
            made = read(data, most)
        except (ValueError, zlib.error, lzma.LZMAError, OSError, EOFError):
            continue
        if made:
            yield made
    yield data[::-1]


def _compressed(data: bytes, most: int) -> bytes:
    if data.startswith(b"BZh"):
        return bz2.BZ2Decompressor().decompress(data, most)
    if data.startswith((b"\xfd7zXZ", b"]\0\0")):
        return lzma.LZMADecompressor(memlimit=1 << 26).decompress(data, most)
    return zlib.decompressobj(47).decompress(data, most)  # zlib's own form or gzip's


def _text(read: Callable[[bytes], bytes]) -> Callable[[bytes, int], bytes]:
    return lambda data, _: read(data)


_READERS = tuple(
    map(
        _text,
        (
            lambda data: base64.b64decode(data.translate(None, b"\r\n"), validate=True),
            lambda data: base64.b64decode(data.translate(None, b"\r\n"), b"-_", validate=True),
            lambda data: base64.b32decode(data.translate(None, b"\r\n")),
            lambda data: bytes.fromhex(data.decode("ascii")),
            base64.b85decode,
            base64.a85decode,
            lambda data: codecs.encode(data.decode("ascii"), "rot13").encode("ascii"),
        ),
    )
)
