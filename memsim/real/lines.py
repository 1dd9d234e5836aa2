"""The lines of a kernel log as the kernel printed them, whatever a log daemon or a mail program did to them.

Taken off: mail quoting, syslog date and host, ``<6>``, time stamps, thread ids, colours, tags of web pages.
Undone: ``#012`` for a line break, quoted-printable, HTML entities, the JSON of journals and containers, lines
that were wrapped or put into one.

>>> clean("> > Mar 19 10:20:30 host kernel: [ 123.456789][ T99] flags: 0x1(locked|node=3D0)")
'flags: 0x1(locked|node=0)'

Left out: base64, and words that a terminal cut in two.
"""

from __future__ import annotations

import html
import io
import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from memsim.real.packed import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

LONGEST = 4096
"""Longest line that is looked at: the kernel prints at most 1024 characters a line."""

_MARKERS = (
    *(b"page", b"flags", b"Flags", b"raw:", b"RAW:", b"pfn", b"PFN", b"head:", b"memcg:", b"aops:"),
    *(b"Linux version", b"CPU:", b"Hardware name", b"Hypervisor", b"NUMBER(", b"emory", b"Offlined"),
    *(
        b"RIP:",
        b"RAX:",
        b"pstate",
        b"PSW",
        b"NIP",
        b"zone=",
        b"node=",
        b"hotplug",
        b"on Xen",
        b"virtio_mem",
        b"balloon",
        b"ffline",
        b"physical_address",
    ),
    *(
        b"BUG:",
        b"ainted",
        b"Call trace",
        b"el0_svc",
        b"arch/",
        b"SYSCALL_64",
        b"pseries",
        b"rmqueue",
        b"free_",
        b"count",
    ),
)
"""One of these is in every line that matters; looking for fixed bytes is much quicker than any expression."""
_PREFIX = re.compile(
    r"(?:\s*[>|+]\s?|\s*[\w.-]{1,64}\s*\|\s+(?=[\[<])|\s*<\d{1,3}>"
    r"|\s*\w+\s*:\s?\w+\s*:\s(?=\[)|\s*[A-Z][a-z]{2} [ \d]\d "
    r"\d\d:\d\d:\d\d(?:\.\d+)? \S+ "
    r"|\s*\d{4}-\d\d-\d\d[T ]\S+ (?:\S+ "
    r")?(?=kernel|\[)|\s*kernel(?:\[\d+\])?:\s?|\s*\[\s*[TC+\d][\d.\s]*\]:?"
    r"|\s*\d{4}-\d\d-\d\dT[\d:.,]{8,20}(?:Z|[-+]\d\d:?\d\d) "
    r"|\s*\d{1,4},\d{1,20},\d{1,20},[-+c][^;]{0,80};"
    r"|\s*\[\d{4}-\d\d-\d\d[ T][\d:.,]+\]"
    r"|\s*\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d \d{4}\])+"
)
_CALLER = re.compile(r"\[\s*([TC]\d{1,10})\]|,caller=([TC]\d{1,10})\b")
"""The task or the processor that prints, with CONFIG_PRINTK_CALLER."""
_JSON = re.compile(r'"(?:MESSAGE|message|msg|log)"\s*:\s*"((?:[^"\\]|\\.)*)')
_MARKUP = re.compile(
    r"\x1b\[[\d;]*[A-Za-z]|</?(?:br|p|pre|code|span|div|td|tr|li|font)\b[^>]*>", re.IGNORECASE
)
_WORDS = re.compile(r"(?:(?:0x)?[0-9a-f]{8}(?:[0-9a-f]{8})?(?:\s+|$))+$")
NO_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:0x[0-9a-fA-F]{17,}|[0-9a-fA-F]{21,})")
"""More digits than a number of 64 bits has."""
_OPEN = re.compile(
    r"(?:flags|page_type|because|raw|head|RAW):\s*$|recovery action for\s*$"  # labels without their value
    r"|flags:?\s+(?:0x)?[0-9a-f]+\([^)]*$"  # names that were wrapped
    r"|\bpage:\S*\s+(?:ref)?count:(?!.*\bindex:0x\S).*$"  # fields that were wrapped
    r"|\bpage:\S*\s*$"
    r"|\b(?:raw|head|RAW):\s*(?:[0-9a-f]{16}\s*){1,3}$"
    r"|(?:Not tainted|\bTainted: [A-Z ]+)\s*$"
    r"|page_owner tracks the page as\s*$"
    r"|(?:\bpage (?:last )?allocated via order(?!.*(?:\)|ts \d+)$).*)$"
)
_SHORTEST_OF_SEVERAL = 80
"""No two lines that matter are shorter."""
_TOGETHER = re.compile(
    r"(?<=\S )(?:page:\S* ?(?:ref)?count:|(?:(?:anon|ksm|page) )?(?<!of )flags: 0x|raw: [0-9a-f]{8}"
    r"|head: [0-9a-f]{8}|head:\S* order:|memcg:[0-9a-f]|page_type: |page dumped because:|Memory failure: 0x"
    r"|\[ {0,6}\d{1,8}\.\d{6}\]|BUG: Bad|(?<!WARNING: )CPU: \d|Hardware name: |-{12}\[ cut here)"
)
"""Where a line begins that a web page has put behind another one."""
_ITEM = re.compile(
    r"(?:page|flags|raw|head|RAW|page_type|memcg|aops|CPU|BUG|Call Trace|Modules linked in)\b[^|]*?:"
)
_FIELD = re.compile(r"(?:mapcount|mapping|index|pfn|(?:ref)?count|order|compound_\w+|pincount):")
_RESTS = (
    (re.compile(r"(?:raw|head|RAW):\s*(?:[0-9a-f]{16}\s*)*$"), _WORDS),
    (re.compile(r"\bpage:\S*\s*(?:(?:ref)?count:(?!.*flags:).*)?$"), _FIELD),
    (re.compile(r"ainted(?:: [A-Z ]+)?\s*$"), re.compile(r"(?:[A-Z]\s+)*\d+\.\d")),
    (
        re.compile(r"\bpage (?:last )?allocated via order"),
        re.compile(r"\d|\(|gfp_mask|migratetype|pid|tgid|free_ts"),
    ),
)
"""Ends of lines, and what the rest must begin with where not anything may be the rest."""
_BAD_FLAGS = "bad because of flags:"
"""Kernels up to 4.4 print the flags in the next line, with a label of their own."""
MOST_WRAPS = 3


