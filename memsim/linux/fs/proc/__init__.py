"""``fs/proc/``, and the files of /proc that the model has, wherever the kernel makes their text.

Each is a function of a kernel. kpageflags and kpagecount are made in ``fs/proc/page.c``; zoneinfo, buddyinfo
and pagetypeinfo in ``mm/vmstat.c``; iomem in ``kernel/resource.c``.
"""

from memsim.linux.fs.proc.page import get_max_dump_pfn, kpagecount, kpageflags
from memsim.linux.kernel.resource import iomem
from memsim.linux.mm.vmstat import buddyinfo, pagetypeinfo, zoneinfo

__all__ = ["buddyinfo", "get_max_dump_pfn", "iomem", "kpagecount", "kpageflags", "pagetypeinfo", "zoneinfo"]
