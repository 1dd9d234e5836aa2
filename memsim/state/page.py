"""One ``struct page``, decoded, and the kernel's functions for it.

:meth:`Machine.page() <memsim.Machine.page>` returns a :class:`Page`. The functions have the kernel's names,
as in drgn: ``PageReserved(page)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memsim.errors import MemsimError
from memsim.linux.include.mmzone import ZONE_NAMES, MigrateType
from memsim.linux.include.page_flags import PageFlag, PageType

if TYPE_CHECKING:
    from memsim.linux.include.mmzone import ZoneType

_RESERVED = int(PageFlag.RESERVED)
_FLAG_NAMES = {flag.name.lower(): flag for flag in PageFlag if flag.name}


class Page(NamedTuple):
    """One ``struct page``, decoded; ``managed`` and ``present`` are ghost state."""

    pfn: int
    zone: ZoneType
    flags: PageFlag
    types: frozenset[PageType]
    refcount: int
    order: int
    migratetype: int
    managed: bool
    present: bool

    def __repr__(self) -> str:
        """Show the pfn in hexadecimal, and names for numbers, as in a dump."""
        flags = "|".join(name for name, flag in _FLAG_NAMES.items() if self.flags & flag) or "none"
        types = "|".join(sorted(kind.value for kind in self.types)) or "none"
        return (
            f"Page(pfn={self.pfn:#x}, zone={ZONE_NAMES[self.zone]}, flags={flags}, type={types}, "
            f"refcount={self.refcount}, order={self.order}, "
            f"migratetype={MigrateType(self.migratetype).name.lower()}, "
            f"managed={self.managed}, present={self.present})"
        )

    @property
    def reserved(self) -> bool:
        """``PageReserved()``."""
        return bool(int(self.flags) & _RESERVED)

    @property
    def offline(self) -> bool:
        """``PageOffline()``."""
        return PageType.OFFLINE in self.types

    @property
    def buddy(self) -> bool:
        """``PageBuddy()``: head of a free block."""
        return PageType.BUDDY in self.types


def checked(page: object) -> Page:
    """Return the page.

    Raises
    ------
    MemsimError
        It is something else, such as a pfn.
    """
    if not isinstance(page, Page):
        message = f"{page!r} is not a page: Machine.page(pfn) returns one"
        raise MemsimError(message)
    return page


def PageReserved(page: Page) -> bool:
    """Return whether PG_reserved is set (``include/linux/page-flags.h``).

    >>> from memsim import Machine, PageReserved
    >>> machine = Machine(reserved=[(0x100, 0x200)])
    >>> PageReserved(machine.page(0x100)), PageReserved(machine.page(0x300))
    (True, False)
    """
    return checked(page).reserved


def PageOffline(page: Page) -> bool:
    """Return whether the page has the type Offline (``include/linux/page-flags.h``).

    >>> from memsim import Machine, PageOffline
    >>> machine = Machine(devices=[{"kind": "hv-balloon", "name": "hv0"}])
    >>> machine.devices["hv0"].inflate(512)
    512
    >>> start_pfn, nr_pages = machine.devices["hv0"].held[0]
    >>> PageOffline(machine.page(start_pfn))
    True
    """
    return checked(page).offline


def PageBuddy(page: Page) -> bool:
    """Return whether the page is the head of a free block (``include/linux/page-flags.h``).

    >>> from memsim import Machine, PageBuddy
    >>> machine = Machine()
    >>> [pfn] = machine.allocate(1)
    >>> PageBuddy(machine.page(pfn))
    False
    >>> machine.free([pfn])
    >>> PageBuddy(machine.page(pfn & ~0x3FF))
    True
    """
    return checked(page).buddy


def PageHWPoison(page: Page) -> bool:
    """Return whether PG_hwpoison is set (``include/linux/page-flags.h``).

    >>> from memsim import Machine, PageHWPoison
    >>> PageHWPoison(Machine().page(0x300))
    False
    """
    return bool(checked(page).flags & PageFlag.HWPOISON)


def page_ref_count(page: Page) -> int:
    """Return the reference count of the page itself (``include/linux/page_ref.h``).

    >>> from memsim import Machine, page_ref_count
    >>> machine = Machine()
    >>> [pfn] = machine.allocate(1)
    >>> page_ref_count(machine.page(pfn))
    1
    """
    return checked(page).refcount


def page_to_pfn(page: Page) -> int:
    """Return the page frame number (``include/asm-generic/memory_model.h``).

    >>> from memsim import Machine, page_to_pfn
    >>> hex(page_to_pfn(Machine().page(0x300)))
    '0x300'
    """
    return checked(page).pfn
