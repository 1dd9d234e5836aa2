"""Every assignment with many seeds: a test that only mostly tells right from wrong is no test.

Our own answers run in this process here, which is quick enough for many students; the other tests of this
folder run them as the grader does.
"""

import json
from functools import partial
from itertools import count
from pathlib import Path

import pytest

import memsim.grading
from memsim.grading import check
from memsim.grading.assignment.assignment import Assignment, fresh
from memsim.grading.assignment.course import code_of, load, solution_copy, source_of, with_answer
from memsim.grading.assignment.values import problem
from memsim.grading.run.judge import Judging, _run, put
from memsim.grading.sandbox.conversation import Failure

GRADING = [
    pytest.param(path, id=path.stem.replace("_", "-"))
    for path in sorted(Path("exercises/grading").glob("*.py"))
]
HEAVY = {"boot", "final-project", "review", "write-a-driver"}
"""Assignments in which each answer runs whole machines: less of them is tried, and in the slow tier."""
FEW = 8
"""Constants with noise that are tried for a question of these, evenly taken from all."""
every_assignment = pytest.mark.parametrize("grading", GRADING)
LIGHT_AND_HEAVY = [
    pytest.param(*each.values, id=each.id, marks=[pytest.mark.slow] * (each.id in HEAVY)) for each in GRADING
]


def function_of(question, cells, student):
    """Execute a notebook of ours and return the answer to a question."""
    names = {"__name__": "notebook"}
    source = "\n".join(cells).replace('STUDENT = ""', f"STUDENT = {student!r}")
    exec(compile(source, question.name, "exec"), names)  # noqa: S102 (our own notebook)
    return names[question.name]


def judged(assignment, question, cells, student):
    """Return the score and the messages of a student."""
    function = function_of(question, cells, student)

    def call(arguments):
        try:
            value = function(*json.loads(json.dumps(arguments)))
        except Exception as error:  # noqa: BLE001 (a wrong solution may fail in any way)
            return Failure("raised", f"it raised {type(error).__name__}")
        wrong = problem(value, question.returns)
        return Failure("answer", f"the answer {wrong}") if wrong else value

    results = put(question, call, assignment.name, student, f"key of {student}")
    assert not any(result.needs_teacher for result in results), results
    score = sum(result.points for result in results if result.passed)
    return score, [result.message for result in results if result.message]


# One student in `make test`; the others take some minutes.
@pytest.mark.parametrize("others", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["one", "others"])
@every_assignment
def test_scores_do_not_depend_on_the_seed(grading, others, monkeypatch):
    monkeypatch.setattr(memsim.grading, "check", lambda *_, **__: None)
    assignment = Assignment.load(grading)
    solved = solution_copy(load(source_of(grading)))
    last = 3 if assignment.name in HEAVY else 8
    for question in assignment.questions:
        for number in range(1, last + 1) if others else [0]:
            student = f"student-{number}"
            assert judged(assignment, question, code_of(solved), student) == (question.points, [])
            for wrong in question.wrong:
                cells = code_of(with_answer(solved, question.name, wrong.source))
                score, messages = judged(assignment, question, cells, student)
                case = (question.name, wrong.misconception, student)

                assert (*case, score) == (*case, wrong.score), messages
                assert any(wrong.message in message for message in messages), (case, messages)


@every_assignment
def test_the_solution_passes_its_public_checks(grading, monkeypatch, capsys):
    cells, executed, names = code_of(solution_copy(load(source_of(grading)))), [], {}
    monkeypatch.setattr(memsim.grading, "check", lambda name, **how: check(name, **how, cells=executed))
    for cell in cells:
        exec(cell, names)  # noqa: S102 (our own notebook; a check that fails raises)
        executed.append(cell)

    checked = capsys.readouterr().out.count("The tests that give the points run when it is graded.")
    assert checked == len(Assignment.load(grading).questions)


PLAIN = (0, 1, -1, True, False, None, "", 0.0, [], {}, [0], [""], [[]])


@every_assignment
def test_no_test_is_passed_by_a_plain_value_that_answers_none_of_its_calls(grading, monkeypatch):
    """own-188: who gives one answer to all calls but one is not seen to be constant."""
    monkeypatch.setattr(memsim.grading, "check", lambda *_, **__: None)
    assignment = Assignment.load(grading)
    solved = code_of(solution_copy(load(source_of(grading))))
    for question in assignment.questions:
        if question.pattern == "design":
            continue  # any example that does what is asked for
        function, mine = function_of(question, solved, "ada"), question.variant_of("ada")
        for test in question.tests:
            for value in PLAIN:
                right = []

                def call(arguments, function=function, value=value, right=right):
                    right.append(
                        json.dumps(function(*json.loads(json.dumps(arguments)))) == json.dumps(value)
                    )
                    return value

                if not problem(value, question.returns):
                    rng = fresh("a key", assignment.name, question.name, test, "ada")
                    message, _, _ = _run(test, question.name, call, rng, mine, Judging())
                    assert message or any(right), (question.name, test.__name__, value)


