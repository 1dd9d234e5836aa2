"""What the kernel prints of a page: ``dump_page()``, ``mm/debug.c``.

Left out: the mapping and the index of a page, its owner (page_owner), and the addresses in its list heads,
which are printed as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.linux.include.page_flags import ALL_FLAGS, ZONE_SHIFT, PageFlag, flags_word

if TYPE_CHECKING:
    from memsim.state.kernel import Kernel

LAST_CPUPID = 0x1FFFFF
"""A page that no process has used; the field lies below the zone in ``page->flags``."""
_LAST_CPUPID_SHIFT = 30


def dump_page(kernel: Kernel, pfn: int, reason: str) -> None:
    """Print a page and why it is printed, in the form of the kernel's release."""
    page, printk = kernel.memmap.raw(pfn), kernel.state.printk
    head = f"refcount:{page.refcount} mapcount:0 mapping:{0:016x} index:0x0 pfn:{pfn:#x}"
    # 6.1 prints a hashed address behind the colon; 6.11 does without.
    printk(f"page:{0:016x} {head}" if kernel.release.name == "6.1" else f"page: {head}")
    printk(f"flags: {flags_in_words(kernel, pfn)}")
    if page.types and kernel.release.name != "6.1":
        word, kind = type_word(kernel, pfn), "+".join(sorted(each.value for each in page.types))
        printk(f"page_type: {word >> 24 if not kernel.memmap.encoding.inverted else word:x}({kind})")
    words = raw_words(kernel, pfn)
    printk(f"raw: {words[:4]}".translate(_PLAIN))
    printk(f"raw: {words[4:]}".translate(_PLAIN))
    printk(f"page dumped because: {reason}")


_PLAIN = str.maketrans("", "", "[]',")


def type_word(kernel: Kernel, pfn: int) -> int:
    """Return the 32-bit ``page_type`` of a page."""
    return kernel.memmap.encoding.page_type(kernel.memmap.stored_type(pfn))


def whole_flags(kernel: Kernel, pfn: int) -> int:
    """Return the 64-bit ``page->flags`` with the field LAST_CPUPID."""
    return flags_word(kernel.memmap.flags(pfn), kernel.release.name) | LAST_CPUPID << _LAST_CPUPID_SHIFT


def flags_in_words(kernel: Kernel, pfn: int) -> str:
    """Return ``page->flags`` as ``%pGp`` prints it."""
    flags = kernel.memmap.flags(pfn)
    names = [each.name.lower() for each in PageFlag(flags & ALL_FLAGS) if each.name]
    shown = f"|node=0|zone={flags >> ZONE_SHIFT}|lastcpupid={LAST_CPUPID:#x}"
    return f"{whole_flags(kernel, pfn):#x}({'|'.join(names)}{shown if names else shown[1:]})"


def raw_words(kernel: Kernel, pfn: int) -> list[str]:
    """Return the eight words of a struct page, as ``print_hex_dump()`` prints them."""
    page = kernel.memmap.raw(pfn)
    counts = (page.refcount & 0xFFFFFFFF) << 32 | type_word(kernel, pfn)
    words = (whole_flags(kernel, pfn), 0, 0, 0, 0, page.order, counts, 0)
    return [f"{word:016x}" for word in words]