def clean(line: str) -> str:
    """Return a line without what was put around it."""
    return caller_and_line(line)[1]


def caller_and_line(line: str) -> tuple[str, str]:
    """Return who printed a line, if it says so, and the line without what was put around it.

    >>> caller_and_line("[  301.100002][ T4512] BUG: Bad page state in process fioB  pfn:150020")
    ('T4512', 'BUG: Bad page state in process fioB  pfn:150020')
    """
    if "\x1b" in line or "<" in line:
        line = _MARKUP.sub("", line)
    if "&" in line:
        line = html.unescape(line)
    line = line.replace("=3D", "=").removesuffix("=20").replace("\xa0", " ")
    if not line.isprintable():
        line = "".join(map(_printable, line))
    line = NO_NUMBER.sub("?", line)
    found = _PREFIX.match(line)
    if found is None:
        return "", line.strip().removesuffix(" |")
    caller = _CALLER.search(found[0])
    return (caller[1] or caller[2]) if caller else "", line[found.end() :].strip().removesuffix(" |")


def _printable(char: str) -> str:
    """Return a character that no terminal acts on."""
    return char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"


def may_matter(line: bytes) -> bool:
    """Return whether a line can be about a page or a kernel; most lines of a log cannot."""
    return any(marker in line for marker in _MARKERS) or line.lstrip().startswith(b"0x")


def message(line: str) -> str:
    """Return what a journal or a container engine has logged, out of the JSON that it is in.

    >>> message('{"PRIORITY": "1", "MESSAGE": "page_type: f1(offline)"}')
    'page_type: f1(offline)'
    """
    found = _JSON.search(line) if '":' in line or '" :' in line else None
    if found is None:
        return line
    try:
        return str(json.loads(f'"{found[1]}"', strict=False))
    except ValueError:
        return line


