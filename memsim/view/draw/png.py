"""PNG files with a palette, made with zlib alone, and pictures as ``data:`` addresses.

:func:`png` compresses with zlib, as fast as it can. What zlib makes of the same pixels differs from one
version of it to the next, though, so that pictures to be stored and compared later are made with a small
compressor of our own: slower, with the same result everywhere.

Left out: everything that PNG can do beyond eight bits a pixel and no transparency.
"""

from __future__ import annotations

import base64
import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_OF_8_BITS = (8, 3, 0, 0, 0)
_NO_FILTER = 0


def png(image: Image, palette: bytes, look_back: Sequence[int] = ()) -> bytes:
    """Return a PNG file of palette indices; ``palette`` is red, green, blue of each.

    With ``look_back``, the distances in pixels after which the picture repeats itself, the bytes are the
    same on every machine.
    """
    height, width = image.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0], rows[:, 1:] = _NO_FILTER, image
    packed = _deflate(rows.ravel(), look_back) if look_back else zlib.compress(rows.tobytes(), 1)
    header = struct.pack(">II5B", width, height, *_PALETTE_OF_8_BITS)
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", packed), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(name))
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def data_uri(file: bytes) -> str:
    """Return a PNG file as an address that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"


# ---- a compressor that is the same everywhere (RFC 1950, RFC 1951) ---------------------------------

_MAX_MATCH = 258
_MIN_MATCH = 3
_MAX_DISTANCE = 1 << 15
_LITERALS_OF_8_BITS = 144
_END_OF_BLOCK, _FIRST_CODE_OF_8_BITS = 256, 280


def _deflate(pixels: Image, look_back: Sequence[int]) -> bytes:
    """Compress with fixed codes, looking back by these distances only."""
    data = pixels.tobytes()
    distances = [distance for distance in look_back if distance <= _MAX_DISTANCE]
    equal_until = [_equal_until(pixels, distance) for distance in distances]
    bits = ["110"]  # last block; fixed codes
    at = 0
    while at < len(data):
        ends = [until[at] for until in equal_until]
        end = max(ends, default=at)
        length = min(end - at, _MAX_MATCH)
        if length < _MIN_MATCH:
            bits.append(_literal(data[at]))
            at += 1
        else:
            bits.append(_match(length, distances[ends.index(end)]))
            at += length
    bits.append(_symbol(_END_OF_BLOCK))
    return b"\x78\x01" + _packed("".join(bits)) + struct.pack(">I", zlib.adler32(data))


def _equal_until(data: npt.NDArray[np.uint8], distance: int) -> memoryview:
    """Return for each place up to where the data are what they were ``distance`` before."""
    places = np.arange(len(data), dtype=np.int32)
    differs = np.full(len(data), fill_value=True)
    differs[distance:] = data[distance:] != data[:-distance]
    ends = np.where(differs, places, np.int32(len(data)))
    return np.minimum.accumulate(ends[::-1])[::-1].copy().data


def _literal(value: int) -> str:
    if value < _LITERALS_OF_8_BITS:
        return f"{0x30 + value:08b}"
    return f"{0x190 + value - _LITERALS_OF_8_BITS:09b}"


def _symbol(code: int) -> str:
    if code < _FIRST_CODE_OF_8_BITS:
        return f"{code - _END_OF_BLOCK:07b}"
    return f"{0xC0 + code - _FIRST_CODE_OF_8_BITS:08b}"


@lru_cache(maxsize=4096)
def _match(length: int, distance: int) -> str:
    if length == _MAX_MATCH:
        shown = _symbol(285)
    else:
        code, extra = _with_extra_bits(length - _MIN_MATCH, 2)
        shown = _symbol(257 + code) + extra
    code, extra = _with_extra_bits(distance - 1, 1)
    return f"{shown}{code:05b}{extra}"


def _with_extra_bits(value: int, kept: int) -> tuple[int, str]:
    """Return a code that holds the ``kept`` bits below the first 1, and the rest, lowest bit first."""
    dropped = max(value.bit_length() - kept - 1, 0)
    code = (dropped << kept) + (value >> dropped)
    rest = f"{value & (1 << dropped) - 1:0{dropped}b}"[::-1] if dropped else ""
    return code, rest


def _packed(bits: str) -> bytes:
    """Return bits, in the order of the stream, as bytes."""
    return np.packbits(np.frombuffer(bits.encode(), np.uint8) & 1, bitorder="little").tobytes()
