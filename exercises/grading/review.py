"""Grading of `review`, the exercises to chapter 17: review the next patch.

The model solutions stand in exercises/source/review/review.ipynb. Which line is wrong is known here and nowhere else in the
project; that it is wrong, and that the right patch is right, is what tests/unit/test_review.py finds by running them. A
script is judged by playing it, with the patch and without.
"""

from functools import cache

from memsim.errors import MemsimError
from memsim.grading import Assignment, Limits, Question, Wrong
from memsim.lesson.review import play

RIGHT = "hv-whole-chunks-v2"
WHICH = "def {name}(patch):\n    return {{{body}}}[patch]\n"

# ---- wrong_line ------------------------------------------------------------------------------------

# In virtio-count-first-v2 two exits do not put the counter back: EAGAIN, in lines 6 to 8 (the raise is left out), and ENOMEM, in 9.
LINES = {RIGHT: {0}, "virtio-count-first-v2": {4, 6, 7, 8, 9}, "virtio-cancel": {2}, "xen-retrieve": {3}}
HINTS = {
    RIGHT: "backed_pages() counts over gaps. A chunk that it calls backed is backed.",
    "virtio-count-first-v2": "Every way out of virtio_mem_fake_offline() must leave the counter right.",
    "virtio-cancel": "virtio_mem_fake_offline_going_offline() drops a reference each time. Who takes it before the next time?",
    "xen-retrieve": "free_reserved_page() takes off PG_reserved. The balloon's mark is another one.",
}


def judged_line(patch):
    """Ask for the line of a patch."""
    told = yield [patch]
    return None if told in LINES[patch] else f"Wrong for {patch}. {HINTS[patch]}"


def the_right_one(rng, mine):
    """The patch that is right."""
    return (yield from judged_line(RIGHT))


def a_way_out(rng, mine):
    """A counter that moves too early."""
    return (yield from judged_line("virtio-count-first-v2"))


def a_reference(rng, mine):
    """A reference that is not taken back."""
    return (yield from judged_line("virtio-cancel"))


def a_mark(rng, mine):
    """A mark that is not taken off."""
    return (yield from judged_line("xen-retrieve"))


def lines_of(right, count, cancel, retrieve):
    """Return a solution with these lines."""
    pairs = zip(LINES, (right, count, cancel, retrieve), strict=True)
    return WHICH.format(
        name="wrong_line",
        body=", ".join(f"{name!r}: {line}" for name, line in pairs) + ", 'hv-free-range': 3",
    )


wrong_line = Question(
    "wrong_line",
    difficulty=4,
    pattern="bug hunt",
    section="Explain",
    returns=int,
    memsim=True,  # the cells that show the patches run in each process that answers
    limits=Limits(10, 100),
    different=3,
    tests={the_right_one: 2, a_way_out: 2, a_reference: 1, a_mark: 1},
    wrong=[
        Wrong("a_second_version_is_right", lines_of(0, 0, 2, 3), score=4, message="Every way out"),
        Wrong("what_comes_must_be_wrong", lines_of(4, 14, 3, 5), score=0, message="counts over gaps"),
        Wrong("nothing_is_printed_so_all_is_well", lines_of(0, 0, 0, 0), score=0, message="Who takes it"),
    ],
)

# ---- story -----------------------------------------------------------------------------------------


@cache
def found(patch, script, *, apply):
    """Return whether something is wrong after a script, or None if it is no script."""
    try:
        return bool(play(patch, list(script), apply=apply).faults)
    except MemsimError:
        return None


MOST_STEPS = 8


def verdict(patch, script):
    """Return why a script is no answer, or None."""
    if patch == RIGHT:
        return "This patch changes nothing that a story could show." if script else None
    whole = tuple(script)
    if len(whole) > MOST_STEPS:
        return f"{len(whole)} steps are more than any of these needs."
    shown = found(patch, whole, apply=True)
    if shown is None:
        return "There is no such step for this device."
    if not shown:
        return f"{patch} does harm, and nothing is wrong after this script. {HINTS[patch]}"
    return not_minimal(patch, whole)


def shows(patch, script):
    """Return whether something is wrong after a script with the patch, and nothing without it."""
    return found(patch, script, apply=True) and not found(patch, script, apply=False)


def not_minimal(patch, whole):
    """Return what is wrong with a script after which something is wrong, or None."""
    if found(patch, whole, apply=False):
        return "Something is wrong after this script without the patch, too."
    shorter = [whole[:at] + whole[at + 1 :] for at in range(len(whole))]
    if any(shows(patch, script) for script in shorter):
        return f"The script for {patch} is not shrunk: one of its steps can be left out."
    return None


def judged_story(patches):
    """Ask for the scripts of some patches."""
    for patch in patches:
        script = yield [patch]
        wrong = verdict(patch, script)
        if wrong:
            return wrong
    return None


def quiet_ones(rng, mine):
    """A patch that is right has no story."""
    return (yield from judged_story([RIGHT]))


def short_story(rng, mine):
    """The balloon of Xen: two steps are enough."""
    return (yield from judged_story(["xen-retrieve"]))


def failing_offline(rng, mine):
    """virtio-mem: offlining has to fail."""
    return (yield from judged_story(["virtio-cancel"]))


def no_memory(rng, mine):
    """virtio-mem: taking pages has to fail, and not with EBUSY."""
    return (yield from judged_story(["virtio-count-first-v2"]))


def scripts(**chosen):
    """Return a solution that differs from the right one in some scripts."""
    known = {
        RIGHT: [],
        "virtio-count-first-v2": [0, 2, 7, 5],
        "virtio-cancel": [0, 2, 3, 6, 6],
        "xen-retrieve": [3, 4],
        "hv-free-range": [4, 5],
    }
    known |= {name.replace("_", "-"): script for name, script in chosen.items()}
    return WHICH.format(name="story", body=", ".join(f"{name!r}: {script}" for name, script in known.items()))


story = Question(
    "story",
    difficulty=5,
    pattern="design",
    section="Run",
    returns=list[int],
    memsim=True,
    limits=Limits(60, 600),
    different=3,
    tests={quiet_ones: 1, short_story: 2, failing_offline: 2, no_memory: 3},
    wrong=[
        Wrong(
            "one_failure_is_enough",
            scripts(virtio_cancel=[0, 2, 3, 6]),
            score=6,
            message="Who takes it before the next time",
        ),
        Wrong(
            "a_pinned_page_is_the_way_out_that_was_forgotten",
            scripts(virtio_count_first_v2=[0, 2, 3, 5]),
            score=5,
            message="Every way out",
        ),
        Wrong(
            "more_steps_are_a_better_story",
            scripts(xen_retrieve=[0, 1, 2, 3, 4]),
            score=6,
            message="not shrunk",
        ),
        Wrong(
            "a_doubt_is_a_story",
            scripts(hv_whole_chunks_v2=[0, 2, 3]),
            score=7,
            message="changes nothing that a story could show",
        ),
    ],
)

ASSIGNMENT = Assignment("review", chapter=17, questions=[wrong_line, story])
