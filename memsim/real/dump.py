"""What kernels print about pages, line by line: ``dump_page()``, ``bad_page()`` and others.

``mm/debug.c``, ``mm/page_alloc.c``, ``mm/memory_hotplug.c``, ``mm/memory-failure.c``, ``mm/page_owner.c``,
the
trace events of ``include/trace/events/page_ref.h``, and struct pages as crash and drgn show them. From Linux
3.10 to 7.3. Nothing is interpreted here: a :class:`Dump` holds what was printed.

Left out: what other subsystems print about their objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memsim.linux.include.layout import PAGE_SHIFT
from memsim.real.events import LONGEST_SHOWN, event_in
from memsim.real.lines import Reader
from memsim.real.tables import flag_names
from memsim.real.versions import architecture_of, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from memsim.real.versions import Version

TRACE_EVENT, DEBUGGERS = "trace event", "crash or drgn"
"""Sources that are no kernel log."""
OF_FAILURES = ("memory_failure()", "soft_offline_page()", "unpoison_memory()", "the hardware")
"""Sources of lines about memory failures, which have a form of their own."""
MOST_PAGES = 500
"""Different pages that are kept; of more only the number is given."""
MOST_UNKNOWN = 5
"""Lines that were not understood and are shown all the same."""
MOST_SAID = 16
"""Other lines about a page that are kept."""
MOST_CALLERS = 64
"""Tasks and processors whose reports are kept apart at one time."""
_FAR = 200
"""Lines after which a line of context no longer belongs to a page."""


@dataclass
class Context:
    """What the lines around a page say of the kernel."""

    version: Version | None = None
    release: str = ""
    architecture: str | None = None
    host: str = ""
    bad_page_before: bool = False


@dataclass
class Dump:
    """What a kernel printed about one page; None or empty: not printed."""

    line: int
    source: str = "dump_page()"
    pfn: int | None = None
    pfn_how: str = ""
    """How the pfn is known, where it was not printed."""
    old_count: bool = False
    """``count:`` instead of ``refcount:``, as kernels up to 5.1 print it."""
    pointer: str = ""
    refcount: int | None = None
    mapcount: int | None = None
    mapping: str = ""
    index: str = ""
    flags: int | None = None
    flags_digits: int = 0
    names: list[str] | None = None
    numbers: dict[str, int] = field(default_factory=dict)
    names_cut: bool = False
    kind: str = ""
    """``anon`` or ``ksm``, as it stands before ``flags:``."""
    page_type: int | None = None
    type_word: int | None = None
    """The word as crash and drgn show it, without a name."""
    type_text: str = ""
    type_names: list[str] = field(default_factory=list)
    head: str = ""
    order: int | None = None
    pincount: int | None = None
    raw: list[int] = field(default_factory=list)
    raw_digits: int = 16
    head_raw: list[int] = field(default_factory=list)
    reason: str = ""
    bad_flags: str = ""
    uninitialised: bool = False
    caller: str = ""
    """``freed`` or ``allocated``, as the stack below bad_page() shows; empty if it does not."""
    mixed: bool = False
    """Whether lines of another report stand between those of this one: two processors printed at once."""
    torn: bool = False
    """Whether the lines that follow may as well belong to another page: none is taken for this one."""
    said: list[str] = field(default_factory=list)
    """Other lines about this page, as the kernel printed them."""
    context: Context = field(default_factory=Context)
    count: int = 1

    @property
    def key(self) -> tuple[object, ...]:
        """What equal pages have in common."""
        raw = (tuple(self.raw), tuple(self.head_raw), tuple(self.names or ()), tuple(self.said))
        place = self.pointer if self.pfn is None else self.pfn
        return (
            place,
            self.flags,
            self.page_type,
            self.type_word,
            self.refcount,
            self.mapcount,
            self.reason,
            raw,
        )

    @property
    def bare(self) -> bool:
        """Whether neither flags nor a type nor words were printed."""
        return self.flags is None and self.names is None and not self.raw and self.page_type is None

    @property
    def empty(self) -> bool:
        """Whether nothing is known that could be explained."""
        return self.bare and self.pfn is None and self.refcount is None and not self.uninitialised


@dataclass
class Text:
    """All that was found in a text."""

    pages: list[Dump] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    vmcoreinfo: dict[str, int] = field(default_factory=dict)
    read: int = 0
    understood: int = 0
    left_off: int = 0
    """Pages beyond :data:`MOST_PAGES`."""
    unknown: list[tuple[int, str]] = field(default_factory=list)
    """The first lines that may be about memory and were not understood: number, line."""
    nr_unknown: int = 0
    """How many such lines there were."""


_HEX = r"(?:0x)?[0-9a-fA-F]+"
_PAGE = re.compile(r"\bpage:(?P<pointer>\S*)\s+(?P<old>ref)?count:(?P<count>-?\d+)(?P<rest>.*)")
_REST = re.compile(r"(\w+):\s?([^\s:\",]+)")
_FLAGS = re.compile(
    rf"(?:(?:\b(?P<kind>anon|ksm|page|file)\s+)?\bflags:\s*|^)(?P<word>{_HEX})(?:\((?P<names>[^)]*)(?P<end>\))?)?"
)
_TYPE = re.compile(rf"\bpage_type:\s*(?P<word>{_HEX})(?:\((?P<names>\(null\)|[^)]*)\)?)?")
_HEAD = re.compile(r"\bhead:(?P<pointer>\S*)\s+order:(?P<order>\d+)(?P<rest>.*)")
_PINS = re.compile(r"pincount:(-?\d{1,10})\b")
_RAW = re.compile(
    r"\b(?P<which>raw|head|RAW):\s*(?P<words>(?:(?:0x)?[0-9a-f]{8}(?:[0-9a-f]{8})?(?:\s+|$)){1,9})"
)
_REASON = re.compile(r"page dumped because: ?(?P<reason>.*)")
_BAD_FLAGS = re.compile(rf"bad because of flags:\s*(?P<flags>{_HEX}(?:\([^)]*\)?)?)")
_BUG = re.compile(
    r"BUG: Bad (?P<what>page state|page map|page cache|pagetable)(?!: (?:\d+ mess|further))"
    r".*?(?:pfn:(?P<pfn>[0-9a-f]+)|pte:|$)"
)
_UNINITIALISED = re.compile(r"\bpage:?\s?(?P<pointer>[0-9a-f]*) is uninitialized and poisoned")
_OWNER = re.compile(
    rf"\bPFN (?P<pfn>0x[0-9a-f]+|\d+) type \w+ Block \d+ type \w+ Flags (?P<word>{_HEX})"
    r"(?:\((?P<names>[^)]*)(?P<end>\))?)?"
)
_TRACE = re.compile(
    r"\bpfn=(?P<pfn>0x[0-9a-f]+|\d+) flags=(?P<names>[\w|]*) count=(?P<count>-?\d+) "
    r"mapcount=(?P<mapcount>-?\d+)"
)
_MEMBER = re.compile(r"\bflags = (?:\{\s*\.?f = )?(?:\(\w[\w ]*\))?(?P<word>0x[0-9a-f]+|\d+)")
_TYPE_MEMBER = re.compile(r"\bpage_type = (?:\([\w ]+\))?(?P<word>0x[0-9a-f]+|\d+)")
_COUNTERS = re.compile(r"\b(?P<name>_refcount|_mapcount) = |\bcounter = (?:\(\w+\))?(?P<value>-?\d+)")
_FAILURE = re.compile(
    r"\b(?:Memory failure|MCE|Soft[ _]offline|Unpoison|get_any_page):? ?(?P<pfn>0x[0-9a-f]+): (?P<what>.*)",
    re.IGNORECASE,
)
_INJECTED = re.compile(
    r"\b(?:Injecting memory failure (?:for pfn|at pfn|for page)|Soft offlining pfn"
    r"|Unpoison: Software-unpoisoned page) (?P<pfn>0x[0-9a-f]+)"
)
_ADDRESS = re.compile(
    r"\bmce: .{1,100} at (?P<mce>(?:0x)?[0-9a-f]{4,16})$|\bphysical_address: ?(?P<apei>0x[0-9a-f]{1,16})\b"
    r"|\bEDAC MC\d+: .{1,500}\bpage:(?P<edac>0x[0-9a-f]{1,16}) "
)
"""Where hardware found the error: an address, or a pfn in EDAC's line."""
_TYPE_OF_FAILURE = re.compile(
    r"\btype (?P<word>0x[0-9a-f]{1,16}|[0-9a-f]{6,16})(?: ?\((?P<names>[^)]*)(?P<end>\))?)?"
)
_COUNT_OF_FAILURE = re.compile(r"\bpage count (-?\d{1,10})\b")
_MIGRATING = re.compile(rf"\bmigrating pfn (?P<pfn>{_HEX}) failed(?: ret:-?\d+)?")
_OWNED = re.compile(
    r"\b(?:page_owner tracks the page as \w+|page last allocated via order.*|page_owner info is not \w+.*"
    r"|page does not match folio|page has been migrated, last migrate reason: .*|page allocated via order.*)"
)
_CHARGE = re.compile(r"\b(?:page->mem_cgroup:[0-9a-f]+|memcg:[0-9a-f]+|aops:.*)")
_MAY_BE_MEMORY = re.compile(
    r"\b(?:memory|mem(?:map|block)|pages?|pfn|balloon|virtio_mem|hotplug|poison|(?:off|on)lin(?:e|ed|ing))\b",
    re.IGNORECASE,
)
_FRAME = re.compile(r"\w\+0x[0-9a-f]+/0x|Modules linked in:")
"""A function of a stack, with the offset in it, or the modules that are loaded."""
_FREES = re.compile(r"\w*free_\w+")
_ALLOCATES = re.compile(r"check_new_page|get_page_from_freelist|prep_new_page|rmqueue")
_NEXT_FRAMES = 8
"""Lines below bad_page() in which its caller may stand: inlined functions have lines of their own."""
_NEXT_LINES = 2
"""Lines from the first of a report on in which the first of dump_page() is the last that was printed."""
_VMCORE = re.compile(r"NUMBER\((\w+)\)=(-?\d+)")
_RELEASE = re.compile(
    r"Linux version (?P<boot>\d+\.\d+\S*)"
    r"|(?:Not tainted|Tainted:.{0,80}?) (?P<oops>\d+\.\d+\S*)(?: #|$)"
)
_TAINT_B = re.compile(r"\bTainted: (?:[A-Z ]* )?B\b")
"""bad_page() sets the flag after it has printed: in a report it tells of an earlier one."""
_HOST = re.compile(
    r"Hardware name: (?P<hardware>.*)|Hypervisor detected: (?P<hypervisor>.*)|(?P<xen>Booting "
    r"paravirtualized kernel on Xen)"
)
_VMA_NAMES = re.compile(r"\((?:none|read|write|exec|shared|mayread|maywrite)\b")
_NUMBERS = ("section", "node", "zone", "lastcpupid", "kasantag")


