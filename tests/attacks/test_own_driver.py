"""Attacks on exercises that give the student's notebook the simulator: it plays, and says what it has seen.

What a driver has called is called again where no code of the student's is, and looked at there. Without that
each of these is paid.
"""

from pathlib import Path

import pytest

from memsim.grading.assignment.assignment import Assignment
from memsim.grading.assignment.course import code_of, load, solution_copy, source_of
from memsim.grading.run.judge import Examiner
from memsim.grading.sandbox.worker import Submitted

GRADING = Path(__file__).parents[2] / "exercises" / "grading" / "write_a_driver.py"
TEXT = GRADING.read_text(encoding="utf-8")
RULES = (
    TEXT[TEXT.index("BLOCK, EACH") : TEXT.index("PLAYING =")]
    + TEXT[TEXT.index("class Seen") : TEXT.index("def play(")]
)
AGAIN = 'drive(replayed(told.get("calls")), script).report()'
STAGES = ("stage_online", "stage_notifier", "stage_plug", "stage_unload")
NO_DRIVER = """
def report(script):
    expected, seen = Seen(), []
    for step in script:
        errno, returned, managed, blocks = expected.step(*step)
        seen.append(dict(errno=errno, returned=returned, managed=managed, free=managed, blocks=blocks))
    return {"seen": seen, "wrong": [], "calls": [["enter", "load"], ["leave", None, "0"]] * len(seen)}
"""
NO_CALLBACK_LEFT = """
from memsim.lesson.own_driver import harness
asked = harness._STEPS["other driver"]
harness._STEPS["other driver"] = lambda drive: None if drive.gone else asked(drive)
"""
WRONG = {wrong.misconception: wrong.source for q in Assignment.load(GRADING).questions for wrong in q.wrong}
FORGED = {
    "own-252-a-report-without-a-driver": (
        [RULES, NO_DRIVER, *(f"def {name}(script):\n    return report(script)" for name in STAGES)],
        "stage_notifier",
    ),
    "own-253-a-harness-of-ones-own": (
        [
            *code_of(solution_copy(load(source_of(GRADING)))),
            WRONG["the_callback_goes_with_the_module"],
            NO_CALLBACK_LEFT,
        ],
        "stage_unload",
    ),
}


def score(fence, text, cells, name):
    """Return the points of a question, and what it has."""
    whole = Assignment.parse(text)
    assignment = Assignment(whole.name, whole.chapter, [q for q in whole.questions if q.name == name])
    (result,) = Examiner(assignment, fence, "a key").examine(Submitted("mallory", cells))
    return result.score, result.max_score


@pytest.mark.parametrize("name", FORGED)
def test_what_a_notebook_says_of_its_driver_is_looked_at_again(name, fence):
    cells, question = FORGED[name]
    assert AGAIN in TEXT
    got, most = score(fence, TEXT.replace(AGAIN, "told"), cells, question)
    assert got == most  # where it is believed

    got, most = score(fence, TEXT, cells, question)
    assert got < most
