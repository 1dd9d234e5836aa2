"""Answers that look right and are of another type, or of none that can be compared.

Where a grader compares what the student's function returns with ``==``, the student's class decides.
"""

import pytest

from memsim.grading.assignment import Assignment

from .stage import examine

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
from memsim.grading import Assignment, Question
def one(rng, mine):
    """It is one."""
    answer = yield []
    return None if answer == 1 else "It is not one."
ASSIGNMENT = Assignment("one", 0, [Question("f", 1, "compute", int, {one: 1})])
'''
ONE = Assignment.parse(GRADING)


@pytest.mark.parametrize("name", EQUAL_TO_ONE)
def test_a_value_that_is_only_equal_is_refused(name, fence):
    space = {}
    exec(EQUAL_TO_ONE[name], space)  # noqa: S102 (harmless, and shows what a comparison would say)
    assert space["f"]() == 1

    scores, messages = examine(fence, [EQUAL_TO_ONE[name]], assignment=ONE)
    assert scores == {"f": 0}
    assert "returns another type" in messages[0]


BIG = '''
from memsim.grading import Assignment, Question
def any_answer(rng, mine):
    """It is an answer."""
    answer = yield []
    return "It is not the answer."
ASSIGNMENT = Assignment("any", 0, [Question("f", 1, "compute", RETURNS, {any_answer: 1})])
'''
STRANGE = {
    "own-39-not-a-number": ("float", "return float('nan')", "no number"),
    "own-40-infinity-in-a-list": ("list[float]", "return [1.0, float('inf')]", "item 1 is inf"),
    "own-41-half-a-character": ("int | str", "return '\\ud800' * 10", "It is not the answer."),
    "own-42-deep-nesting": (
        "list",
        "x = []\n    for _ in range(10**5): x = [x]\n    return x",
        "nested deeper",
    ),
    "own-43-a-list-that-holds-itself": ("list", "x = []\n    x.append(x)\n    return x", "nested deeper"),
    "own-44-keys-that-are-no-text": ("dict[str, int]", "return {1: 1}", "key of type int"),
    "own-45-a-key-twice": (
        "dict[str, int]",
        "class S(str): __hash__ = lambda s: id(s)\n    return {S('a'): 1, S('a'): 2}",
        "key of type S",
    ),
    "own-46-a-tuple": ("list[int]", "return (1, 2)", "is a tuple"),
    "own-47-a-generator": ("list[int]", "return (n for n in [1])", "is a generator"),
    "own-48-nothing": ("int", "pass", "is None"),
    "own-49-a-name-that-raises": (
        "int",
        "class M(type): __name__ = property(lambda cls: exit())\n    return M('X', (), {})()",
        "raised",
    ),
    "own-50-an-exception-that-cannot-be-told": (
        "int",
        "class E(Exception):\n        def __str__(self): raise SystemExit\n    raise E",
        "cannot be shown",
    ),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_value_is_answered_with_its_reason(name, fence):
    returns, body, message = STRANGE[name]
    assignment = Assignment.parse(BIG.replace("RETURNS", returns))
    scores, messages = examine(fence, [f"def f():\n    {body}\n"], assignment=assignment)

    assert scores == {"f": 0}
    assert message in messages[0]


FORGED = """
import os, struct
def f():
    text = FRAME
    for fd in range(3, 64):
        try:
            os.write(fd, text)
        except OSError:
            pass
    END
"""
FRAMES = {
    "own-51-a-frame-without-end": ("struct.pack('>I', 0xffffffff)", "return 1"),
    "own-52-a-frame-that-is-no-json": ("struct.pack('>I', 4) + b'\\\\xff{]['", "return 1"),
    "own-53-a-frame-of-nested-lists": ("struct.pack('>I', 50000) + b'[' * 50000", "return 1"),
    "own-54-a-frame-of-one-long-number": ("struct.pack('>I', 50000) + b'9' * 50000", "return 1"),
    "own-55-a-frame-with-not-a-number": ("struct.pack('>I', 14) + b'{\"value\": NaN}'", "return 1"),
    "own-56-a-frame-with-a-forged-verdict": (
        "struct.pack('>I', 31) + b'{\"value\": 1, \"passed\": [1,2,3]}'",
        "return 1",
    ),
    "own-57-half-a-frame": ("struct.pack('>I', 400) + b'{\"value\": '", "os._exit(0)"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_forged_frame_is_an_answer_that_cannot_be_read(name, fence):
    frame, end = FRAMES[name]
    source = FORGED.replace("FRAME", frame.replace("\\\\", "\\")).replace("END", end)
    scores, messages = examine(fence, [source], assignment=ONE)

    assert scores == {"f": 0}
    assert "cannot be read" in messages[0] or "ended" in messages[0]
