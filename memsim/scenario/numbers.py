"""Numbers that people write by hand: ``"0x100000"``, ``"4G"``, ``"128M"``, and comments between them.

JSON has decimal numbers only. A scenario may hold a string instead of a number: a hexadecimal number
counts in
the unit of its key (pfns or pages, as a decimal does); a size in bytes with a unit is an address or a
length, and
must be a whole number of pages.

>>> pages_of("4G"), pages_of("128M"), pages_of("0x100000"), pages_of(7)
(1048576, 32768, 1048576, 7)
"""

from __future__ import annotations

import re
from typing import Any

from memsim.devices import DEVICE_KINDS
from memsim.errors import BadScenario
from memsim.linux.include.layout import PAGE_SHIFT
from memsim.scenario.steps import STEPS

COMMENT = "comment"
"""Key of a remark for readers; every object of a scenario may have one; it is left out when it is read."""
PATTERN = r"^\s*(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]+)?\s*[kKmMgGtT](?:i?[bB])?)\s*$"
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kKmMgGtT])(?:i?[bB])?\s*")
_HEX = re.compile(r"\s*0[xX][0-9a-fA-F]+\s*")
_SHIFTS = {"K": 10, "M": 20, "G": 30, "T": 40}
_MACHINE = ("ram", "reserved", "block_pages", "crashkernel_pages", "kernelcore_pages", "movablecore_pages")
PAGE_KEYS = frozenset({
    *_MACHINE,
    *(key for kind in DEVICE_KINDS.values() for key in (*kind.required, *kind.optional)),
    *(a.name for kind in STEPS.values() for a in kind.arguments if a.kind in {int, list}),
}) - {"block", "seconds", "times"}  # fmt: skip
"""Keys whose numbers are pfns or pages."""
PLAIN_KEYS = frozenset({"block", "seconds", "times"})
"""Keys whose numbers are neither: they may be hexadecimal, but have no unit."""


def pages_of(value: Any) -> Any:  # noqa: ANN401 (any JSON)
    """Return a number that is written as a string; anything else as it is.

    Raises
    ------
    ValueError
        The string is not a number, or its size is not a whole number of pages.
    """
    if not isinstance(value, str):
        return value
    if _HEX.fullmatch(value):
        return int(value, 16)
    size = _SIZE.fullmatch(value)
    if size is None:
        msg = f'{value!r} is not a number; write a number, "0x100000", or a size such as "128M"'
        raise ValueError(msg)
    pages = float(size[1]) * (1 << _SHIFTS[size[2].upper()]) / (1 << PAGE_SHIFT)
    if pages != int(pages):
        msg = f"{value!r} is not a whole number of pages of {1 << PAGE_SHIFT} bytes"
        raise ValueError(msg)
    return int(pages)


def plain(value: Any, where: str, key: str = "") -> Any:  # noqa: ANN401 (any JSON)
    """Return a part of a scenario with numbers instead of strings, and without comments.

    Raises
    ------
    BadScenario
        A string instead of a number is none; the message names the key.
    """
    try:
        return _plain(value, where, key)
    except RecursionError:
        msg = f"{where}: is nested too deeply"
        raise BadScenario(msg) from None


def _plain(value: Any, where: str, key: str) -> Any:  # noqa: ANN401 (any JSON)
    if isinstance(value, dict):
        return {
            name: _plain(part, where, name if isinstance(part, str | list) else "")
            for name, part in value.items()
            if name != COMMENT
        }
    if isinstance(value, list):
        return [_plain(part, where, key) for part in value]
    if not isinstance(value, str) or key not in PAGE_KEYS | PLAIN_KEYS:
        return value
    if not re.match(PATTERN, value) or (key in PLAIN_KEYS and not _HEX.fullmatch(value)):
        return value  # the checker says what it must be
    try:
        return pages_of(value)
    except ValueError as problem:
        msg = f"{where}: {key!r}: {problem}"
        raise BadScenario(msg) from None
