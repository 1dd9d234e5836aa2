"""A kernel log explained page by page: ``memsim explain FILE``, and ``memsim.explain(text)`` in a notebook.

What was printed about a page (``dump_page()`` and others, Linux 3.10 to 7.3) is read with the tables of the
version
and the layout that the printed numbers give; then checked against itself; then shown to each reader of struct
pages. Every sentence says whether the kernel printed it, whether it was read from a word, or concluded.

>>> print(explain("page_type: f1(offline)").pages[0].reading.types)
['offline']

The package itself can be called, because it has the name of its one function.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from memsim.explain.explanation import ExplainedPage, Explanation, explain

if TYPE_CHECKING:
    from typing import BinaryIO


class _CallableModule(ModuleType):
    def __call__(self, text: str | bytes | BinaryIO) -> Explanation:
        """Explain a text: see :func:`memsim.explain.explanation.explain`."""
        return explain(text)


sys.modules[__name__].__class__ = _CallableModule

__all__ = ["ExplainedPage", "Explanation", "explain"]
