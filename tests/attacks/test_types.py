"""Answers that look right and are of another type, or of none that can be compared.

Where a grader compares what the student's function returns with ``==``, the student's class decides.
"""

import json
import signal
from queue import Empty, Queue
from threading import Thread

import pytest

from memsim.grading.assignment.assignment import Assignment, Limits
from memsim.grading.run.judge import Examiner
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.fences import NONE
from memsim.grading.sandbox.worker import Submitted, Worker

from .stage import PATIENCE, examine

EQUAL_TO_ONE = {
    "own-31-true-for-one": "def f():\n    return True\n",
    "own-32-a-float-for-an-int": "def f():\n    return 1.0\n",
    "own-33-a-subclass-of-int": "class Int(int):\n    pass\ndef f():\n    return Int(1)\n",
    "own-34-an-enumeration": "import enum\nOne = enum.IntEnum('One', 'A')\ndef f():\n    return One.A\n",
    "own-35-a-fraction": "from fractions import Fraction\ndef f():\n    return Fraction(1)\n",
    "own-36-a-complex-number": "def f():\n    return 1 + 0j\n",
    "own-37-a-number-of-numpy": "import numpy\ndef f():\n    return numpy.int64(1)\n",
    "own-38-a-class-that-lies-about-itself": (
        "class Liar:\n    __class__ = int\n    __eq__ = lambda *_: True\ndef f():\n    return Liar()\n"
    ),
}
GRADING = '''
from memsim.grading import Assignment, Limits, Question
def one(rng, mine):
    """It is one."""
    answer = yield []
    return None if answer == 1 else "It is not one."
ASSIGNMENT = Assignment("one", 0, [
    Question("f", 1, "compute", int, {one: 1}, limits=Limits(answer_kib=64))
])
'''
ONE = Assignment.parse(GRADING)
IMPATIENT = Assignment.parse(GRADING.replace("Limits(", "Limits(wall_seconds=1.5, "))


@pytest.mark.parametrize("name", EQUAL_TO_ONE)
def test_a_value_that_is_only_equal_is_refused(name, fence):
    space = {}
    exec(EQUAL_TO_ONE[name], space)  # noqa: S102 (harmless, and shows what a comparison would say)
    assert space["f"]() == 1

    scores, messages = examine(fence, [EQUAL_TO_ONE[name]], assignment=ONE)
    assert scores == {"f": 0}
    assert "returns another type" in messages[0]


# ---- values that deceive a test, or end the grader that looks at them ---------------------------------

DECEIVED = """
from memsim.grading import Assignment, Question
def a_rule(rng, mine):
    "An honest rule."
    answer = yield []
    TEST
ASSIGNMENT = Assignment("any", 0, [Question("f", 1, "compute", RETURNS, {a_rule: 1})])
"""
PAID = "paid"
STRANGE = {
    "own-39-not-a-number": (
        *("float", "return float('nan')"),
        *("return 'Not near one.' if abs(answer - 1) > 0.1 else None", PAID, "not a number"),
    ),
    "own-40-infinity-in-a-list": (
        *("list[float]", "return [float('inf')] * 3"),
        "return None if answer[0] >= 1 and all(b == 2 * a for a, b in zip(answer, answer[1:])) else 'No.'",
        *(PAID, "item 0 is inf"),
    ),
    "own-42-deep-nesting": (
        *("list", "x = []\n    for _ in range(10**5): x = [x]\n    return x"),
        *("return f'{answer} is not empty.'", RecursionError, "nested deeper"),
    ),
    "own-43-a-list-that-is-its-own-item": (
        *("list", "x = []\n    x.append(x)\n    return x"),
        *("import json\n    return f'{json.dumps(answer)} is not empty.'", ValueError, "nested deeper"),
    ),
    "own-44-keys-that-are-no-text": (
        *("dict[str, int]", "return {1: 1}"),
        "import json\n    return None if json.loads(json.dumps(answer)) == {'1': 1} else 'No.'",
        *(PAID, "key of type int"),
    ),
    "own-45-a-key-twice": (
        *("dict[str, int]", "class S(str): __hash__ = lambda s: id(s)\n    return {S('a'): 1, S('a'): 2}"),
        "return None if len(answer) == 2 and set(answer.values()) == {1, 2} else 'Two zones.'",
        *(PAID, "key of type S"),
    ),
    "own-46-a-tuple": (
        *("list[int]", "return (1, 2)"),
        "import json\n    return None if json.loads(json.dumps(answer)) == [1, 2] else 'No.'",
        *(PAID, "is a tuple"),
    ),
    "own-47-a-generator-that-is-empty-when-looked-at-again": (
        *("list[int]", "return (n for n in [-1])"),
        "return 'No.' if any(n > 10 for n in answer) or any(n < 0 for n in answer) else None",
        *(PAID, "is a generator"),
    ),
    "own-48-a-list-that-agrees-with-every-look": (
        *("list[int]", "class L(list): __contains__ = __eq__ = lambda *_: True\n    return L()"),
        *("return None if 10 in answer and 3 in answer else 'No.'", PAID, "is a L"),
    ),
    "own-49-a-name-that-raises": (
        "int",
        "import sys\n    class M(type): __name__ = property(sys.exit)\n    return M('', (), {})()",
        *("return None if answer == 1 else f'{type(answer).__name__} is not one.'", SystemExit, "raised"),
    ),
    "own-50-an-exception-that-cannot-be-told": (
        *("int", "class E(Exception):\n        def __str__(self): raise SystemExit\n    raise E"),
        *("return None", SystemExit, "cannot be shown"),
    ),
}


