"""The parts of the grader that need no worker: types, tables, lateness, likeness, copies, grading files."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from memsim.cli import main
from memsim.errors import MemsimError
from memsim.grading import Assignment, Limits, Question, variant
from memsim.grading.assignment.assignment import AssignmentError
from memsim.grading.assignment.checking import CheckError, check, same
from memsim.grading.assignment.course import STUB, code_of, load, student_copy
from memsim.grading.assignment.values import close, problem
from memsim.grading.report.late import LateError, Policy, collected, matched, moment
from memsim.grading.report.results import Result, fingerprint, stored, write_json
from memsim.grading.report.similarity import similar
from memsim.grading.report.structure import pieces
from memsim.grading.report.tables import final_score, grades
from memsim.grading.roster.people import Person, Roster
from memsim.grading.run.engines import ThisMachine
from memsim.grading.run.judge import Examiner, QuestionResult, RuleResult
from memsim.grading.run.process import ProcessError, Setup
from memsim.grading.run.submissions import CollectionError, Handed, file_name, find
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.fences import NONE
from memsim.grading.sandbox.worker import StartError, Submitted, Worker

ONE_BLOCK = Path("exercises/source/one-block/one-block.ipynb")


def passes(_rng, _mine):
    """It passes."""
    yield []


# ---- types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1, int),
        ([], list[int]),
        ([[1], []], list[list[int]]),
        ({"a": None}, dict[str, int | None]),
        (None, None),
        ("a", int | str),
        ([True], list[bool]),
        (0.5, float),
    ],
)
def test_a_value_of_the_right_type_is_taken(value, wanted):
    assert problem(value, wanted) is None


@pytest.mark.parametrize(
    ("value", "wanted", "told"),
    [
        (True, int, "it is a bool (True), not an int"),
        (1, bool, "it is an int (1), not a bool"),
        (1, float, "it is an int (1), not a float"),
        ([1, "2"], list[int], "item 1 is a str ('2'), not an int"),
        ([[1, None]], list[list[int]], "item 0: item 1 is None (None), not an int"),
        ({"a": 1.0}, dict[str, int], "the value of 'a' is a float (1.0), not an int"),
        (None, int | str, "it is None (None), not an int or a str"),
        ({"a": [0]}, dict[str, list[str]] | None, "the value of 'a': item 0 is an int (0), not a str"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(value, wanted, told):
    assert problem(value, wanted) == told


# ---- grading files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "two words"}, "no Python name"),
        ({"difficulty": 6}, "difficulty outside 1..5"),
        ({"pattern": "guess"}, "pattern that is none of"),
        ({"tests": {}}, "no tests"),
        ({"tests": {passes: 0}}, "test without points"),
        ({"tests": {lambda _rng, _mine: iter(()): 1}}, "without a docstring"),
    ],
)
def test_a_question_that_cannot_be_graded_is_refused(change, told):
    fields = {"name": "f", "difficulty": 1, "pattern": "trace", "returns": int, "tests": {passes: 1}}

    with pytest.raises(AssignmentError, match=told):
        Question(**fields | change)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("ASSIGNMENT = 7", "makes no Assignment"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_grading_file_that_makes_no_assignment_is_refused(text, told):
    with pytest.raises(AssignmentError, match=told):
        Assignment.parse(text)


def test_two_questions_of_one_name_are_refused():
    question = Question("f", 1, "trace", int, {passes: 1})

    with pytest.raises(AssignmentError, match="two questions of the same name"):
        Assignment("a", 1, [question, question])


# ---- a test that fails itself ------------------------------------------------------------------------


def breaks(_rng, _mine):
    """It breaks on what it did not expect."""
    answer = yield []
    return [1, 2][answer]


def asks_for_ever(_rng, _mine):
    """It never ends."""
    while True:
        yield []


@pytest.mark.parametrize(
    ("test", "told"),
    [(breaks, "could not be judged (IndexError)"), (asks_for_ever, "asks without end")],
)
def test_a_fault_of_a_test_is_the_teachers_to_see(test, told, monkeypatch):
    from memsim.grading.run import judge  # noqa: PLC0415 (its own names)

    monkeypatch.setattr(judge, "_CALLS", 3)
    message, faulty, _ = judge._run(test, "f", lambda _arguments: 7, None, {}, judge.Judging())  # noqa: SLF001 (without a worker)

    assert faulty
    assert told in message


def test_a_judgement_without_end_is_interrupted(monkeypatch):
    from memsim.grading.run import judge, judging  # noqa: PLC0415 (its own names)

    def loops(_rng, _mine):
        """It judges without end."""
        yield []
        while True:
            pass

    monkeypatch.setattr(judging, "_JUDGING_SECONDS", 0.2)
    message, faulty, _ = judge._run(loops, "f", lambda _arguments: 7, None, {}, judge.Judging())  # noqa: SLF001 (without a worker)

    assert faulty
    assert "JudgingError" in message


# ---- results and tables ------------------------------------------------------------------------------


def result(student="ada", score=3):
    tests = [
        RuleResult("one rule", score, passed=True),
        RuleResult("another", 2, passed=False, message="No."),
    ]
    return Result(student, "a", "print", "a.ipynb", [QuestionResult("f", score + 2, tests)])


def test_a_result_is_read_as_it_was_written(tmp_path):
    write_json(tmp_path / "r.json", result().document())

    assert stored(tmp_path / "r.json") == result()
    assert stored(tmp_path / "none.json") is None


def test_a_fingerprint_tells_its_parts_apart():
    prints = {
        fingerprint(b"ab", "c", b"d", "e"),
        fingerprint(b"a", "bc", b"d", "e"),
        fingerprint(b"ab", "c", b"de", ""),
        fingerprint(b"ab", "c", b"d", "f"),
    }

    assert len(prints) == 4


def test_lateness_never_makes_a_score_negative_nor_better():
    due = moment("2026-12-01T00:00+00:00", "")
    times = {"late": moment("2026-12-20T00:00+00:00", ""), "early": moment("2026-11-01T00:00+00:00", "")}
    policy = Policy(due, 0, 10, times)

    assert [final_score(result(name), policy) for name in ("late", "early", "unknown")] == [0, 3, 3]
    assert "late,3,5,19,0,3," in grades([result("late")], policy)


NOTHING = ([], {}, "", [[]], [[], []], {"a": []}, float("nan"), [float("nan")])
SOMETHING = ([1.0], {"a": 1.0}, "a", [[1.0]], [[1.0], [2.0]], {"a": [1.0]}, 1.0, [1.0, 2.0])


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_nothing_is_close_to_nothing_that_is_wanted(nothing):
    """own-216: a comparison item by item finds no difference where there is no item."""
    assert not any(close(nothing, wanted) or same(nothing, wanted) for wanted in SOMETHING)


@pytest.mark.parametrize(("free_days", "percent"), [(-1, 10), (0, -10), (0, 101)])
def test_lateness_that_would_be_worth_something_is_refused(free_days, percent):
    due = moment("2026-12-01T00:00+00:00", "")
    with pytest.raises(LateError, match="days are not negative, 0 to 100 %"):
        Policy(due, free_days, percent, {})


def test_of_two_spellings_of_a_name_the_later_time_counts():
    early, late = moment("2026-12-01T00:00+00:00", ""), moment("2026-12-02T00:00+00:00", "")
    roster = Roster([Person("Eve")])
    for times in ({"Eve": early, "eve ": late}, {"eve ": late, "Eve": early}):
        assert matched(times, roster) == ({"Eve": late}, [])


def test_a_table_of_times_says_what_is_wrong_with_it(tmp_path):
    (tmp_path / "times.csv").write_text("name,when\nada,2026\n")
    with pytest.raises(LateError, match="columns student and time"):
        collected(tmp_path / "times.csv")
    (tmp_path / "times.csv").write_text("student,time\nada,yesterday\n")
    with pytest.raises(LateError, match="ada: 'yesterday' is no time"):
        collected(tmp_path / "times.csv")


# ---- finding submissions -----------------------------------------------------------------------------


def test_submissions_are_found_however_they_were_collected(tmp_path):
    flat, folders, nbgrader = tmp_path / "flat", tmp_path / "folders", tmp_path / "submitted"
    for path in (
        flat / "ada.ipynb",
        folders / "bob" / "my work.ipynb",
        nbgrader / "eve" / "a" / "a.ipynb",
        nbgrader / "eve" / "a" / "timestamp.txt",
        nbgrader / "eve" / "b" / "b.ipynb",
        nbgrader / "fay" / "a" / "other.ipynb",
        nbgrader / "fay" / "a" / "a.ipynb",
        folders / "gus" / "one.ipynb",
        folders / "gus" / "two.ipynb",
        flat / ".hidden.ipynb",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("def f" if path.stem == "two" else "")
    found = find([flat, folders, nbgrader], "a", ["f"]).handed

    assert [(one.student, one.path.name) for one in found] == [
        ("ada", "ada.ipynb"),
        ("bob", "my work.ipynb"),
        ("eve", "a.ipynb"),
        ("fay", "a.ipynb"),
        ("gus", "two.ipynb"),
    ]
    assert found[4].remarks == ("two.ipynb was graded; also handed in: one.ipynb",)


def test_nothing_to_grade_is_an_error(tmp_path):
    with pytest.raises(CollectionError, match="no such file or folder"):
        find([tmp_path / "nowhere"], "a", [])
    with pytest.raises(CollectionError, match="no submissions"):
        find([tmp_path], "a", [])


def test_different_students_have_different_files():
    names = ["a", "A", "a b", "a/b", "a%2Fb", "..", ".", "x" * 300, "x" * 301, "\udcff", "\udcfe"]

    assert len({file_name(name) for name in names}) == len(names)


# ---- what each submission costs ----------------------------------------------------------------------

HEAVY = ["_hashlib", "hashlib", "selectors", "socket", "textwrap"]
"""A worker is started for each submission: these would be a third of what it imports (-X importtime)."""


def test_a_worker_imports_little():
    cell = f"import sys\ndef heavy():\n    return [name for name in {HEAVY} if name in sys.modules]"
    own = "from memsim.grading import variant\nmine = variant('q', 'ada', n=[1, 2])"
    with (
        Worker(NONE, Submitted("ada", [own, cell])) as worker,
        Conversation(worker, "heavy", Limits()) as asked,
    ):
        assert asked.call([], list[str]) == []
        assert asked.problems == []


@pytest.mark.parametrize("memsim", [False, True])
def test_numpy_is_imported_once_for_all_questions_that_may_use_memsim(memsim):
    """It takes longer than the rest of an answer, and each question is answered in another process."""
    cell = "import sys\ndef there():\n    return 'num' + 'py' in sys.modules"  # who names it has it
    with (
        Worker(NONE, Submitted("ada", [cell]), memsim=memsim) as worker,
        Conversation(worker, "there", Limits()) as asked,
    ):
        assert asked.call([], bool) is memsim


def test_what_is_forked_for_each_file_is_small():
    command = "import sys, memsim.grading.run.reading; print('numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)  # noqa: S603 (ours)
    assert ran.stdout == b"False\n"


def test_a_number_of_a_student_is_that_of_sha256():
    """Everybody can compute it, with any SHA-256."""
    digest = hashlib.sha256(b"trace_page\0ada\0block").digest()
    number = int.from_bytes(digest[:8], "big")
    assert variant("trace_page", "ada", block=range(1000)) == {"block": number % 1000}


# ---- similarity --------------------------------------------------------------------------------------

LONG = """
def answer(start, pages):
    total, pfn = 0, start
    while pfn < start + pages:
        order = min(10, (pfn & -pfn).bit_length() - 1)
        total += 1 << order if order > 3 else 2 * order
        pfn += 1 << order
    return [total, pfn, start] if total else []
