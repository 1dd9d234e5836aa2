"""``reference.c``, compiled on the spot."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).with_name("reference.c")
STRUCT_PAGE = 64


class CReference:
    """The C reference, or what there is without a compiler: ``there`` is False."""

    def __init__(self) -> None:
        """Compile."""
        self.compiler = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
        self.there = self.compiler is not None
        if not self.there:
            return
        self._folder = tempfile.TemporaryDirectory()
        library = Path(self._folder.name) / "reference.so"
        command = [self.compiler, "-O2", "-march=native", "-shared", "-fPIC", str(SOURCE), "-o", str(library)]
        subprocess.run(command, check=True)  # noqa: S603 (our own source)
        self._c = ctypes.CDLL(str(library))
        self._c.buddy_alloc.restype = ctypes.c_uint64

    def memory(self, nr_pages: int) -> np.ndarray:
        """Return room for so many struct pages, touched once."""
        return np.ones(nr_pages * STRUCT_PAGE, np.uint8)

    def init_pages(self, memory: np.ndarray) -> None:
        """Initialise struct pages."""
        pages = memory.nbytes // STRUCT_PAGE
        self._c.init_pages(pointer(memory), ctypes.c_uint64(pages), ctypes.c_uint64(2 << 51))

    def buddy(self, memory: np.ndarray) -> None:
        """Start a buddy allocator in which all is free."""
        self._c.buddy_init(pointer(memory), ctypes.c_uint64(memory.nbytes // STRUCT_PAGE))

    def alloc_many(self, pfns: np.ndarray) -> None:
        """Fill an array (uint64) with single pages."""
        self._c.buddy_alloc_many(pointer(pfns), ctypes.c_uint64(len(pfns)))

    def script(self, steps: list[tuple[int, int]], pfns: np.ndarray, got: int) -> None:
        """Run a script of :mod:`benchmarks.workloads`."""
        orders = np.array([order for order, _ in steps], np.int32)
        which = np.array([number for _, number in steps], np.int64)
        count = ctypes.c_uint64(len(steps))
        self._c.buddy_script(pointer(orders), pointer(which), count, pointer(pfns), ctypes.c_uint64(got))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    """Return the address of an array."""
    return ctypes.c_void_p(array.ctypes.data)
