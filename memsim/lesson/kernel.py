"""The notebooks' kernel: IPython's, which names its Python 3 and no version of it.

JupyterLab stores what a kernel says of its language in each notebook that is opened. With a version in it,
opening a notebook would change it for every reader whose Python is not the author's: it would ask to be
saved, and then `git pull` would conflict. ``book/ipython_kernel_config.json`` makes this the kernel of an
environment; see the Makefile.
"""

from __future__ import annotations

from ipykernel.ipkernel import IPythonKernel


class Kernel(IPythonKernel):
    """IPython's kernel; the same on every Python 3, as far as a notebook stores it."""

    language_info = {**IPythonKernel.language_info, "version": "3"}  # noqa: RUF012 (as IPython has it)