def asked_without_defence(source, assignment):
    """Call the function here, and let the test judge whatever comes."""
    space = {}
    exec(source, space)  # noqa: S102 (ours)
    (question,) = assignment.questions
    (test,) = question.tests
    judging = test(None, {})
    arguments = next(judging)
    try:
        value = space["f"](*arguments)
    except Exception as error:  # noqa: BLE001 (as a grader does that tells the student what was raised)
        return str(error)
    with pytest.raises(StopIteration) as end:
        judging.send(value)
    return end.value.value or PAID


def reason(fence, source, assignment):
    """Return why a call brings no value, as a public check would say it; a hidden test says less."""
    (question,) = assignment.questions
    with (
        Worker(fence, Submitted("mallory", [source])) as worker,
        Conversation(worker, "f", question.limits) as conversation,
    ):
        return conversation.call([], question.returns).told


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_value_is_answered_with_its_reason(name, fence):
    returns, body, test, harm, message = STRANGE[name]
    source = f"def f():\n    {body}\n"
    assignment = Assignment.parse(DECEIVED.replace("RETURNS", returns).replace("TEST", test))

    if harm == PAID:
        assert asked_without_defence(source, assignment) == PAID
    else:
        with pytest.raises(harm):
            asked_without_defence(source, assignment)
    assert examine(fence, [source], assignment=assignment)[0] == {"f": 0}
    assert message in reason(fence, source, assignment)


# ---- frames on the channel, written by the student ------------------------------------------------

FORGED = """
import os, struct, time
def f():
    text = FRAME
    for fd in range(3, 64):
        try:
            os.write(fd, text)
        except OSError:
            pass
    END
"""
SLEEP, RETURN = "time.sleep(600)", "return 1"
WALK = (
    "def walk(value, depth=250):\n        if not depth:\n            raise RecursionError\n"
    "        for item in value.values() if isinstance(value, dict) else value:\n"
    "            walk(item, depth - 1)\n    walk(answer)"
)
"""A test that goes down into an answer; it stands for one that needs more of the stack at each level."""
WAITS = "it still waits"
FRAMES = {
    "own-51-a-frame-without-end": (
        *("struct.pack('>I', 0xffffffff) + bytes(100_000)", SLEEP),
        *("length_of", WAITS, "4,294,967,295 bytes"),
    ),
    "own-52-a-frame-that-is-no-json": (
        *("struct.pack('>I', 4) + b'\\xff{]['", RETURN),
        *("decode", ValueError, "codec"),
    ),
    "own-53-a-frame-of-nested-lists": (
        *("struct.pack('>I', 50000) + b'[' * 50000", RETURN),
        *("decode", RecursionError, "recursion"),
    ),
    "own-54-a-frame-of-one-long-number": (
        *("struct.pack('>I', 50000) + b'9' * 50000", RETURN),
        *("decode", ValueError, "digits"),
    ),
    "own-55-a-frame-of-a-list": (
        *("struct.pack('>I', 3) + b'[1]'", RETURN),
        *("_understood", TypeError, "cannot be read"),
    ),
    "own-56-a-frame-with-true-for-one": (
        *("struct.pack('>I', 15) + b'{\"value\": true}'", RETURN),
        *("received", PAID, "another type"),
    ),
    "own-57-half-a-frame": (
        *("struct.pack('>I', 400) + b'{\"value\": '", SLEEP),
        *("Conversation._left", WAITS, "no answer within"),
    ),
}
HUGE_FRAMES = {
    "own-179-a-frame-with-a-number-that-is-infinite": (
        *(
            "dict",
            'b\'{"value": {"a": 1e999}}\'',
            "import json\n    json.dumps(answer, allow_nan=False)",
            ValueError,
        ),
        "which is not a number",
    ),
    "own-180-a-frame-of-ints-with-one-hash": (
        "list[int]",
        "b'{\"value\": [' + b','.join(b'%d' % (k * (2**61 - 1)) for k in range(1, 2500)) + b']}'",
        (
            "import time; start = time.process_time(); set(answer); slow = time.process_time() - start\n"
            "    start = time.process_time(); set(range(2500)); once = time.process_time() - start\n"
            "    return None if slow > 100 * once else 'Quick.'"
        ),
        *(PAID, "more than 64 bits"),
    ),
    "own-181-a-frame-that-is-nested-deeper-than-answers-are": (
        *("dict", "b'{\"value\": {\"a\": ' + b'[' * 300 + b']' * 300 + b'}}'", WALK, RecursionError),
        "nested deeper than 50",
    ),
}


