"""The channel between grader and worker: JSON texts, each after its length in four bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import _socket

HEADER = 4


class FrameError(Exception):
    """What came is no frame: too long, no JSON, or not JSON that Python can hold."""


def encode(message: object) -> bytes:
    r"""Return a message as a frame.

    >>> encode({"call": [1]})
    b'\x00\x00\x00\r{"call": [1]}'
    """
    text = json.dumps(message, allow_nan=False).encode()
    return len(text).to_bytes(HEADER, "big") + text


def decode(text: bytes) -> Any:
    """Return the message of a frame.

    >>> decode(b'{"value": NaN}')
    Traceback (most recent call last):
    memsim.grading.sandbox.guest.frames.FrameError: NaN is not a number
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError, MemoryError) as problem:
        raise FrameError(str(problem)) from None


def _refuse(constant: str) -> None:
    msg = f"{constant} is not a number"
    raise ValueError(msg)


def length_of(header: bytes, longest: int) -> int:
    """Return how long the text after a header is.

    Raises
    ------
    FrameError
        More than ``longest`` bytes, which is more than the other side reads.
    """
    length = int.from_bytes(header, "big")
    if length > longest:
        msg = f"a message of {length:,} bytes; {longest:,} are allowed"
        raise FrameError(msg)
    return length


def receive(channel: _socket.socket, longest: int = 1 << 26) -> Any:
    """Wait for a message and return it, or None at the end of the channel."""
    header = _exactly(channel, HEADER)
    if header is None:
        return None
    text = _exactly(channel, length_of(header, longest))
    return None if text is None else decode(text)


def _exactly(channel: _socket.socket, size: int) -> bytes | None:
    """Return the next ``size`` bytes, or None where the channel ends before."""
    parts = []
    while size:
        part = channel.recv(min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