def read_text(text: str | bytes | BinaryIO) -> Text:
    """Return what kernels printed about pages in a text of any kind and length."""
    parser = _Parser()
    reader = Reader(text)
    counted = 0
    for number, lines, line in reader:
        parser.turn_to(reader.caller)
        if parser.take(number, line):
            parser.found.understood += lines if number != counted else 0  # a line may hold several
            counted = number
        elif _MAY_BE_MEMORY.search(line) and not _FRAME.search(line):
            parser.found.nr_unknown += lines
            if len(parser.found.unknown) < MOST_UNKNOWN:
                parser.found.unknown.append((number, line[:LONGEST_SHOWN]))
    parser.close()
    parser.found.read = reader.read
    return parser.found


class _Parser:
    """The page that lines are about at the moment, and the pages before."""

    def __init__(self) -> None:
        self.found = Text()
        self._open: Dump | None = None
        self._cut: Dump | None = None
        """A page whose lines another report cut in two."""
        self._last: Dump | None = None
        """The last page that was closed: the lines behind it may say more about its kernel."""
        self._caller = ""
        self._others: dict[str, tuple[Dump | None, Dump | None, Dump | None, int]] = {}
        """The open, the cut and the last page of each other caller, and where its stack has bad_page()."""
        self._context = Context()
        self._counted = ""
        """The member of a struct page whose counter comes next."""
        self._bad_page_at = -_FAR
        """The line in which bad_page() stands in a stack."""
        self._known: dict[tuple[object, ...], Dump] = {}
        self._without: list[Dump] = []
        self._rules: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str], str], bool]], ...] = (
            ("BUG: Bad", _BUG, self._bug),
            ("count:", _PAGE, self._page),
            ("uninitialized", _UNINITIALISED, self._uninitialised),
            ("PFN ", _OWNER, self._page_owner),
            ("mapcount=", _TRACE, self._traced),
            ("bad because", _BAD_FLAGS, self._bad),
            ("page_type", _TYPE, self._type),
            ("head:", _HEAD, self._head),
            (":", _RAW, self._raw),
            ("", _FLAGS, self._flags),
            ("flags = ", _MEMBER, self._member),
            ("page_type = ", _TYPE_MEMBER, self._type_member),
            ("count", _COUNTERS, self._counter),
            ("dumped because", _REASON, self._reason),
            (" 0x", _FAILURE, self._failure),
            (" 0x", _INJECTED, self._failure),
            ("", _ADDRESS, self._at_address),
            ("migrating pfn", _MIGRATING, self._migrating),
            (":", _CHARGE, self._about),
            ("page", _OWNED, self._about),
            ("NUMBER(", _VMCORE, self._vmcoreinfo),
        )
        """A literal that a line must have, the form of the line, and what is done with it."""

    def take(self, number: int, line: str) -> bool:
        """Take one line; returns whether it was understood."""
        self._number = number
        context = self._note_context(line)
        self._note_caller(line)
        for literal, pattern, rule in self._rules:
            found = pattern.search(line) if literal in line else None
            if found is not None and rule(found, line):
                return True
        return self._event(line) or context

    def turn_to(self, caller: str) -> None:
        """Go on with what a task or a processor printed before: reports of several may interleave."""
        if caller == self._caller:
            return
        self._others[self._caller] = self._open, self._cut, self._last, self._bad_page_at
        if len(self._others) > MOST_CALLERS:
            self._end_all(self._others.pop(next(iter(self._others))))
        self._caller = caller
        mine = self._others.pop(caller, (None, None, None, -_FAR))
        self._open, self._cut, self._last, self._bad_page_at = mine

    def _end_all(self, of: tuple[Dump | None, Dump | None, Dump | None, int]) -> None:
        """End the pages that a caller has open."""
        self._open, self._cut, *_ = of
        self._end()
        self._end()

    def close(self) -> None:
        """End the pages that are open, and give those before the first version line that version."""
        self.turn_to("nobody")
        for other in self._others.values():
            self._end_all(other)
        self.found.pages.sort(key=lambda dump: dump.line)
        for dump in self._without:
            known = self._context
            dump.context.version = dump.context.version or known.version
            dump.context.release = dump.context.release or known.release
            dump.context.architecture = dump.context.architecture or known.architecture
            dump.context.host = dump.context.host or known.host

    # ---- pages -------------------------------------------------------------------------------

    def _start(self, source: str = "dump_page()") -> Dump:
        self._end()
        self._end()
        self._open = Dump(self._number, source)
        return self._open

    def _here(self) -> Dump:
        return self._open if self._open is not None else self._start()

    def _end(self) -> None:
        dump, self._open, self._cut = self._open, self._cut, None
        if dump is not None and dump.empty and dump.source == "print_bad_pte()":
            self._note_event(dump.said[0])
        if dump is None or dump.empty:
            return
        again = self._known.get(dump.key)
        if again is not None:
            again.count += 1
            self._last = again
            return
        if len(self.found.pages) >= MOST_PAGES:
            self.found.left_off += 1
            return
        self._known[dump.key] = self._last = dump
        context = self._context
        dump.context = Context(context.version, context.release, context.architecture, context.host)
        self._without.append(dump)
        self.found.pages.append(dump)

    def _bug(self, found: re.Match[str], line: str) -> bool:
        if self._is_same_line(found["pfn"]):
            return True
        half = self._is_half() and not self._whose()
        first, self._open = (self._open, None) if half or self._is_named() else (None, self._open)
        of_cache = found["what"] == "page cache"
        of_page = "filemap_unaccount_folio()" if of_cache else "bad_page()"
        dump = self._start(of_page if found["pfn"] else "print_bad_pte()")
        if first is not None:
            first.mixed = dump.mixed = half
            self._cut = first
        dump.pfn = int(found["pfn"], 16) if found["pfn"] else None
        reason = _REASON.search(line)  # memsim's own log has both in one line
        dump.said.append(line[found.start() : reason.start() if reason else None].strip())
        return self._reason(reason, line) if reason else True

    def _is_same_line(self, pfn: str | None) -> bool:
        """Return whether the line before said the same, as where a journal has the console's lines too."""
        dump = self._open
        return bool(
            pfn and dump and dump.pfn == int(pfn, 16) and dump.refcount is None and dump.flags is None
        )

    def _is_half(self) -> bool:
        """Return whether the first line of an open page was printed, and its flags were not."""
        dump = self._open
        return dump is not None and dump.refcount is not None and dump.flags is None and not dump.raw

    def _is_named(self) -> bool:
        """Return whether of an open page only the line was printed that names its pfn."""
        dump = self._open
        return dump is not None and dump.source == "bad_page()" and dump.refcount is None and dump.bare

    def _is_cut_by(self, pfn: int | None, pointer: str) -> bool:
        """Return whether the first line of another page comes where the second of the open one should."""
        dump = self._open
        if dump is None or not self._is_half() or self._number - dump.line > _NEXT_LINES:
            return False
        return dump.pointer != pointer if pfn is None else dump.pfn != pfn

    def _turn_if_cut(self, pfn: int | None) -> None:
        """Go on with the page whose report was cut in two, if the pfn or what is missing says so."""
        if self._cut is None or self._open is None:
            return
        missing = self._open.refcount is not None and self._cut.refcount is None
        named = self._open.refcount is None and pfn is not None
        if missing or (named and pfn == self._cut.pfn != self._open.pfn):
            self._open, self._cut = self._cut, self._open
            self._open.mixed = self._cut.mixed = True

    def _whose(self) -> bool:
        """Return whether a line may belong to either of two reports, of which one cut the other in two."""
        here, cut = self._open, self._cut
        if here is None:
            return self._last is not None and self._last.torn
        if cut is not None and all(dump.refcount is not None and dump.bare for dump in (here, cut)):
            here.mixed = cut.mixed = here.torn = cut.torn = True
        return here.torn

    def _page(self, found: re.Match[str], _line: str) -> bool:
        rest = dict(_REST.findall(found["rest"]))
        pfn = _number(rest.get("pfn"), 16)
        self._turn_if_cut(pfn)
        dump = self._open
        if dump is None or dump.refcount is not None or dump.flags is not None:
            cut = dump if self._is_cut_by(pfn, found["pointer"]) else None
            self._open = None if cut else dump
            dump = self._start()
            self._cut = cut
        dump.old_count = found["old"] is None
        dump.pointer = found["pointer"]
        dump.refcount = int(found["count"])
        dump.mapcount = _number(rest.get("mapcount"), 10)
        dump.mapping, dump.index = rest.get("mapping", ""), rest.get("index", "")
        dump.pfn = dump.pfn if pfn is None else pfn
        order = _number(rest.get("order"), 10)
        if order is not None:
            dump.order, dump.head = order, rest.get("head", "")
        return True

    def _uninitialised(self, found: re.Match[str], _line: str) -> bool:
        self._start().uninitialised = True
        self._here().pointer = found["pointer"]
        self._here().pfn = None
        self._here().flags = None
        self._here().refcount = None
        self._here().raw = []
        return True

    def _flags(self, found: re.Match[str], line: str) -> bool:
        if self._open is None and (_VMA_NAMES.search(line) or "vma" in line):
            return False
        labelled = "flags:" in found[0]
        if not labelled and not (line[found.end() :].strip() == "" and _are_flags(found["names"])):
            return False
        if self._open is None and found["names"] is None and len(found["word"]) < 8:  # noqa: PLR2004 (a word)
            return False
        if self._open is not None and self._whose():
            return True
        if self._cut is not None and self._cut.refcount is not None and self._here().refcount is None:
            self._open, self._cut = self._cut, self._open
        dump = self._here()
        if dump.flags is not None:
            dump = self._start()
        self._put_flags(dump, found)
        dump.kind = found["kind"] if found["kind"] in {"anon", "ksm"} else ""
        return True

    def _put_flags(self, dump: Dump, found: re.Match[str]) -> None:
        digits = found["word"].removeprefix("0x")
        dump.flags, dump.flags_digits = int(digits, 16), len(digits)
        if found["names"] is not None:
            dump.names, dump.numbers = split_names(found["names"])
            last = dump.names[-1] if dump.names else ""
            unfinished = any(name.startswith(last) for name in flag_names()) and last not in flag_names()
            dump.names_cut = found["end"] is None or "..." in found["names"] or (bool(last) and unfinished)

    def _type(self, found: re.Match[str], _line: str) -> bool:
        if self._open is not None and self._whose():
            return True
        dump = self._here()
        if dump.page_type is not None:
            dump = self._start()
        word = int(found["word"], 16)
        dump.type_text = f"{found['word']}({found['names'] or ''})"
        dump.page_type = word << 24 if not found["word"].startswith("0x") and word <= 0xFF else word  # noqa: PLR2004 (a byte)
        printed = (found["names"] or "").replace(
            "(null)", "unknown"
        )  # what page_type_names[] has no name for
        dump.type_names = [name for name in printed.split("|") if name]
        return True

    def _head(self, found: re.Match[str], _line: str) -> bool:
        if self._open is not None and self._whose():
            return True
        dump = self._here()
        dump.head, dump.order = found["pointer"], int(found["order"])
        pins = _PINS.search(found["rest"])
        dump.pincount = int(pins[1]) if pins else None
        return True

    def _raw(self, found: re.Match[str], _line: str) -> bool:
        if self._open is not None and self._whose():
            return True
        dump = self._here()
        words = found["words"].split()
        into = dump.head_raw if found["which"] == "head" else dump.raw
        digits = len(words[0].removeprefix("0x"))
        if len(into) + len(words) > 16:  # noqa: PLR2004 (a struct page has 8 words, two for the head)
            dump = self._start()
            into = dump.raw
        into += [int(word, 16) for word in words]
        if into is dump.raw:
            dump.raw_digits = digits
        if found["which"] == "RAW":
            dump.source = "drgn"
        return True

    def _reason(self, found: re.Match[str], _line: str) -> bool:
        if self._whose():
            self._end()  # one of the two is over, and what is left of the other is not known
            return True
        dump = self._open or self._last
        if dump is None:
            return False
        dump.reason = dump.reason or found["reason"].strip()
        self._end()
        return True

    def _bad(self, found: re.Match[str], _line: str) -> bool:
        dump = self._open or self._last
        if dump is None or self._whose():
            return False
        dump.bad_flags = found["flags"]
        return True

    def _about(self, found: re.Match[str], _line: str) -> bool:
        dump = self._open or self._last
        if dump is None or self._whose():
            return False
        self._tell(dump, found[0])
        return True

    # ---- pages in other forms ----------------------------------------------------------------

    def _page_owner(self, found: re.Match[str], line: str) -> bool:
        dump = self._start("page_owner")
        dump.pfn = int(found["pfn"], 0)
        self._put_flags(dump, found)
        dump.said.append(line[found.start() : found.start("word")].strip())
        self._end()
        return True

    def _traced(self, found: re.Match[str], _line: str) -> bool:
        dump = self._start(TRACE_EVENT)
        dump.pfn, dump.refcount = int(found["pfn"], 0), int(found["count"])
        dump.mapcount = int(found["mapcount"])
        dump.names, dump.numbers = split_names(found["names"])
        self._end()
        return True

    def _member(self, found: re.Match[str], line: str) -> bool:
        word = int(found["word"], 0)
        if word < 1 << 32 and "{" not in line:
            return False
        dump = self._start(DEBUGGERS)
        dump.flags, dump.flags_digits = word, 16
        return True

    def _type_member(self, found: re.Match[str], _line: str) -> bool:
        dump = self._open
        if dump is None or dump.source != DEBUGGERS:
            return False
        dump.type_word = int(found["word"], 0)
        return True

    def _counter(self, _found: re.Match[str], line: str) -> bool:
        dump = self._open
        if dump is None or dump.source != DEBUGGERS:
            return False
        for each in _COUNTERS.finditer(line):
            if each["value"] is not None and self._counted == "_refcount":
                dump.refcount = int(each["value"])
            elif each["value"] is not None and self._counted and dump.type_word is None:
                dump.type_word = int(each["value"]) % (1 << 32)
            self._counted = each["name"] or ""
        return True

    def _failure(self, found: re.Match[str], line: str) -> bool:
        said = line[found.start() :]
        failure, soft, unpoison, _ = OF_FAILURES
        start = said.lower()
        source = soft if start.startswith(("soft", "get_any_page")) else failure
        self._about_pfn(int(found["pfn"], 16), said, unpoison if start.startswith("unpoison") else source)
        return True

    def _at_address(self, found: re.Match[str], line: str) -> bool:
        address = found["mce"] or found["apei"]
        pfn = int(address, 16) >> PAGE_SHIFT if address else int(found["edac"], 16)
        self._about_pfn(pfn, line[found.start() :], OF_FAILURES[-1])
        return True

    def _about_pfn(self, pfn: int, said: str, source: str) -> None:
        """Take a line that is about one pfn; several about the same one are of one page."""
        kind = _TYPE_OF_FAILURE.search(said)
        last = self._last if self._open is None else None
        if last is not None and last.pfn == pfn and (kind is None or last.flags is None):
            dump = last
            self._tell(dump, said)
        else:
            dump = self._start(source)
            dump.pfn = pfn
            dump.said.append(said)
        if kind is not None:
            self._put_flags(dump, kind)
        count = _COUNT_OF_FAILURE.search(said)
        if count is not None and dump.refcount is None:
            dump.refcount = int(count[1])
        if dump is not last:
            self._end()

    @staticmethod
    def _tell(dump: Dump, said: str) -> None:
        if said not in dump.said and len(dump.said) < MOST_SAID:
            dump.said.append(said)

    def _migrating(self, found: re.Match[str], line: str) -> bool:
        dump = self._start("do_migrate_range()")
        dump.pfn = int(found["pfn"], 16)
        dump.said.append(line[found.start() : found.end()])
        return True

    # ---- what is around ------------------------------------------------------------------------

    def _event(self, line: str) -> bool:
        event = event_in(line)
        if event is not None:
            self._note_event(event)
        return event is not None

    def _note_event(self, line: str) -> None:
        if len(self.found.events) < MOST_PAGES and line not in self.found.events:
            self.found.events.append(line)

    def _vmcoreinfo(self, found: re.Match[str], _line: str) -> bool:
        self.found.vmcoreinfo[found[1]] = int(found[2])
        return True

    def _note_caller(self, line: str) -> None:
        """Note whether the stack of a bad page is that of freeing or of allocating it."""
        at = line.find("bad_page")
        if at >= 0:
            self._bad_page_at, line = self._number, line[at + len("bad_page") :]
        dump = self._open or self._last
        if self._number - self._bad_page_at > _NEXT_FRAMES or dump is None or dump.caller:
            return
        if _ALLOCATES.search(line):
            dump.caller = "allocated"
        elif _FREES.search(line):
            dump.caller = "freed"

    def _note_context(self, line: str) -> bool:
        """Note what a line says about the kernel, for the page that is open or was the last."""
        release = _RELEASE.search(line) if "ainted" in line or "Linux version" in line else None
        host = _HOST.search(line) if "H" in line or "Xen" in line else None
        arch = architecture_of(line)
        if release is None and host is None and arch is None:
            return False
        near = self._last if self._last is not None and self._number - self._last.line < _FAR else None
        targets = [self._context, *([near.context] if near is not None and self._open is None else [])]
        for context in targets:
            if release is not None:
                context.release = release["boot"] or release["oops"]
                context.version = parse_version(context.release)
                context.bad_page_before |= _TAINT_B.search(line) is not None
            if host is not None:
                new = host["hardware"] or host["hypervisor"] or "Xen"
                context.host = f"{context.host}; {new}" if new not in context.host and context.host else new
            context.architecture = arch or context.architecture
        return release is not None or host is not None


def _are_flags(text: str | None) -> bool:
    """Return whether what stands in brackets behind an unlabelled number is what ``%pGp`` prints."""
    names, numbers = split_names(text or "")
    known = set(names[:-1]) <= flag_names()
    last = any(name.startswith(names[-1]) for name in flag_names()) if names else True
    return bool(names or numbers) and known and last


def split_names(text: str) -> tuple[list[str], dict[str, int]]:
    """Return the flag names and the numbers in what ``%pGp`` prints between its brackets.

    >>> split_names("reserved|node=0|zone=3|lastcpupid=0x1fffff")
    (['reserved'], {'node': 0, 'zone': 3, 'lastcpupid': 2097151})
    """
    names, numbers = [], {}
    for part in filter(None, re.split(r"[|,\s]+", text)):
        name, equals, number = part.partition("=")
        value = _number(number, 0) if equals else None
        if name in _NUMBERS and value is not None and 0 <= value < 1 << 64:
            numbers[name] = value
        elif not equals and name != "none":
            names.append(name)
    return names, numbers


def _number(text: str | None, base: int) -> int | None:
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None