@pytest.mark.parametrize("name", HUGE_FRAMES)
def test_a_forged_value_is_no_other_than_one_that_is_returned(name, fence, monkeypatch):
    """What the worker refuses to send can still be written to the channel."""
    returns, frame, test, harm, message = HUGE_FRAMES[name]
    forged = FORGED.replace("FRAME", f"struct.pack('>I', len({frame})) + {frame}").replace("END", SLEEP)
    assignment = Assignment.parse(DECEIVED.replace("RETURNS", returns).replace("TEST", test))

    assert message in reason(fence, forged, assignment)
    assert examine(fence, [forged], assignment=assignment)[0] == {"f": 0}
    monkeypatch.setattr("memsim.grading.sandbox.conversation.cannot_travel", lambda _: "")
    with (
        Worker(NONE, Submitted("mallory", [forged])) as worker,
        Conversation(worker, "f", assignment.questions[0].limits) as conversation,
    ):
        value = conversation.call([], assignment.questions[0].returns)
    (rule,) = assignment.questions[0].tests
    judging = rule(None, {})
    next(judging)
    with pytest.raises(StopIteration if harm == PAID else harm) as end:
        judging.send(value)
    assert harm != PAID or end.value.value is None


SLOW = (
    DECEIVED.replace("RETURNS", "int")
    .replace("TEST", "return None if answer == 1 else 'No.'")
    .replace("{a_rule: 1}", "{a_rule: 1, another: 1}")
    .replace(
        "ASSIGNMENT =",
        """
def another(rng, mine):
    "Another rule."
    answer = yield []
    while answer:
        pass
ASSIGNMENT =""",
    )
    .replace("{a_rule: 1, another: 1}", "{another: 1, a_rule: 1}")
    .replace('[Question("f"', "[Question(name")
    .replace("})])", '}) for name in ("f", "g")])')
)
"""Two questions, each with a test that a strange value sends astray and one that it does not."""


def test_own_189_a_value_that_sends_a_test_astray_costs_its_time_once(fence, monkeypatch):
    """The test runs in the grader: each of its calls had the whole time again, for each test."""
    monkeypatch.setattr("memsim.grading.run.judging._JUDGING_SECONDS", 1)
    given = []
    before = signal.setitimer
    monkeypatch.setattr(
        signal, "setitimer", lambda kind, seconds: (given.append(seconds), before(kind, seconds))
    )
    cells = ["def f():\n    return 7\ndef g():\n    return 7"]
    results = Examiner(Assignment.parse(SLOW), fence, "k").examine(Submitted("mallory", cells))

    assert [test.needs_teacher for result in results for test in result.tests] == [True] * 4
    astray = [result.tests[0].message for result in results]
    assert "could not be judged (JudgingError)" in astray[0]
    assert sorted({seconds for seconds in given if seconds}) == [0.1, 1]
    rights = ["def f():\n    return 0\ndef g():\n    return 0"]
    results = Examiner(Assignment.parse(SLOW), fence, "k").examine(Submitted("ada", rights))
    assert [test.needs_teacher for result in results for test in result.tests] == [False] * 4


WITHOUT = {
    "length_of": lambda header, _: int.from_bytes(header),
    "decode": json.loads,
    "_understood": lambda reply, _: reply["value"],
    "received": lambda value, _: (value, None),
    "Conversation._left": lambda _: 10.0**6,
}
"""What stands in the place of each defence in a grader that trusts the student's process."""


def read_without(defence, source, seconds, monkeypatch):
    """Return what such a grader reads, or what ends it."""
    monkeypatch.setattr(f"memsim.grading.sandbox.conversation.{defence}", WITHOUT[defence])
    answers = Queue()

    def ask():
        try:
            with Conversation(worker, "f", Limits(answer_kib=64)) as conversation:
                answers.put(conversation.call([], int))
        except Exception as error:  # noqa: BLE001 (whatever it is, it ends the grader)
            answers.put(error)

    with Worker(NONE, Submitted("mallory", [source])) as worker:
        asking = Thread(target=ask)
        asking.start()
        try:
            return answers.get(timeout=seconds)
        except Empty:
            worker.stop()
            return WAITS
        finally:
            monkeypatch.undo()
            asking.join()


@pytest.mark.parametrize("name", FRAMES)
def test_a_forged_frame_is_an_answer_that_cannot_be_read(name, fence, monkeypatch):
    frame, end, defence, harm, message = FRAMES[name]
    source = FORGED.replace("FRAME", frame).replace("END", end)

    read = read_without(defence, source, 3 if harm == WAITS else PATIENCE, monkeypatch)
    if isinstance(harm, type):
        assert isinstance(read, harm)
    else:
        assert read == (1 if harm == PAID else harm)
    assignment = IMPATIENT if defence == "Conversation._left" else ONE
    assert examine(fence, [source], assignment=assignment)[0] == {"f": 0}
    assert message in reason(fence, source, assignment)
