"""Answers of other courses: exceptions, tuples, arrays, tolerances, and checks of the form only."""

import pytest

from memsim.grading import Assignment, Like, MayRaise, Question, check, close, form
from memsim.grading.assignment.checking import CheckError
from memsim.grading.run.judge import Examiner
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.fences import NONE
from memsim.grading.sandbox.worker import Submitted

MORE = "; call it with the numbers of the examples to see more"


def scored(name, returns, test, *cells):
    """Return whether an answer passes a test, and what it is told."""
    assignment = Assignment("a", 1, [Question(name, 1, "implement", returns, {test: 1})])
    (result,) = Examiner(assignment, NONE, "key").examine(Submitted("ada", list(cells)))
    return result.tests[0].passed, result.tests[0].message


def invalid(_rng, _mine):
    """A number below 1 raises ValueError."""
    answer = yield MayRaise([0])
    raised = getattr(answer, "is_a", lambda _: False)(ValueError)
    return None if raised and "least" in answer.text else f"It must raise ValueError, not {answer}."


OWN_ERROR = "class TooSmall(ValueError):\n    pass\ndef squares(n):\n    raise TooSmall('at least 1')"


@pytest.mark.parametrize(
    ("source", "right"),
    [
        ("def squares(n):\n    raise ValueError('n must be at least 1')", True),
        (OWN_ERROR, True),
        ("def squares(n):\n    raise KeyError('at least 1')", False),
        ("def squares(n):\n    raise ValueError('no')", False),
        ("def squares(n):\n    return []", False),
        ("def squares(n):\n    return ...", False),
        ("def squares(n):\n    import os\n    os._exit(0)", False),
        ("import sys\ndef squares(n):\n    sys.exit('at least')", False),
        (
            "class ValueError_(Exception):\n    pass\ndef squares(n):\n    raise ValueError_('at least')",
            False,
        ),
    ],
)
def test_a_test_can_ask_for_an_exception(source, right):
    assert scored("squares", list[int], invalid, source)[0] is right


def test_a_call_that_may_not_raise_fails_as_before():
    def plain(_rng, _mine):
        """It returns."""
        yield [0]

    passed, message = scored("squares", list[int], plain, "def squares(n):\n    raise ValueError('x')")
    assert (passed, message) == (False, f"squares() raised ValueError{MORE}.")


def roots(_rng, _mine):
    """The product of the roots is c."""
    answer = yield [4.0, 3.0]
    x, y = answer
    return None if close(x * y, 3.0) else f"It is not: {answer!r}."


SOLVE = "import numpy as np\ndef solve(b, c):\n    d = (b * b - 4 * c) ** 0.5\n    return {}"
PAIR = "(-b - d) / 2, (-b + d) / 2"


@pytest.mark.parametrize(
    ("returns", "made", "right"),
    [
        (tuple[float, float], PAIR, True),
        (tuple[float, ...], PAIR, True),
        (tuple[float, float], f"({PAIR}, 0.0)", False),
        (tuple[int, int], PAIR, False),
        (list[float], PAIR, False),
        (Like(list[float]), PAIR, True),
        (Like(list[float]), f"np.array([{PAIR}])", True),
        (Like(list[float]), f"[np.float64(x) for x in ({PAIR})]", True),
        (Like(list[float]), "[-3, -1]", True),
        (Like(tuple[float, float]), f"np.array([{PAIR}])", True),
        (Like(list[float]), "np.array([1, float('nan')])", False),
        (Like(list[float]), "[True, 3]", False),
        (Like(list[float]), "[10**400, 1]", False),
        (Like(list[float]), "{-3.0, -1.0}", False),
        (tuple[float, float] | None, PAIR, True),
        (dict[str, tuple[float, float]], f"dict(a=({PAIR}))", False),
    ],
    ids=str,
)
def test_tuples_arrays_and_their_numbers_are_accepted_where_the_grading_file_says_so(returns, made, right):
    assert scored("solve", returns, roots, SOLVE.format(made))[0] is right


FAKES = {
    "an array that lies": (
        "class Fake(list):\n    __module__ = 'numpy'\n"
        "    def tolist(self):\n        return Fake([-3.0, -1.0])\n"
        "def solve(b, c):\n    return Fake()"
    ),
    "a tuple of its own": (
        "class Pair(tuple):\n    def __iter__(self):\n        return iter([-3.0, -1.0])\n"
        "def solve(b, c):\n    return Pair((0.0, 0.0))"
    ),
    "a float that equals everything": (
        "class Any(float):\n    def __mul__(self, other):\n        return 3.0\n"
        "def solve(b, c):\n    return Any(), Any()"
    ),
    "a list in itself": "def solve(b, c):\n    x = []\n    x.append(x)\n    return x",
    "an array without end": (
        "class Endless:\n    __module__ = 'numpy'\n    def tolist(self):\n        return Endless()\n"
        "def solve(b, c):\n    return Endless()"
    ),
}


