"""Proposals as a reviewer gets them: a message, a numbered diff, and the code itself, which can be run."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from memsim.devices import hv_balloon, virtio_mem, xen_balloon  # noqa: F401 (their drivers are to be found)
from memsim.errors import MemsimError
from memsim.fast import DRIVERS, register_shortcuts
from memsim.lesson.review import proposed, proposed_later
from memsim.patch import Patch
from memsim.source.hunks import decided
from memsim.source.listings import listings
from memsim.state.trace import FUNCTIONS, KERNEL_FILES, SHORTCUTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

_CONTEXT = 3
_ONE_AT_A_TIME = threading.RLock()
_SIGNS = {"-": ("del", "dashed"), "+": ("ins", "solid")}
_CODE = "margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px"
_LINE = "display: block; padding-left: 13ch; text-indent: -13ch; text-decoration: none"


@dataclass(frozen=True)
class Proposal:
    """A patch to one model.

    Attributes
    ----------
    subject, message
        What its author says of it.
    function
        The kernel function that it changes.
    device
        The kind of the device whose driver that is.
    code
        The module that has the function in its new form.
    """

    subject: str
    message: str
    function: str
    device: str
    code: ModuleType = proposed

    @property
    def file(self) -> str:
        """The kernel file of the function."""
        return KERNEL_FILES[self.function]

    def replacement(self) -> Callable[..., Any]:
        """Return the function that it puts in place of the model."""
        return getattr(self.code, self.function)  # type: ignore[no-any-return]

    def diff(self) -> list[str]:
        """Return the lines of the diff: a sign or a space, and the code.

        The model is shown as it reads on a kernel with the whole series, without its docstring.
        """
        (listing, *_) = listings(self.function)
        # What lies between two hunks is left out, with a line that says so.
        before = decided(listing, Patch("after"))
        after = _without_docstring(inspect.getsource(self.replacement()))
        _, _, _, *lines = difflib.unified_diff(before, after, n=_CONTEXT, lineterm="")
        return ["     ..." if line.startswith("@@") else line for line in lines]


PROPOSALS = {
    "hv-free-range": Proposal(
        "hv_balloon: count a range once when it is given back",
        "free_balloon_pages() adjusts two counters for each page. The pages of a range are contiguous and in "
        "one zone, so adjust them once for the range. That saves 511 calls for a range of 2 MiB.",
        "free_balloon_pages",
        "hv-balloon",
    ),
    "virtio-count-first": Proposal(
        "virtio-mem: stop counting pages as managed before they are taken",
        "virtio_mem_fake_offline() takes pages from the buddy and adjusts managed_pages afterwards. In "
        "between, pages that cannot be allocated are counted as managed. Adjust the counter first.",
        "virtio_mem_fake_offline",
        "virtio-mem",
    ),
    "xen-born-offline": Proposal(
        "xen/balloon: pages are Offline already",
        "Since the memmap of hotplugged memory is initialised with PageOffline(), balloon_append() finds the "
        "type set on every page that comes online, and only checks it. Drop the check and the dead branch.",
        "balloon_append",
        "xen-balloon",
    ),
    "hv-born-offline": Proposal(
        "hv_balloon: pages that are not backed are Offline already",
        "Since the memmap of hotplugged memory is initialised with PageOffline(), hv_page_online_one() finds "
        "the type set on every page that the host does not back. Drop the dead branch.",
        "hv_page_online_one",
        "hv-balloon",
    ),
    "hv-whole-chunks": Proposal(
        "hv_balloon: online backed chunks as a whole",
        "hv_online_page() onlines the pages of a chunk one by one, and the buddy merges them again. Most "
        "chunks are backed from their first page to their last: give those to generic_online_page() at once.",
        "hv_online_page",
        "hv-balloon",
    ),
    "hv-whole-chunks-v2": Proposal(
        "hv_balloon: online backed chunks as a whole (v2)",
        "hv_online_page() onlines the pages of a chunk one by one, and the buddy merges them again. Give a "
        "chunk whose pages are all backed to generic_online_page() at once. v2: gaps count.",
        "hv_online_page",
        "hv-balloon",
        proposed_later,
    ),
    "virtio-count-first-v2": Proposal(
        "virtio-mem: stop counting pages as managed before they are taken (v2)",
        "virtio_mem_fake_offline() takes pages from the buddy and adjusts managed_pages afterwards. Adjust "
        "the counter first. v2: put it back when the pages cannot be taken.",
        "virtio_mem_fake_offline",
        "virtio-mem",
        proposed_later,
    ),
    "virtio-cancel": Proposal(
        "virtio-mem: take no references when offlining is cancelled",
        "While a block is online no code reads the refcount of its Offline pages. The driver drops its "
        "references when the block is about to go offline; there is no need to take them back if it stays.",
        "virtio_mem_fake_offline_cancel_offline",
        "virtio-mem",
        proposed_later,
    ),
    "xen-retrieve": Proposal(
        "xen/balloon: leave cleaning to free_reserved_page()",
        "Pages that leave the balloon go to free_reserved_page(), which takes off the mark that kept them "
        "from the buddy, counts them and frees them. balloon_retrieve() need not clean them as well.",
        "balloon_retrieve",
        "xen-balloon",
        proposed_later,
    ),
}
"""By name: five for the chapter, and four for the assignment. All are on top of the series."""


def _without_docstring(source: str) -> list[str]:
    """Return the lines of a function, without its docstring."""
    lines = source.splitlines()
    start = ast.parse(source).body[0].body[0]  # type: ignore[attr-defined]
    del lines[start.lineno - 1 : start.end_lineno]
    return lines


def proposal_named(name: str) -> Proposal:
    """Return a proposal; MemsimError for any other name."""
    if name not in PROPOSALS:
        msg = f"there is no proposal {name!r}; there are {', '.join(PROPOSALS)}"
        raise MemsimError(msg)
    return PROPOSALS[name]


# ---- running it ------------------------------------------------------------------------------------


@contextmanager
def applied(name: str | None) -> Iterator[None]:
    """Run a block of code with a proposal in place of the model; None: with the models as they are.

    Every module that has the function gets the other one. No shortcut of a driver is taken meanwhile.
    Machines made here must not be used behind the block. Another thread that wants to apply a proposal waits;
    whatever else it does with models meets the proposal.

    >>> from memsim import Machine
    >>> with applied("hv-free-range"):
    ...     balloon = Machine(devices=[{"kind": "hv-balloon", "name": "hv0"}]).devices["hv0"]
    ...     balloon.inflate(4), balloon.deflate(), balloon.kernel.bad_pages
    (4, 4, 4)
    """
    with _ONE_AT_A_TIME:
        yield from _applied(name)


def _applied(name: str | None) -> Iterator[None]:
    register_shortcuts(DRIVERS)  # an import registers once: all must be there before they are put aside
    drivers = {key: each for key, each in SHORTCUTS.items() if each.function.__module__ in DRIVERS.values()}
    changed = list[tuple[Any, str, Any]]()
    if name is not None:
        proposal = proposal_named(name)
        changed = list(_places(proposal.function))
        replacement = _traced(proposal.function, proposal.replacement())
    for key in drivers:
        del SHORTCUTS[key]
    try:
        for module, attribute, _ in changed:
            setattr(module, attribute, replacement)
        yield
    finally:
        for module, attribute, original in changed:
            setattr(module, attribute, original)
        SHORTCUTS.update(drivers)


def _places(function: str) -> Iterator[tuple[Any, str, Any]]:
    """Yield (module, name, model) of every module that has the model of a kernel function."""
    model = FUNCTIONS[function]
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("memsim."):
            for attribute, value in list(vars(module).items()):
                if getattr(value, "__wrapped__", None) is model:
                    yield module, attribute, value


def _traced(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that reports its entry and return to a trace, as models do."""

    @functools.wraps(function)
    def call(first: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (any model)
        if first.trace is None:
            return function(first, *args, **kwargs)
        first.trace.enter(name, args)
        try:
            return function(first, *args, **kwargs)
        finally:
            first.trace.leave(name)

    return call


# ---- showing it ------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class ShownProposal:
    """A proposal to look at: HTML in a notebook, a mail as text."""

    name: str
    proposal: Proposal

    def __repr__(self) -> str:
        """Return the mail, its diff with numbered lines."""
        shown = self.proposal
        lines = [f"{at:3} {line}" for at, line in enumerate(shown.diff(), start=1)]
        head = [f"[PATCH] {shown.subject}", "", shown.message, "", f"{shown.file}, {shown.function}()"]
        return "\n".join([*head, *lines])

    def _repr_html_(self) -> str:
        """Return the mail with changed lines as ``<ins>`` and ``<del>``."""
        shown = self.proposal
        rows = "".join(_row(at, line) for at, line in enumerate(shown.diff(), start=1))
        return (
            f"<p><b>[PATCH] {escape(shown.subject)}</b></p><p>{escape(shown.message)}</p>"
            f'<figure style="margin: 4px 0"><figcaption><code>{shown.function}()</code> in {shown.file}; '
            f"proposal <code>{self.name}</code></figcaption>"
            f'<pre tabindex="0" style="{_CODE}">{rows}</pre></figure>'
        )


def _row(at: int, line: str) -> str:
    text = escape(f"{at:3} {line}")
    if line[:1] not in _SIGNS:
        return f'<span style="{_LINE}">{text}</span>'
    tag, border = _SIGNS[line[0]]
    changed = f"{_LINE}; font-weight: bold; border-left: 3px {border} currentcolor"
    return f'<{tag} style="{changed}">{text}</{tag}>'


def show_proposal(name: str) -> ShownProposal:
    """Show a proposal with its lines numbered.

    Raises
    ------
    MemsimError
        There is none of this name.
    """
    return ShownProposal(name, proposal_named(name))