def taken_apart(line: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the lines that were put into one, as web pages do with a commit message, each with its caller.

    >>> taken_apart(("", "raw: 00000400 00000100 00000200 page dumped because: bad because of flags: 0x1(a)"))
    [('', 'raw: 00000400 00000100 00000200 '), ('', 'page dumped because: bad because of flags: 0x1(a)')]
    """
    caller, text = line
    if len(text) < _SHORTEST_OF_SEVERAL:
        return [line]
    at = [0, *(found.start() for found in _TOGETHER.finditer(text)), len(text)]
    parts = [text[start:end] for start, end in pairwise(at)]
    return [(caller, part) if part[:1] != "[" else caller_and_line(part) for part in parts]


def is_open(line: str) -> bool:
    """Return whether a line may go on in the next one."""
    if "dumped because: " in line:
        return line.count("(") > line.count(")")
    return line.endswith("=") or _OPEN.search(line) is not None


def wraps_into(line: str, following: str) -> bool:
    """Return whether ``following`` is the rest of a line that was wrapped."""
    if not following or not is_open(line):
        return False
    if line.endswith(("=", _BAD_FLAGS)):
        return True
    rest = next((rest for end, rest in _RESTS if end.search(line)), None)
    return _ITEM.match(following) is None if rest is None else rest.match(following) is not None


def joined(line: str, following: str) -> str:
    """Return a wrapped line in one piece."""
    if line.endswith("="):
        return line[:-1] + following
    if line.endswith(_BAD_FLAGS):
        following = following.removeprefix("flags:").lstrip()
    inside = line.rfind("(") > line.rfind(")")
    return line + ("" if inside or line.endswith("(") else " ") + following


class Reader:
    """The lines of a text that may matter, one after the other; counts all of them.

    Attributes
    ----------
    read
        How many lines there were.
    caller
        Who printed the line, as ``T4512``; that of the line before where it does not say.
    """

    def __init__(self, text: str | bytes | BinaryIO) -> None:
        """Take a text, or a binary file, of which one mebibyte at a time is in memory."""
        if isinstance(text, str):
            text = text.encode("utf-8", "surrogateescape")
        self._file: BinaryIO = io.BytesIO(text) if isinstance(text, bytes) else text
        self.read = 0
        self.caller = ""
        self._waiting: tuple[int, int, str] | None = None

    def __iter__(self) -> Iterator[tuple[int, int, str]]:
        """Yield (number of the first line, how many lines, the line), wrapped lines in one piece.

        :attr:`caller` is that of the line that was yielded.
        """
        rest = b""
        for chunk in pieces(self._file):
            block, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                yield from self._block(block)
            rest = rest[:LONGEST]
        if rest:
            yield from self._block(rest)
        yield from self._waited()

    def _block(self, block: bytes) -> Iterator[tuple[int, int, str]]:
        """Take some lines; where none can matter they are only counted."""
        if self._waiting is None and not may_matter(block) and b"0x" not in block:
            self.read += block.count(b"\n") + 1
            return
        for raw in block.split(b"\n"):
            self.read += 1
            line = raw[:LONGEST]
            if self._waiting is not None or may_matter(line):
                for part in re.split("#012|\n", message(line.decode("utf-8", "replace"))):
                    for piece in taken_apart(caller_and_line(part)):
                        yield from self._next(piece[1].strip(), piece[0] or self.caller)

    def _next(self, line: str, caller: str) -> Iterator[tuple[int, int, str]]:
        """Take a line: join it to the one that waits, or let it wait, or yield it."""
        if caller != self.caller:
            yield from self._waited()
            self.caller = caller
        if self._waiting is not None:
            first, count, text = self._waiting
            if count <= MOST_WRAPS and wraps_into(text, line):
                self._waiting = first, count + 1, joined(text, line)
                return
            yield from self._waited()
        if is_open(line):
            self._waiting = self.read, 1, line
        elif line:
            yield self.read, 1, line

    def _waited(self) -> Iterator[tuple[int, int, str]]:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            yield waiting