"""
RENAMED = LONG.replace("total", "summe").replace("pfn", "frame").replace("# ", "") + "# mine\n"
OTHER = """
def answer(start, pages):
    found = {}
    for number in range(start, start + pages):
        kind = "free" if number % 2 else "taken"
        found.setdefault(kind, []).append(number)
    return sorted(found.get("free", []), key=lambda value: -value)[:3]
"""


def pairs_of(submissions, starter=()):
    """Return the pairs that are alike among code cells."""
    own = {student: pieces(cells) for student, cells in submissions.items()}
    return similar(own, {}, pieces(starter))["pairs"]


def test_renaming_hides_nothing_and_other_code_is_not_alike():
    pairs = pairs_of({"ada": [LONG], "bob": [RENAMED], "eve": [OTHER]})

    assert [(pair["one"], pair["other"]) for pair in pairs] == [("ada", "bob")]
    assert pairs[0]["share"] == 1


def test_the_starter_and_what_everybody_writes_is_no_sign():
    assert pairs_of({"ada": [LONG], "bob": [LONG]}, starter=[LONG]) == []
    assert pairs_of({str(number): [LONG] for number in range(10)}) == []
    assert pairs_of({"ada": ["x = 1"], "bob": ["x = 1"]}) == []  # three tokens are nobody's own


# ---- hand-outs ---------------------------------------------------------------------------------------


def test_handout_writes_what_students_get_and_keeps_the_source(tmp_path, capsys):
    assert main(["handout", str(ONE_BLOCK), "--out", str(tmp_path)]) == 0
    made = load(tmp_path / "one-block.ipynb")

    assert made == student_copy(load(ONE_BLOCK))
    assert sum(STUB in cell for cell in code_of(made)) == 4
    assert "one-block.ipynb" in capsys.readouterr().out
    assert main(["handout", str(ONE_BLOCK), "--out", str(ONE_BLOCK.parent)]) == 2
    assert "the source would be lost" in capsys.readouterr().err


def test_handout_writes_solutions_without_marks(tmp_path):
    main(["handout", str(ONE_BLOCK), "--out", str(tmp_path), "--solutions"])
    text = json.dumps(load(tmp_path / "one-block.ipynb"))

    assert "SOLUTION" not in text
    assert "bit_length" in text


# ---- public checks where there are no processes to fork ----------------------------------------------


class Session:
    """What check() sees of IPython."""

    def __init__(self, **names):
        self.user_ns = {"In": ["", "mine = variant('f', STUDENT)"], "STUDENT": "", **names}


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda n: 2 * n, "f: 1 of 1 examples right."),
        (lambda n: n, "It returns 3; right is 6."),
        (lambda n: 2.0 * n, "it returns another type: it is a float (6.0), not an int"),
        (lambda _: ..., "it is not answered yet"),
        (lambda n: n / 0, "it raised ZeroDivisionError"),
        (None, "there is no function f()"),
    ],
)
def test_a_check_on_windows_calls_the_function_itself(function, told, monkeypatch, capsys):
    monkeypatch.delattr("os.fork")
    monkeypatch.setattr("memsim.grading.assignment.checking._shell", lambda: Session(f=function))
    try:
        check("f", returns=int, examples=[([3], 6, "Twice three.")])
        text = capsys.readouterr().out
    except CheckError as failed:
        text = str(failed)

    assert told in text
    assert "STUDENT is empty" in text


def test_a_check_outside_a_notebook_says_what_it_needs():
    with pytest.raises(MemsimError, match="needs a notebook"):
        check("f", returns=int, examples=[])


# ---- a machine that has no room ----------------------------------------------------------------------


def test_a_worker_that_does_not_start_costs_no_student_anything(monkeypatch):
    started = []

    def fails(*_, **__):
        started.append(1)
        msg = "no room"
        raise StartError(msg)

    monkeypatch.setattr("memsim.grading.run.judge.Worker", fails)
    monkeypatch.setattr("memsim.grading.sandbox.guest.retry.PATIENCE", (0, 0))
    question = Question("f", 1, "trace", int, {passes: 1})
    with pytest.raises(StartError):
        Examiner(Assignment("a", 1, [question]), NONE, "key").examine(Submitted("ada", []))

    assert len(started) == 3


def test_what_could_not_be_graded_is_tried_again_by_the_next_batch(monkeypatch):
    class Dies:
        def __init__(self, setup):
            pass

        def grade(self, *_):
            msg = "it ended with status -9"
            raise ProcessError(msg)

        def end(self):
            pass

    monkeypatch.setattr("memsim.grading.run.engines.GraderProcess", Dies)
    setup = Setup(Path("exercises/grading/one_block.py").read_text(encoding="utf-8"), "none", "key")
    (made,) = ThisMachine(1).grade(setup, [Handed("ada", ONE_BLOCK)])

    assert made.unreadable == "the grader could not grade it: it ended with status -9"
    assert made.fingerprint == ""
    assert made.score == 0
