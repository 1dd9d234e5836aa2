"""Two kernels that a script is run on side by side: what is the first thing that they may not differ in.

They are compared whenever a step is done, and accepted is what the specification names and nothing else:

* pages that look like rows M3, Y2, Y4, X1 and X6 of the state table, before the patch on one side and after
  it on the other, when the driver has them in its books as such;
* the stage at which offlining a block with such pages is refused. What remains
  after it differs too: which pages were migrated, and the types and free lists of isolated pageblocks. From
  then on the two are no longer in one state, and each is only judged by itself.
"""

import numpy as np

from memsim.linux.include.page_flags import PageFlag

from .driver_sides import N, Side, looks_like

NAMED = {"M3", "Y2", "Y4", "X1", "X6"}
"""The rows in which a page differs when nothing is in flight; the others of the patch are moments."""


class Pair:
    """Two kernels, and whether they are still in one state."""

    def __init__(self, scenario, patches, release, *, debug_vm=False):
        self.sides = [Side(scenario, patch, release, debug_vm=debug_vm) for patch in patches]
        self.steps = scenario.steps
        self.alike = True

    def disagreement(self):
        """Run the script; return (step, what is wrong after it), or None."""
        for number, step in enumerate(self.steps):
            if fault := self.after_step(number):
                return number, step, fault
        return None

    def after_step(self, number):
        """Do a step on both sides; return the first thing that is wrong, or None."""
        ends = [side.do(number) for side in self.sides]
        if "died" in ends:
            return f"ends with {ends[0]} and with {ends[1]}: {[side.run.died for side in self.sides]}"
        news = [side.news() for side in self.sides]
        if self.alike and (ends[0] != ends[1] or news[0] != news[1]):
            if not self.refused_at_another_stage(self.steps[number], ends):
                return f"ends with {ends[0]} and with {ends[1]}: {news[0]} and {news[1]}"
            if fault := differing(*[side.figures() for side in self.sides]):
                return fault
            self.alike = False
        if self.alike and (fault := self.difference()):
            return fault
        # Two that are alike are right or wrong together: to judge one of them is enough, and half as slow.
        judged = self.sides[1:] if self.alike else self.sides
        wrong = [(side.kernel.patch, side.wrong()) for side in judged]
        return next((f"{patch}: {faults[0]}" for patch, faults in wrong if faults), None)

    def refused_at_another_stage(self, step, ends):
        """Return whether both refuse to offline a block because of pages that only one has reserved.

        Before the patch it is at the isolation. After it the block is scanned, and where a page that cannot
        be moved is not found by that, tried again until the user loses patience.
        """
        if step["do"] != "offline" or ends[0] != "EBUSY" or ends[1] not in {"EBUSY", "EINTR"}:
            return False
        withheld = self.named_differences(NAMED - {"M3"})  # self-hosted vmemmap is not isolated
        return any((differ & named).any() for nr, differ, named in withheld if nr == step["block"])

    def difference(self):
        """Return the first thing in which two kernels in one state may not differ, or None."""
        for figures in ("figures", "placement"):
            if fault := differing(*[getattr(side, figures)() for side in self.sides]):
                return fault
        before, after = (set(side.sections()) for side in self.sides)
        if before != after:
            return f"online sections: {before} and {after}"
        for nr, differ, named in self.named_differences():
            if (unnamed := differ & ~named).any():
                return f"{unnamed.sum()} pages differ, first {nr * N + int(unnamed.argmax()):#x}"
        return None

    def named_differences(self, rows=NAMED):
        """Yield (section, which of its pages differ, which of those one of the rows names)."""
        sections = [side.sections() for side in self.sides]
        for nr, one in sections[0].items():
            old, new = one.pages, sections[1][nr].pages
            differ = (old.flags != new.flags) | (old.type != new.type)
            differ |= (old.refcount != new.refcount) | (old.order != new.order)
            if differ.any():
                yield nr, differ, self.named(nr, sections, rows)

    def named(self, nr, sections, named_rows):
        """Return the pages of a section that differ as a row says, and in nothing that the row leaves out."""
        books = [side.books(nr, found[nr]) for side, found in zip(self.sides, sections, strict=True)]
        named = np.zeros(N, bool)
        for rows in books[0]:
            for row in named_rows.intersection(rows):
                mask = books[0][rows] & books[1][rows]
                for side, found, version in zip(self.sides, sections, ("before", "after"), strict=True):
                    mask = mask & looks_like(side.kernel.memmap, found[nr].pages, row, version)
                named |= mask
        old, new = (found[nr].pages for found in sections)
        return (
            named & ((old.flags ^ new.flags) & ~np.uint32(PageFlag.RESERVED) == 0) & (old.order == new.order)
        )


def differing(one, other):
    """Return the first entry in which two dictionaries with the same keys differ, or None."""
    for name, value in one.items():
        if value != other[name]:
            return f"{name}: {value} and {other[name]}"
    return None


def disagreement(scenario, patches, release, *, debug_vm=False):
    """Run a scenario on two kernels; return (step's number, step, what is wrong after it), or None."""
    return Pair(scenario, patches, release, debug_vm=debug_vm).disagreement()