def constants(assignment, question, solved):
    """Return what is right for some call, and plain values, each once.

    Nothing where a constant can be right everywhere: the student's own numbers, or any example that does
    what is asked for.
    """
    function, right, asked = function_of(question, solved, "ada"), [*PLAIN], []

    def call(arguments):
        asked.append(arguments)
        right.append(function(*json.loads(json.dumps(arguments))))
        return right[-1]

    put(question, call, assignment.name, "ada", "a key")
    each = {json.dumps(value): value for value in right}.values()
    fitting = [value for value in each if not problem(value, question.returns)]
    if not any(asked) or any(right_everywhere(question, value, assignment) for value in fitting):
        return []
    return fitting


def right_everywhere(question, value, assignment):
    """Return whether a value passes all tests."""
    return all(test.passed for test in put(question, lambda _: value, assignment.name, "ada", "a key"))


@pytest.mark.parametrize("grading", LIGHT_AND_HEAVY)
def test_a_constant_answer_earns_nothing(grading, monkeypatch):
    """Neither what is right for one call nor a plain value, where the question has an argument."""
    monkeypatch.setattr(memsim.grading, "check", lambda *_, **__: None)
    assignment = Assignment.load(grading)
    solved = code_of(solution_copy(load(source_of(grading))))
    for question in assignment.questions:
        for constant in constants(assignment, question, solved):
            results = put(question, lambda _, value=constant: value, assignment.name, "ada", "a key")
            paid = [result.title for result in results if result.passed]
            assert (question.name, constant, paid) == (question.name, constant, [])


def noises(constant):
    """Return functions that make a value out of a constant and a number, another one for each number.

    What nobody looks at changes: one entry more or another one, an equal value of another type, the order, or
    an item that comes twice.
    """
    if isinstance(constant, dict):
        return noises_of_dict(constant)
    if isinstance(constant, list):
        turn = len(constant) or 1
        return {
            "turned": lambda number: constant[number % turn :] + constant[: number % turn],
            "twice": lambda number: constant + constant[:1] * (number % 50),
            "another number at the end": lambda number: [*constant[:-1], number],
        }
    if isinstance(constant, str):
        return {
            "blanks": lambda number: constant + " " * number,
            "or another text": lambda number: constant if number % 2 else f"noise {number}",
        }
    if type(constant) is int:
        return {
            "a little more": lambda number: constant + number,
            "equal, and of another type": lambda number: (float, int, bool)[number % 3](constant),
        }
    return {"no number": lambda number: (constant, float("nan"))[number % 2]}


def noises_of_dict(constant):
    """Return the same for a dict."""
    others = {"number": int, "text": "noise {}".format, "truth": lambda number: number % 2 == 0}
    inside = {
        f"{name}: {how}": lambda number, name=name, noise=noise: {**constant, name: noise(number)}
        for name, value in constant.items()
        for how, noise in (others if isinstance(value, dict) else noises(value) | others).items()
    }
    some = next(iter(constant.values()), 0)
    return inside | {
        "an entry more": lambda number: {**constant, f"noise {number}": some},
        "the order": lambda number: dict(sorted(constant.items(), key=lambda item: hash((number, item[0])))),
        "all numbers but one": lambda number: {
            name: value if at == number % len(constant) or type(value) is not int else value + number
            for at, (name, value) in enumerate(constant.items())
        },
    }


def the_next(values, returns, _):
    """Answer any call with the next of these values."""
    value = next(values)
    wrong = problem(value, returns)
    return Failure("type", f"it returns another type: {wrong}") if wrong else value


@pytest.mark.parametrize("grading", LIGHT_AND_HEAVY)
def test_own_276_a_constant_with_noise_earns_nothing(grading, monkeypatch):
    """As text, no two of its answers are equal. Noise that is another right answer would be a guess."""
    monkeypatch.setattr(memsim.grading, "check", lambda *_, **__: None)
    assignment = Assignment.load(grading)
    solved = code_of(solution_copy(load(source_of(grading))))
    for question in assignment.questions:
        right = constants(assignment, question, solved)
        cases = [(constant, *case) for constant in right for case in noises(constant).items()]
        each = max(1, len(cases) // FEW) if assignment.name in HEAVY else 1
        for constant, how, noise in cases[::each]:
            values = map(noise, count(1))
            values = (constant if value in right else value for value in values)
            call = partial(the_next, values, question.returns)
            results = put(question, call, assignment.name, "ada", "a key")
            paid = [result.title for result in results if result.passed]
            assert (question.name, constant, how, paid) == (question.name, constant, how, [])
