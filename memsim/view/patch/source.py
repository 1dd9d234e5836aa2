"""``show_source()``: the model of a kernel function, and the function itself where the reader has it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches, unified_diff
from html import escape
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.state.trace import FUNCTIONS, KERNEL_FILES
from memsim.view.model.hunks import import_models
from memsim.view.model.source import Listing, listings
from memsim.view.patch.linux_tree import VARIABLE, function_in, tree_of, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_TREE = (
    "To see the kernel's own function here, name a kernel tree: --linux DIR, or the environment variable "
    f"{VARIABLE}."
)
_CODE = "margin: 0 0 8px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px"


@dataclass(frozen=True, repr=False)
class ShownSource:
    """A model with its helpers, and the kernel's function by version, oldest first."""

    function: str
    kernel_file: str
    listings: tuple[Listing, ...]
    kernel: dict[str, str]
    note: str

    def parts(self) -> Iterator[tuple[str, str]]:
        """Yield (title, code) of everything that is shown: models, versions, and how two versions differ."""
        for listing in self.listings:
            yield f"model, {listing.file}: {listing.name}()", "\n".join(listing.lines)
        for version, text in self.kernel.items():
            yield f"kernel {version}, {self.kernel_file}: {self.function}()", text
        if len(self.kernel) > 1:
            (old, before), *_, (new, after) = self.kernel.items()
            changes = unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm="", n=2)
            yield f"what changed from {old} to {new}", "\n".join(changes) or "nothing"

    def __repr__(self) -> str:
        """Return the text form."""
        shown = [f"{title}\n\n{_indented(code)}\n" for title, code in self.parts()]
        return "\n".join([*shown, self.note] if self.note else shown)

    def _repr_html_(self) -> str:
        """Return the same with each code in a box."""
        shown = [
            f'<figure style="margin: 4px 0"><figcaption>{escape(title)}</figcaption>'
            f'<pre tabindex="0" style="{_CODE}">{escape(code)}</pre></figure>'
            for title, code in self.parts()
        ]
        return "".join([*shown, f"<p>{escape(self.note)}</p>"] if self.note else shown)


def show_source(function: str, linux: str | Path | None = None) -> ShownSource:
    """Show the model of a kernel function, and the function itself where there is a kernel tree.

    ``linux`` names the tree: a git checkout, whose tags v6.10 and v6.11 show the function before and after
    the patch; an unpacked source package; or an archive of one. The default is the variable MEMSIM_LINUX.

    Raises
    ------
    MemsimError
        The function has no model; or ``linux`` is no source of a kernel.
    """
    import_models()
    name = function.removesuffix("()")
    if name not in FUNCTIONS:
        near = ", ".join(get_close_matches(name, FUNCTIONS, 3)) or "none"
        msg = f"{name}() has no model in memsim; similar names that have one: {near}"
        raise MemsimError(msg)
    file, tree = KERNEL_FILES[name], tree_of(linux)
    if tree is None:
        return ShownSource(name, file, listings(name), {}, NO_TREE)
    found = {version: function_in(text, name) for version, text in versions_of(tree, file).items()}
    kernel = {version: text for version, text in found.items() if text is not None}
    note = "" if kernel else f"{tree} does not define {name}() in {file}."
    return ShownSource(name, file, listings(name), kernel, note)


def _indented(code: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in code.splitlines())
