"""The errors of memsim, in three kinds.

* :class:`KernelError`: the kernel refuses and returns an errno.
* :class:`KernelBug`: the kernel kills the machine (``VM_BUG_ON``); only with ``debug_vm``.
* :class:`MemsimError` and its other children: the *caller* asked for something that makes no
  sense (a file that breaks its format, a page that has no meaning).

Every message says what happened, where (pfn, block or file) and which rule was broken.
"""

from __future__ import annotations

from memsim.linux.include.errno import ERRNO


def errno_number(name: str) -> int:
    """Return the number of an errno name as Linux counts it; MemsimError for any other word.

    >>> errno_number("EBUSY")
    16
    >>> errno_number("EHWPOISON")
    133
    """
    if name not in ERRNO:
        msg = f"{name!r} is not the name of an errno"
        raise MemsimError(msg)
    return ERRNO[name]


class MemsimError(Exception):
    """Base class of everything that memsim raises on purpose."""


class KernelError(MemsimError):
    """The kernel refused an operation and returned ``-errno``.

    >>> print(KernelError("EBUSY", "offline_pages", "block 32: page 0x100000 is unmovable"))
    -EBUSY from offline_pages(): block 32: page 0x100000 is unmovable
    """

    def __init__(self, name: str, stage: str, message: str) -> None:
        """Keep ``name`` of the errno, the kernel function ``stage`` and the rule that was broken."""
        self.name = name
        self.errno = errno_number(name)
        self.stage = stage
        super().__init__(f"-{name} from {stage}(): {message}")


class KernelBug(MemsimError):
    """A check that stops the machine (``VM_BUG_ON_PAGE``) hit, or a lock is waited for in vain."""


class BadPage(MemsimError):
    """A pfn was read that has no meaningful ``struct page`` (no memmap, or section not online)."""


class BadScenario(MemsimError):
    """A scenario file breaks its format; names the step and the rule."""


class BadObservation(MemsimError):
    """An observation file breaks its format; names the place and the rule."""