@pytest.mark.parametrize("fake", FAKES)
def test_no_value_that_only_looks_like_one_arrives(fake):
    """What arrives is JSON of exact types; where it is made, these would be right, or endless."""
    assert scored("solve", Like(tuple[float, float]), roots, FAKES[fake])[0] is False


def test_a_check_takes_exceptions_and_tolerances(capsys):
    cells = ["def third(x):\n    if x < 0:\n        raise ValueError('negative')\n    return x / 3"]
    examples = [([1.0], 0.33333, "A third."), ([-1.0], ValueError, "No negative number.")]
    check("third", returns=float, examples=examples, cells=cells, tolerance=1e-4)
    assert "third: 2 of 2 examples right." in capsys.readouterr().out

    with pytest.raises(CheckError, match="1 of 2 examples right"):
        check("third", returns=float, examples=examples, cells=cells)
    with pytest.raises(CheckError, match=r"It returns 1\.0; right is to raise ValueError"):
        check("third", returns=float, examples=[([3.0], ValueError, "")], cells=cells)


def test_validate_cannot_take_a_check_of_the_form_for_right(monkeypatch, capsys):
    # nbgrader/utils.py, setenv(): NBGRADER_VALIDATING is set while Validate runs a notebook.
    monkeypatch.setenv("NBGRADER_VALIDATING", "1")
    with pytest.raises(CheckError, match="form ok, not judged") as raised:
        check(
            "f", returns=int, cells=["def f(): return 7"], examples=[([], form(lambda _: None), "A number.")]
        )
    assert "No check failed" in str(raised.value)
    check("f", returns=int, cells=["def f(): return 7"], examples=[([], 7, "Seven.")])
    assert "1 of 1 examples right" in capsys.readouterr().out


def test_a_check_of_the_form_says_that_nothing_was_judged(capsys):
    def is_positive(answer):
        return None if answer > 0 else "It must be positive."

    examples = [([], form(is_positive), "A number.")]
    check("f", returns=int, examples=examples, cells=["def f():\n    return 7"])
    said = capsys.readouterr().out
    assert "f: not judged; form only: 1." in said
    assert "form ok, not judged  f(): A number." in said
    assert "right" not in said

    with pytest.raises(CheckError, match="It must be positive"):
        check("f", returns=int, examples=examples, cells=["def f():\n    return -7"])


def test_when_three_processes_have_died_the_other_tests_start_none(monkeypatch):
    # A submission must not keep the grader busy with as many processes as there are tests.
    started = []

    class Counted(Conversation):
        def __init__(self, *arguments):
            started.append(1)
            super().__init__(*arguments)

    def test_number(number):
        def test(_rng, _mine):
            yield [number]

        test.__doc__ = f"Test {number}."
        return test

    monkeypatch.setattr("memsim.grading.run.judge.Conversation", Counted)
    tests = {test_number(number): 1 for number in range(6)}
    assignment = Assignment("a", 6, [Question("squares", 1, "implement", list[int], tests)])
    dies = "def squares(n):\n    import os\n    os._exit(0)"
    (result,) = Examiner(assignment, NONE, "key").examine(Submitted("ada", [dies]))
    assert (result.score, len(started)) == (0, 3)


@pytest.mark.parametrize(
    "cell",
    [
        "from memsim import Machine",
        "import memsim.lesson.review",
        "from memsim.linux.mm.page_alloc import __free_pages_core",
        "from importlib import import_module\nimport_module('memsim.lesson').review",
    ],
)
def test_whoever_imports_any_part_of_memsim_reads_that_it_is_not_there(cell):
    assignment = Assignment("a", 1, [Question("squares", 1, "implement", list[int], {invalid: 1})])
    (result,) = Examiner(assignment, NONE, "key").examine(Submitted("ada", [cell]))
    (problem,) = result.problems
    assert problem.endswith(
        "memsim is not there when this question is answered: work it out without the simulator"
    )


def test_a_cell_that_python_cannot_read_is_named():
    assignment = Assignment("a", 1, [Question("squares", 1, "implement", list[int], {invalid: 1})])
    cells = ["x = 1", "y = 2\nz = = 3"]
    (result,) = Examiner(assignment, NONE, "key").examine(Submitted("ada", cells))
    assert [problem[:16] for problem in result.problems] == ["cell 2, line 2: "]
