"""Attacks that carry the numbers of a hidden test out of the grader, to answer them at the next hand-in.

Each function below is asked for a number and tells it in another way. No way leads into what a student gets.
"""

import json
import re

import pytest

from memsim.grading.assignment.assignment import Assignment
from memsim.grading.report import feedback, tables
from memsim.grading.run.grade import Grader
from memsim.grading.run.judge import Examiner
from memsim.grading.sandbox.conversation import Conversation, _told_end
from memsim.grading.sandbox.worker import Submitted, Worker

from .stage import ASSIGNMENT, GRADING, SOLVED
from .test_files import grade, notebook, scores

ASKED = 8_675_309
"""Put to each function as a hidden test would; no other part of a page has it."""
WAYS = {
    "own-134-in-the-text-of-an-exception": "raise ValueError(f'asked {number}')",
    "own-135-in-the-name-of-an-exception": "raise type(f'Asked{number}', (Exception,), {})()",
    "own-136-in-a-value-of-another-type": "return f'asked {number}'",
    "own-137-in-the-key-of-a-dict": "return {f'asked {number}': object()}",
    "own-138-in-what-is-printed": "print('asked', number)",
    "own-139-in-a-place-that-is-none": (
        "exec(compile('raise ValueError', f'<cell asked {number}>', 'exec'))"
    ),
    "own-178-in-the-line-where-it-fails": (
        "lines = chr(10) * (number % 10**6 - 1) + 'raise ValueError'\n"
        "    exec(compile(lines, f'<cell {number // 10**6}>', 'exec'))"
    ),
    "own-140-in-a-reply-of-its-own": (
        "import json, os\n"
        "    said = json.dumps({'cannot_travel': f'asked {number}'}).encode()\n"
        "    for fd in range(3, 64):\n"
        "        try:\n"
        "            os.write(fd, len(said).to_bytes(4, 'big') + said)\n"
        "        except OSError:\n"
        "            pass\n"
        "    os._exit(0)"
    ),
}
TELLING = """
from memsim.grading import Assignment, Question
def asked(rng, mine):
    "Any number is doubled."
    answer = yield [8675309]
    return None if answer == 2 * 8675309 else "It is not twice the number."
ASSIGNMENT = Assignment("asked", 0, [Question("double", 1, "compute", int, {asked: 1})])
"""


def given_back(result):
    return feedback.page(result) + json.dumps(tables.gradescope(result)) + tables.moodle([result])


@pytest.mark.parametrize("name", WAYS)
def test_the_number_is_in_nothing_that_a_student_gets(name, fence):
    source = f"def double(number):\n    {WAYS[name]}"
    result = Grader(Assignment.parse(TELLING), b"", fence, "k").grade("mallory", "w.ipynb", notebook(source))

    assert result.score == 0
    assert str(ASKED) not in re.sub(r"cell (\d+), line (\d+)", r"\1\2", given_back(result))


@pytest.mark.parametrize("name", [name for name in WAYS if "printed" not in name and "none" not in name])
def test_the_number_is_in_what_a_public_check_would_say(name, fence):
    """What hidden tests leave out is what the process says: without that it would be in the page."""
    source = f"def double(number):\n    {WAYS[name]}"
    with (
        Worker(fence, Submitted("mallory", [source])) as worker,
        Conversation(worker, "double", ASSIGNMENT.questions[0].limits) as conversation,
    ):
        failure = conversation.call([ASKED], int)
    assert str(ASKED) in re.sub(r"cell (\d+), line (\d+)", r"\1\2", failure.told)
    assert not re.search(r"\d", failure.hidden)


def test_own_266_the_signal_that_ends_a_process_tells_nothing(fence):
    """There are sixty of them, and each can stand for a number that a hidden test asks."""
    source = "import os\ndef double(number):\n    os.kill(os.getpid(), number)"
    told = set()
    for number in (10, 12):  # SIGUSR1 and SIGUSR2
        text = TELLING.replace("[8675309]", f"[{number}]")
        result = Grader(Assignment.parse(text), b"", fence, "k").grade("mallory", "w.ipynb", notebook(source))
        told.add(result.questions[0].tests[0].message)
    assert told == {"The process was ended by a signal."}
    assert len({_told_end(-number, ASSIGNMENT.questions[0].limits).told for number in (10, 12)}) == 2


ASKS = """
from memsim.grading import Assignment, Question
SEEN = []
def asked(rng, mine):
    "Any number is doubled."
    number = rng.randrange(10**12)
    SEEN.append(number)
    return None if (yield [number]) == 2 * number else "It is not twice the number."
ASSIGNMENT = Assignment("asked", 0, [Question("double", 1, "compute", int, {asked: 1})])
"""


def test_own_141_a_second_hand_in_is_asked_with_other_numbers_and_the_same_file_with_the_same(fence):
    """Else a table of the numbers of the first one would win."""
    space = {"__name__": "grading"}
    exec(ASKS, space)  # noqa: S102 (ours)
    grader = Grader(space["ASSIGNMENT"], b"", fence, "k")
    first = notebook("def double(number):\n    return 0")
    grader.grade("mallory", "w.ipynb", first)
    table = f"def double(number):\n    return {{{space['SEEN'][0]}: {2 * space['SEEN'][0]}}}.get(number, 0)"
    second = grader.grade("mallory", "w.ipynb", notebook(table))
    grader.grade("mallory", "w.ipynb", first)

    assert second.score == 0
    assert space["SEEN"][0] == space["SEEN"][2] != space["SEEN"][1]


CONSTANT = GRADING.replace(
    '"double", 1, "compute", int, {three: 1, fresh_numbers: 2}',
    '"double", 1, "compute", int, {three: 1, none: 2}',
).replace(
    "def one_more",
    'def none(rng, mine):\n    """Nothing twice is nothing."""\n    for number in (0, rng.randrange(9)):\n'
    '        if (yield [number]) != 2 * number:\n            return "No."\n\ndef one_more',
)


