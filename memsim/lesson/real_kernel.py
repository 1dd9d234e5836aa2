"""How to see a state on a real machine: the command, and what a recorded kernel showed."""

from __future__ import annotations

from dataclasses import dataclass

from memsim.lesson.markup import box, paragraph, preformatted

_LEAD = "On a real kernel:"
_RECORDED = "A recorded kernel showed:"


@dataclass(frozen=True, repr=False)
class OnARealKernel:
    """A box with a command for a real machine; made by :func:`on_a_real_kernel`."""

    text: str
    command: str
    recorded: str | None = None

    def __repr__(self) -> str:
        """Return the text form."""
        lines = [f"{_LEAD} {self.text}", *_indent(self.command)]
        if self.recorded is not None:
            lines += [_RECORDED, *_indent(self.recorded)]
        return "\n".join(lines)

    def html(self) -> str:
        """Return the HTML form."""
        parts = [paragraph(self.text, _LEAD), preformatted(self.command)]
        if self.recorded is not None:
            parts += [paragraph("", _RECORDED), preformatted(self.recorded)]
        return box("memsim-real-kernel", *parts)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


def on_a_real_kernel(text: str, command: str, recorded: str | None = None) -> OnARealKernel:
    """Return a box that takes the reader from the simulator to a real machine.

    >>> on_a_real_kernel("Which blocks are online?", "grep . /sys/devices/system/memory/memory*/state")
    On a real kernel: Which blocks are online?
      grep . /sys/devices/system/memory/memory*/state

    Parameters
    ----------
    text
        What the command shows, and what it needs (root, drgn).
    command
        The line to type: /proc, sysfs or drgn.
    recorded
        What a recorded kernel showed, as it was printed.
    """
    return OnARealKernel(text, command, recorded)


def _indent(text: str) -> list[str]:
    return [f"  {line}".rstrip() for line in text.splitlines()]
