"""Attacks on the score itself: the answer is wrong, and the submission tries to be paid for it.

Each is shown to work on a grader that runs its tests in the student's process.
"""

import pytest

from memsim.grading.report import feedback
from memsim.grading.run.judge import Examiner
from memsim.grading.sandbox.fences import NONE
from memsim.grading.sandbox.worker import Submitted
from tests.tiers import breadth

from .stage import ASSIGNMENT, FULL, HONEST, SOLVED, attacks, examine, naive_score

ATTACKS = attacks("forging")
WRONG = "def double(number):\n    return 0\n"
PAYLOAD = """
import os
class Payload:
    run_test = lambda *args: None
    def __reduce__(self):
        return os.system, (f"echo > {MARK}",)
results = Payload()
def double(number):
    return Payload()
"""
WARNING = """
import sys, warnings
def double(number):
    warnings.warn("deprecated")
    print("RuntimeWarning: Error", file=sys.stderr)
    return 2 * number
"""
PARTLY_RIGHT = {"row-33-the-model-is-patched-until-it-agrees"}
"""Three is answered by a table: that test is rightly passed."""
BREAKS_ITS_OWN_ANSWERS = {"own-05-json-is-patched"}
"""Whoever breaks the channel of the own process cannot answer through it."""


def cells_of(name, scene):
    return [f"SOLUTION = {str(scene.folder / 'solution.py')!r}", *HONEST, *ATTACKS[name].split("\n# %%\n")]


@pytest.mark.parametrize("name", ATTACKS)
def test_it_gets_what_the_answer_deserves(name, fence, scene):
    scores, _ = examine(fence, cells_of(name, scene))

    assert scores["double"] == (1 if name in PARTLY_RIGHT else 0)
    if name not in BREAKS_ITS_OWN_ANSWERS:
        assert scores["plus_one"] == 2
    assert scene.untouched()
    assert examine(fence, SOLVED, "the next one")[0] == FULL


@pytest.mark.parametrize("name", breadth(ATTACKS))
def test_it_is_paid_where_tests_and_student_share_a_process(name, scene, tmp_path):
    assert naive_score(cells_of(name, scene), tmp_path) >= 3


def test_the_naive_grader_is_right_where_nobody_attacks(tmp_path):
    (tmp_path / "wrong").mkdir()

    assert naive_score(SOLVED, tmp_path) == 3
    assert naive_score([WRONG], tmp_path / "wrong") == 0


def test_row_11_a_pickle_runs_code_in_the_parent_only_where_something_is_unpickled(fence, scene, tmp_path):
    mark = scene.folder / "executed"
    cells = [f"MARK = {str(mark)!r}", PAYLOAD, *HONEST]

    naive_score(cells, tmp_path)  # its parent has executed the student's command
    assert mark.exists()
    mark.unlink()
    scores, messages = examine(fence, cells)
    assert scores == {"double": 0, "plus_one": 2}
    assert "returns another type than int" in messages[0]
    assert not mark.exists()


def test_row_32_a_table_of_the_visible_examples_wins_only_where_nothing_else_is_asked(fence, tmp_path):
    cells = ["def double(number):\n    return {3: 6}[number]\n", *HONEST]

    assert naive_score(cells, tmp_path, "--visible-only") == 1  # all that it could get
    assert examine(fence, cells)[0] == {"double": 1, "plus_one": 2}


def test_row_34_a_warning_costs_nothing(fence, tmp_path):
    cells = [WARNING, *HONEST]

    assert naive_score(cells, tmp_path) == 0  # the defence is not to look at stderr, and this one looks
    assert examine(fence, cells)[0] == FULL


def test_feedback_does_not_carry_what_a_hidden_question_was_asked():
    """Without that, a student would print each number and answer it from a table at the next hand-in."""
    source = "def double(number):\n    print('asked', number * 7)\n    return 0"
    double, _ = Examiner(ASSIGNMENT, NONE, "a key").examine(Submitted("mallory", [source]))
    shown = feedback._question(double, None)  # noqa: SLF001 (one question of a page)

    assert double.printed.startswith("asked")  # the teacher sees it
    assert "asked" not in shown.partition("<p>It printed")[2]
    assert not any(number in shown for number in double.printed.split()[1::2])