@pytest.mark.parametrize("body", ["return 6", "return 0", "raise ValueError"])
def test_own_142_one_answer_to_everything_earns_nothing(body, fence):
    """A test that one answer passes would pay for it: here 6 is right for three."""
    grader = Grader(Assignment.parse(CONSTANT), b"", fence, "k")
    cells = [f"def double(number):\n    {body}", SOLVED[1]]
    result = grader.grade("mallory", "w.ipynb", notebook(*cells))
    assert scores(result) == {"double": 0, "plus_one": 2}
    if body == "return 6":
        assert "the same answer to every call" in result.questions[0].tests[0].message
    almost = ["def double(number):\n    return 6 if number == 3 else 1", SOLVED[1]]
    assert scores(grader.grade("ada", "w.ipynb", notebook(*almost)))["double"] == 1  # it is not one answer


@pytest.mark.parametrize(("different", "paid"), [(2, 1), (3, 0)])
def test_own_210_one_of_two_answers_earns_nothing_where_right_ones_are_many(different, paid, fence):
    text = CONSTANT.replace('Question("double"', 'Question(different=DIFFERENT, name="double"', 1)
    text = text.replace("(0, rng.randrange(9))", "(rng.randrange(9, 99),)")
    text = text.replace(
        'name="double", 1, "compute", int,',
        'name="double", difficulty=1, pattern="compute", returns=int, tests=',
    )
    grader = Grader(Assignment.parse(text.replace("DIFFERENT", str(different))), b"", fence, "a key")
    two = ["def double(number):\n    return 6 if number == 3 else 1", SOLVED[1]]
    result = grader.grade("mallory", "w.ipynb", notebook(*two))

    assert scores(result) == {"double": paid, "plus_one": 2}
    if not paid:
        assert "only 2 different answers" in result.questions[0].tests[0].message
    right_for_some = ["def double(number):\n    return 6 if number == 3 else 2 * number + 1", SOLVED[1]]
    assert scores(grader.grade("ada", "w.ipynb", notebook(*right_for_some)))["double"] == 1


MOSTLY_NOTHING = """
from memsim.grading import Assignment, Question
def somewhere(rng, mine):
    "A positive number is doubled."
    for _ in range(2):
        number = rng.randrange(100, 10**6)
        if (yield [number]) != 2 * number:
            return "It is not twice the number."
def nowhere(rng, mine):
    "A negative number has nothing."
    for _ in range(3):
        if (yield [-rng.randrange(1, 10**6)]) is not None:
            return "There is nothing."
ASSIGNMENT = Assignment("asked", 0, [
    Question("double", 1, "compute", int | None, {somewhere: 1, nowhere: 2}, different=DIFFERENT)
])
"""
COUNTED = {
    "the tests are over": "None if len(calls) <= 4 else len(calls)",
    "a test is lost": "None if 1 < len(calls) <= 4 else len(calls)",
    "it is another process": "None if os.getpid() < 4 and 1 < len(calls) <= 4 else len(calls)",
}


@pytest.mark.parametrize("different", [2, 3])
@pytest.mark.parametrize("when", COUNTED)
def test_own_265_one_answer_earns_nothing_with_others_where_they_cost_nothing(
    when, different, fence, monkeypatch
):
    """A test ends at the first wrong answer, and its title is known: who counts knows whose turn it is."""
    text = MOSTLY_NOTHING.replace("DIFFERENT", str(different))
    grader = Grader(Assignment.parse(text), b"", fence, "k")
    counting = (
        f"import os\ncalls = []\ndef double(number):\n    calls.append(number)\n    return {COUNTED[when]}"
    )
    # Without namespaces process numbers are large, and tell no process from another.
    harm = 0 if fence.name == "container" and "getpid" in COUNTED[when] else 2
    with monkeypatch.context() as patched:
        patched.setattr("memsim.grading.run.judge._asked_again", lambda *_: "")
        assert grader.grade("mallory", "w.ipynb", notebook(counting)).score == harm
    assert grader.grade("mallory", "w.ipynb", notebook(counting)).score == 0

    wrong = "def double(number):\n    return None if number < 0 else 3 * number"
    assert grader.grade("ada", "w.ipynb", notebook(wrong)).score == 2  # it tells cases apart


def test_nothing_that_a_student_prints_at_top_level_knows_a_number(fence):
    """Cells are executed before anything is asked, in a process that ends with its question."""
    cells = ["import os\nprint(os.listdir('/'), globals())", *SOLVED]
    assert grade(fence, notebook(*cells)).score == 5


EXECUTED_AT = [
    "import os, time",
    "raise ValueError(f'executed at {time.clock_gettime_ns(time.CLOCK_REALTIME)}')",
    "def double(number):\n    os._exit(0)",  # at a moment that says what the number was
    "def plus_one(number):\n    return number + 1",
]


def test_own_237_a_process_that_follows_another_says_nothing_of_the_clock(fence, monkeypatch):
    """What is wrong with the notebook is in the page, and a second process knows when the first one ended."""
    said = []

    class Heard(Conversation):
        def __init__(self, *args):
            super().__init__(*args)
            said.append(self.problems)

    monkeypatch.setattr("memsim.grading.run.judge.Conversation", Heard)
    results = Examiner(ASSIGNMENT, fence, "k").examine(Submitted("mallory", EXECUTED_AT))
    assert len(said) > 2
    assert len({json.dumps(problems) for problems in said}) == len(said)

    assert [result.score for result in results] == [0, 2]
    assert [result.problems for result in results] == [said[0], said[0]]
