"""Attacks on the grading of other people's notebooks, whose tests want more of a student than values.

Each first shows what the test does in the process of the student, where nbgrader's autograder executes it.
"""

import ast
import contextlib
import importlib
import io
import json
import math
import operator
import os
import pickle
import statistics
import timeit
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from memsim.grading.assignment.cells import LIMITS, assignment_of
from memsim.grading.run.budget import AFTER_SLEEP, Budget
from memsim.grading.run.cells import _Exchange, _peer
from memsim.grading.run.grade import Grader
from memsim.grading.sandbox import guest
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.fences import BUBBLEWRAP
from memsim.grading.sandbox.worker import Worker
from tests.exercises.test_handout import SOLUTION, TEST, cell
from tests.tiers import breadth

HELPERS = "import numpy as np\n"
SOLVED = {
    "f": "def f(x):\n    return 2 * x\n",
    "g": "def g(function):\n    return [function(n) for n in range(3)]\n",
    "a": "a = np.arange(3.0)\n",
    "Box": "class Box:\n    def __init__(self, value):\n        self.value = value\n"
    "    def doubled(self):\n        return 2 * self.value\n",
}
TESTS = {
    "doubles": "assert f(2) == 4\n### BEGIN HIDDEN TESTS\nassert f(21) == 42\n### END HIDDEN TESTS\n",
    "once": "assert f(3) == 6\n",
    "calls back": "assert g(lambda n: n * n) == [0, 1, 4]\n",
    "array": "assert np.allclose(a, [0, 1, 2])\nassert a.shape == (3,)\n",
    "live": "box = Box(4)\nassert box.doubled() == 8\nassert box.value == 4\n",
    "raises": "try:\n    f(None)\nexcept TypeError:\n    pass\nelse:\n    assert False, 'no TypeError'\n",
}


def source(tests):
    """Return the text of a source notebook with these test cells."""
    answers = [
        cell(f"### BEGIN SOLUTION\n{text}### END SOLUTION\n", f"{name}-answer", **SOLUTION)
        for name, text in SOLVED.items()
    ]
    cells = [cell(HELPERS), *answers, *(cell(text, name, **TEST) for name, text in tests.items())]
    return json.dumps(
        {"cells": cells, "metadata": {"memsim": {"name": "other"}}, "nbformat": 4, "nbformat_minor": 5}
    )


def handed(answers, tests=TESTS):
    """Return what a student hands in: the helpers, the answers, and the test cells as they were given out."""
    cells = [cell(HELPERS), *(cell(text, f"{name}-answer", **SOLUTION) for name, text in answers.items())]
    cells += [cell(text, name, **TEST) for name, text in tests.items()]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def graded(fence, answers, tests=TESTS):
    """Return the result of each test cell: points, message, whether the teacher should look."""
    text = source(tests)
    grader = Grader(assignment_of(text), text.encode(), fence, "a key")
    result = grader.grade("mallory", "other.ipynb", handed(answers, tests))
    return {q.name: (q.score, q.tests[0].message, q.tests[0].needs_teacher) for q in result.questions}


def naive(answers, test):
    """Return whether a test passes in the process of the student's code, as nbgrader's autograder runs it."""
    space = {"__name__": "naive"}
    for code in (HELPERS, *answers.values()):
        exec(code, space)  # noqa: S102 (harmless attacks, to show what they do)
    try:
        exec(test, space)  # noqa: S102 (the same)
    except AssertionError:
        return False
    return True


def test_right_answers_pass_every_kind_of_test(fence):
    assert {name: score for name, (score, _, _) in graded(fence, SOLVED).items()} == dict.fromkeys(TESTS, 2)


def test_untouched_and_wrong_answers_pass_none(fence):
    stubs = dict.fromkeys(SOLVED, "# YOUR CODE HERE\nraise NotImplementedError()\n")
    wrong = {
        "f": "def f(x):\n    return 3 * (x or 0)\n",
        "g": "def g(function):\n    return []\n",
        "a": "a = np.arange(4.0)\n",
        "Box": SOLVED["Box"].replace("2 *", "3 *"),
    }
    for answers in (stubs, wrong):
        result = graded(fence, answers)
        assert {score for score, _, _ in result.values()} == {0}
        assert not any(teacher for _, _, teacher in result.values())
    assert graded(fence, wrong)["raises"][1] == "no TypeError"


FORGED = {
    "own-70-an-object-equal-to-everything": (
        "doubles",
        {"f": "class E:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return E()\n"},
    ),
    "own-71-an-int-of-its-own": (
        "doubles",
        {
            "f": "class I(int):\n    def __eq__(self, other):\n        return True\n"
            "def f(x):\n    return I(1)\n"
        },
    ),
    "own-72-the-tests-library-is-patched": (
        "array",
        {"a": "a = np.zeros(3)\nnp.allclose = lambda *_: True\n"},
    ),
    "own-73-a-callback-reads-the-test": (
        "calls back",
        {
            "g": "def g(function):\n    import sys\n    code = sys._getframe(1).f_code\n"
            "    return list(function.__globals__ and [0, 1, 4]) if code.co_name == '<module>' else []\n"
        },
    ),
    "own-74-the-frame-of-the-test-is-read": (
        "once",
        {
            "f": "import sys\ndef f(x):\n    consts = sys._getframe(1).f_code.co_consts\n"
            "    return next(c for c in consts if c != x and type(c) is int)\n"
        },
    ),
    "own-75-an-array-of-its-own-class": (
        "array",
        {
            "a": "class Z(np.ndarray):\n    shape = (3,)\n    def __array_function__(self, *_):\n"
            "        return True\na = np.zeros(5).view(Z)\n"
        },
    ),
}


@pytest.mark.parametrize("name", breadth(FORGED))
def test_what_passes_in_the_students_process_passes_nothing_here(name, fence, monkeypatch):
    test, answers = FORGED[name]
    monkeypatch.setattr("numpy.allclose", np.allclose)  # own-72 leaves it changed

    assert naive({**SOLVED, **answers}, TESTS[test])
    monkeypatch.undo()
    assert graded(fence, {**SOLVED, **answers})[test][0] == 0


ENDS_A_LOOP = "for got, wanted in zip(map(f, [2, 21]), [4, 42]):\n    assert got == wanted\n"


def test_own_182_an_exception_that_ends_loops_ends_no_loop_of_a_test(fence):
    """map() hands StopIteration on to its loop, which then ends as if nothing were left to compare."""
    answers = {**SOLVED, "f": "def f(x):\n    raise StopIteration\n"}
    assert naive(answers, ENDS_A_LOOP)
    score, message, teacher = graded(fence, answers, {"loop": ENDS_A_LOOP})["loop"]
    assert (score, teacher) == (0, False)
    assert "raise StopIteration" not in message
    assert graded(fence, SOLVED, {"loop": ENDS_A_LOOP})["loop"][0] == 2


PEERS = {
    "own-77-the-peer-reports-a-pass": "out.put({'done': {'passed': True, 'unsafe': '', 'number': None}})",
    "own-78-it-asks-for-the-tests-own-names": "out.put({'ask': {'op': 'look', 'name': 'f'}})",
    "own-79-it-changes-what-it-was-given": "out.put({'ask': dict(op='set', object=0, name='x', value=1)})",
    "own-80-it-asks-without-end": "out.put({'ask': {'op': 'call', 'object': 0, 'args': [], 'named': {}}})",
    "own-81-it-sends-what-is-no-value": "out.put({'done': {'t': 'list', 'v': {'t': 'object'}}})",
    "own-82-it-sends-a-type-that-imports": "out.put({'done': {'t': 'module', 'v': 'antigravity'}})",
}
TAKES_OVER = """
import gc, threading
def f(x):
    peer = next(o for o in gc.get_objects() if type(o).__name__ == "Peer")
    out = peer.out
    {0}
    threading.Event().wait(0.2)
    return 0
"""


@pytest.mark.parametrize("name", breadth(PEERS))
def test_the_students_peer_can_say_what_it_likes(name, fence):
    """It answers for the student's side only; a grader that took its word would be paid."""
    answers = {**SOLVED, "f": TAKES_OVER.format(PEERS[name])}
    result = graded(fence, answers, {"doubles": TESTS["doubles"], "live": TESTS["live"]})

    assert result["doubles"][0] == 0
    assert result["live"][0] == 2  # the next test has processes of its own


OF_ITS_OWN = """
import gc
def f(x):
    peer = next(o for o in gc.get_objects() if type(o).__name__ == "Peer")
    peer.ask({"op": "test", "code": CODE, "names": []})
    return 0
CODE = '''
import gc
class Forged:
    def __init__(self, out):
        self.out, self.get = out, out.get
    def put(self, message):
        if "done" in message and "passed" in (message["done"] or ()):
            message["done"] |= {"passed": True, "unsafe": ""}
        self.out.put(message)
for peer in [o for o in gc.get_objects() if o.__class__.__name__ == "Peer"]:
    peer.out = Forged(peer.out)
'''
"""


def test_own_220_the_students_side_gives_the_teachers_side_no_test_to_execute(fence, monkeypatch):
    """What it asks for is executed where the test is: it could put a pass in the place of the report."""
    answers, tests = {**SOLVED, "f": OF_ITS_OWN}, {"doubles": TESTS["doubles"]}
    with monkeypatch.context() as patched:
        patched.setattr("memsim.grading.run.cells._call_alone", lambda asked: asked)
        assert graded(fence, answers, tests)["doubles"][0] == 2

    score, message, teacher = graded(fence, answers, tests)["doubles"]
    assert (score, teacher) == (0, False)
    assert message == "It asks for what is no call of what it was given."


FORGES = OF_ITS_OWN[OF_ITS_OWN.index("CODE = ") :]
EXECUTED = {
    "eval": ("assert eval(f(2)) == 4\n", FORGES + "def f(x):\n    return f'exec({CODE!r})'\n"),
    "exec": ("made = {}\nexec(f(2), made)\nassert made['n'] == 4\n", FORGES + "def f(x):\n    return CODE\n"),
    "compile": (
        "exec(compile(f(2), 'answer', 'exec'))\nassert n == 4\n",
        FORGES + "def f(x):\n    return CODE.encode()\n",
    ),
    "timeit": (
        "import timeit\nassert timeit.timeit(f(2), number=1) == 4\n",
        FORGES + "def f(x):\n    return CODE\n",
    ),
    "put together": (
        "assert eval(''.join(f(2))) == 4\n",
        FORGES + "def f(x):\n    text = f'exec({CODE!r})'\n    return [text[:4], text[4:]]\n",
    ),
    "pickle": (
        "import pickle\nassert pickle.loads(f(2)) == 4\n",
        FORGES + "import pickle\nclass E:\n    def __reduce__(self):\n        return exec, (CODE,)\n"
        "def f(x):\n    return pickle.dumps(E())\n",
    ),
}

EXECUTED |= {
    "own-311-a-tree-of-syntax": (
        "import ast\nmade = {}\nexec(compile(ast.parse(f(2)), 'a', 'exec'), made)\nassert made['n'] == 4\n",
        EXECUTED["exec"][1],
    ),
    "own-312-numbers-that-are-letters": (
        "made = {}\nexec(bytes(f(2)), made)\nassert made['n'] == 4\n",
        FORGES + "def f(x):\n    return list(CODE.encode())\n",
    ),
    "own-313-compiled-before": (
        "import marshal\nmade = {}\nexec(marshal.loads(f(2)), made)\nassert made['n'] == 4\n",
        FORGES + "import marshal\ndef f(x):\n    return marshal.dumps(compile(CODE, 'answer', 'exec'))\n",
    ),
    "own-314-what-it-prints": (
        "import contextlib as c, io\nwith c.redirect_stdout(io.StringIO()) as t: f(2)\neval(t.getvalue())\n",
        FORGES + "def f(x):\n    print(f'exec({CODE!r})', end='')\n",
    ),
    "own-315-what-its-exception-says": (
        "try:\n    f(2)\nexcept ValueError as error:\n    eval(str(error))\nelse:\n    assert False\n",
        FORGES + "def f(x):\n    raise ValueError(f'exec({CODE!r})')\n",
    ),
}


@pytest.mark.parametrize("kind", breadth(EXECUTED, "eval", "own-311-a-tree-of-syntax"))
def test_own_295_no_test_executes_what_the_student_has_sent(kind, fence, monkeypatch):
    """It would be executed where the test is, and could put a pass in the place of the report."""
    test, answer = EXECUTED[kind]
    answers, peer = {**SOLVED, "f": answer}, _peer
    with monkeypatch.context() as patched:
        patched.setattr(
            "memsim.grading.run.cells._peer",
            lambda *, judges: peer(judges=judges).replace("sys.addaudithook(self.watch)", "pass"),
        )
        assert graded(fence, answers, {"cell": test})["cell"][0] == 2

    score, message, teacher = graded(fence, answers, {"cell": test})["cell"]
    assert (score, teacher) == (0, True)
    assert "it executes a text or an object that may be the student's" in message


OF_THE_TEST = {
    "a class with types": "import typing\nclass N(typing.NamedTuple):\n    n: int\nassert N(4).n == f(2)\n",
    "a function for each type": "import functools\n@functools.singledispatch\ndef of(x):\n    return 0\n"
    "@of.register\ndef _(x: int):\n    return x\nassert of(f(2)) == 4\n",
    "the time of a call": "import timeit\nassert timeit.timeit(lambda: f(2), number=2) < 60\n",
    "a text": "assert eval(' 2 + 2') == f(2)\n",
}


@pytest.mark.parametrize("kind", OF_THE_TEST)
def test_what_a_test_executes_of_its_own_is_no_fault(kind, fence):
    test = "assert f([1]) == [1, 1]\n" + OF_THE_TEST[kind]
    assert graded(fence, SOLVED, {"cell": test})["cell"] == (2, "", False)


def test_a_name_that_stands_in_a_text_is_for_the_teacher(fence):
    """Only names that the test's own code has are asked for; it is no fault of the student's."""
    result = graded(fence, SOLVED, {"cell": "assert eval('f(2)') == 4\n"})
    assert result["cell"][::2] == (0, True)
    assert "it uses f, of which its text does not tell" in result["cell"][1]
    missing = {**SOLVED, "f": "def h(x):\n    return other\n"}
    assert graded(fence, missing, {"cell": "assert f(2) == 4\n"})["cell"][::2] == (0, False)
    raising = {**SOLVED, "f": "def f(x):\n    return other\n"}
    assert graded(fence, raising, {"cell": "assert f(2) == 4\n"})["cell"][::2] == (0, False)


def test_what_pythons_library_executes_for_a_test_is_no_texts_of_the_students(fence):
    test = (
        "assert f('a') == 'aa'\nimport ast, collections, dataclasses, xml.dom.minidom\n"
        "Pair = collections.namedtuple('Pair', 'a b')\n"
        "@dataclasses.dataclass\nclass Own:\n    n: int\n"
        "assert f(Pair(1, 2).b) == f(Own(2).n) == ast.literal_eval('[4]')[0]\n"
    )
    assert graded(fence, SOLVED, {"cell": test})["cell"] == (2, "", False)
    first = "assert eval('2 + 2') == 4\n"  # nothing of the student's has come yet
    assert graded(fence, SOLVED, {"cell": first + TESTS["doubles"]})["cell"] == (2, "", False)
    own = "assert f('a') == 'aa'\nassert eval('2 + 2') == 4\n"  # it stands in the test
    assert graded(fence, SOLVED, {"cell": own + TESTS["doubles"]})["cell"] == (2, "", False)
    numbers = "assert [eval(f'{n} + {f(n)}') for n in range(3)] == [0, 3, 6]\n"
    assert graded(fence, SOLVED, {"cell": numbers})["cell"] == (2, "", False)


@pytest.mark.parametrize("asked", breadth(["{}", "7", "[]", "{'object': 0, 'args': [], 'named': {}}"]))
def test_own_221_what_is_no_operation_does_not_hold_the_teachers_side(asked, fence):
    """The other side could only fail at it, and the test cell with it, as if the fault were the teacher's."""
    space = {"__name__": "peer"}
    exec((Path(guest.__file__).parent / "peer.py").read_text(), space)  # noqa: S102 (ours)
    peer = space["Peer"]({}, judges=True)
    with pytest.raises((KeyError, TypeError)):
        peer._done(ast.literal_eval(asked))  # noqa: SLF001 (what its thread does)

    answers = {**SOLVED, "f": TAKES_OVER.format(f"out.put({{'ask': {asked}}})")}
    score, message, teacher = graded(fence, answers, {"doubles": TESTS["doubles"]})["doubles"]
    assert (score, teacher) == (0, False)
    assert message == "It asks for what is no call of what it was given."


@pytest.mark.parametrize("given", breadth(["eval", "exec", "getattr", "open"]))
def test_own_246_no_function_that_reaches_everything_is_given_to_the_students_side(given, fence):
    space = {"__name__": "peer"}
    exec((Path(guest.__file__).parent / "peer.py").read_text(), space)  # noqa: S102 (ours)
    peer = space["Peer"]({}, judges=True)
    peer.kept.append(eval)
    called = {"op": "call", "object": 0, "args": ["6 * 7"], "named": {}}
    assert peer._do(called) == 42  # noqa: SLF001 (what the teacher's side does when it was given)

    score, message, teacher = graded(fence, SOLVED, {"cell": f"g({given})\n"})["cell"]
    assert (score, teacher) == (0, True)
    assert f"it gives {given}() to the student's code" in message


GIVEN_AWAY = {
    "pickle": ("import pickle\ng(pickle.loads)\n", pickle.loads, pickle.dumps(Path("/left"))),
    "timeit": ("import timeit\ng(timeit.timeit)\n", timeit.timeit, "import math"),
    "a module": ("import importlib\ng(importlib.import_module)\n", importlib.import_module, "math"),
    "os": ("import os\ng(os.listdir)\n", os.listdir, "/"),
    "numpy": ("g(np.load)\n", np.load, os.devnull),
    "a template": ("g('{0.__globals__}'.format)\n", "{0}".format, "x"),
    "any template": ("g(str.format)\n", str.format, "{0.__globals__[wanted]}"),
    "a part": ("import functools\ng(functools.partial(getattr, np))\n", partial(getattr, np), "load"),
    "a name": ("import operator\ng(operator.attrgetter('x'))\n", attrgetter("real"), 1),
}


def peer_of_the_teacher():
    space = {"__name__": "peer"}
    exec((Path(guest.__file__).parent / "peer.py").read_text(), space)  # noqa: S102 (ours)
    return space["Peer"]({"__name__": "notebook"}, judges=True)


@pytest.mark.parametrize("kind", breadth(GIVEN_AWAY))
def test_own_217_no_function_that_reads_or_executes_is_given_to_the_students_side(kind, fence):
    """A list of what must not be given has holes; this is a list of what may."""
    test, function, argument = GIVEN_AWAY[kind]
    peer = peer_of_the_teacher()
    peer.kept += [function, test_own_217_no_function_that_reads_or_executes_is_given_to_the_students_side]
    called = {"op": "call", "object": 0, "args": [peer.pack(argument)], "named": {}}
    if kind == "any template":
        called["args"].append({"t": "yours", "v": 1})  # a function that the test has given, too
    with contextlib.suppress(Exception, BaseException):
        peer._do(called)  # noqa: SLF001 (given, it is called)
    assert not peer._harmless(function)  # noqa: SLF001
    score, message, teacher = graded(fence, SOLVED, {"cell": test})["cell"]
    assert (score, teacher) == (0, True)
    assert "to the student's code" in message


def test_own_217_none_of_them_is_harmless():
    peer = peer_of_the_teacher()
    assert [kind for kind, (_, function, _) in GIVEN_AWAY.items() if peer._harmless(function)] == []  # noqa: SLF001


MAY_BE_GIVEN = [
    *(len, abs, sorted, max, str, int, list, print, round, pow, math.sin, operator.add, np.sin, np.mean),
    *([].append, {}.get, set().add, "a-b".split, str.upper, "".join, statistics.mean, ValueError, sum),
]


def test_what_computes_may_be_given():
    peer = peer_of_the_teacher()
    assert [function for function in MAY_BE_GIVEN if not peer._harmless(function)] == []  # noqa: SLF001


def test_functions_of_the_tests_own_may_be_given_and_remember(fence):
    tests = {
        "remembers": "seen = []\ng(seen.append)\nassert seen == [0, 1, 2]\n",
        "counts": "class Own:\n    def __init__(self):\n        self.n = 0\n"
        "    def more(self, k):\n        self.n += k\n        return self.n\n"
        "own = Own()\nassert g(own.more) == [0, 1, 3]\nassert own.n == 3\n",
        "computes": "import math\nassert g(math.sqrt)[1] == 1\nassert g(abs) == [0, 1, 2]\n",
    }
    assert graded(fence, SOLVED, tests) == dict.fromkeys(tests, (2, "", False))


NOTHING = {
    "an empty list in all()": ("assert all(n == k for k, n in enumerate(g(abs)))\n", "g", "[]"),
    "an empty array": (
        "assert np.all(np.abs(f(np.ones(3)) - 2 * np.ones(3)) < 1e-9)\n",
        "f",
        "np.ones((0, 1))",
    ),
    "an array of no rows": ("assert np.allclose(f(np.ones(3)), 2 * np.ones(3))\n", "f", "np.ones((0, 3))"),
    "no number": (
        "y = f(2.0)\nif abs(y - 4) > 1e-9:\n    raise AssertionError('far')\n",
        "f",
        "float('nan')",
    ),
    "no numbers": (
        "y = f(np.ones(3))\nassert not (np.abs(y - 2) > 1e-9).any()\n",
        *("f", "np.full(3, np.nan)"),
    ),
    "an empty text": ("assert all(c in 'abc' for c in f('a'))\n", "f", "''"),
    "an empty dict": ("for name, n in f(3).items() if f(1) != 2 else ():\n    assert n\n", "f", "{}"),
}


def finds_nothing(result):
    """Assert that a test was left to the teacher, since what it looked at was nothing."""
    score, message, teacher = result
    assert (score, teacher) == (0, True)
    assert message.startswith("It passes with an empty or missing value where the solution gives one")


@pytest.mark.parametrize("kind", breadth(NOTHING))
def test_own_216_a_test_that_looks_at_nothing_is_for_the_teacher(kind, fence):
    """What it says of each item it says of none."""
    test, name, nothing = NOTHING[kind]
    argument = "function" if name == "g" else "x"
    hollow = {**SOLVED, name: f"def {name}({argument}):\n    return {nothing}\n"}
    assert naive(hollow, test)

    finds_nothing(graded(fence, hollow, {"cell": test})["cell"])
    assert graded(fence, SOLVED, {"cell": test})["cell"] == (2, "", False)


EACH = "y = f(np.ones(3))\nfor n in range({0}):\n    assert y[n] == 2\n"
NO_ITEMS = "class N:\n    size = 0\n    def __len__(self):\n        return 0\ndef f(x):\n    return N()\n"
NO_NUMBERS = {
    "a complex number": ("assert not abs(f(2.0) - 4) > 1e-9\n", "def f(x):\n    return complex('nan')\n"),
    "one of numpy's": ("assert not abs(f(2.0) - 4) > 1e-9\n", "def f(x):\n    return np.complex64('nan')\n"),
    "an array of complex numbers": (
        "assert not (np.abs(f(np.ones(3)) - 2) > 1e-9).any()\n",
        "def f(x):\n    return np.full(3, complex('nan'))\n",
    ),
    "infinity": (
        "y = f(2.0)\nassert not abs(y - 4) / max(abs(y), 4) > 1e-9\n",
        "def f(x):\n    return float('inf')\n",
    ),
    "less than anything": ("assert f(2.0) - 4 < 1e-9\n", "def f(x):\n    return float('-inf')\n"),
    "the length of an object": (EACH.format("len(y)"), NO_ITEMS),
    "the size of an object": (EACH.format("y.size"), NO_ITEMS),
}


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_own_267_a_test_finds_no_fault_in_what_is_no_number_or_has_no_items(kind, fence):
    test, answer = NO_NUMBERS[kind]
    assert naive({**SOLVED, "f": answer}, test)

    score, _, teacher = graded(fence, {**SOLVED, "f": answer}, {"cell": test})["cell"]
    assert (score, teacher) == (0, True)
    assert graded(fence, SOLVED, {"cell": test})["cell"] == (2, "", False)


BELOW = "class N:\n    size = -1\ndef f(x):\n    return N()\n"
IN_TWO_MINDS = (
    "class L:\n    def __len__(self):\n        return 3\n    def __iter__(self):\n        return iter([0])\n"
    "def g(function):\n    return L()\n"
)
FIRST_WELL = (
    "class B:\n    asked = 0\n    @property\n    def items(self):\n        B.asked += 1\n"
    "        return [0, 7, 7] if B.asked == 1 else [0]\ndef g(function):\n    return B()\n"
)
IN_PAIRS = "for got, wanted in zip({0}, [0, 1, 4]):\n    assert got == wanted\n"
INVERSE = (
    "def f(x):\n    p = 7\n    return [np.uint64(p), np.uint64(2 * x * pow(p, -1, 1 << 64) % (1 << 64))]\n"
)
TO_ITEMS = "class Bag:\n    items = (0, 1, 4)\ndef g(function):\n    return Bag()\n"
TO_FACTORS = "def f(x):\n    return [2, x]\n"
TO_SIDES = "def f(x):\n    return [2.5 * x, 1.5 * x]\n"
STRANGE = {
    "own-280-an-object-longer-than-its-items": (
        "y = g(lambda n: n * n)\nassert len(y) == 3\n" + IN_PAIRS.format("y"),
        *("g", IN_TWO_MINDS, SOLVED["g"]),
    ),
    "own-281-another-list-at-the-second-look": (
        "y = g(lambda n: n * n)\nassert len(y.items) == 3\n" + IN_PAIRS.format("y.items"),
        *("g", FIRST_WELL, TO_ITEMS),
    ),
    "own-282-a-text-without-words": (
        "assert all(word in ('ab', 'abab') for word in f('ab').split())\n",
        *("f", "def f(x):\n    return ' '\n", SOLVED["f"]),
    ),
    "own-283-three-digits-where-seven-are-asked": (
        "assert abs(f(1.570796326) - 3.141592653) < 1e-6\n",
        *("f", "def f(x):\n    return np.float16(3.14)\n", SOLVED["f"]),
    ),
    "own-284-nothing-where-a-small-number-is-asked": (
        "assert f(3.3e-34) == 6.6e-34\n",
        *("f", "def f(x):\n    return np.float16(0)\n", SOLVED["f"]),
    ),
    "own-285-a-product-that-begins-again-at-0": (
        "p, q = f(15)\nassert p > 1 and q > 1 and p * q == 30\n",
        *("f", INVERSE, TO_FACTORS),
    ),
    "own-286-squares-that-are-infinite": (
        "a, b = f(2.0)\nassert not abs(a * a - b * b - 16) > 1e-6\n",
        *("f", "def f(x):\n    return [1e200, 1e200]\n", TO_SIDES),
    ),
    "own-287-a-size-below-nothing": (EACH.format("y.size"), "f", BELOW, SOLVED["f"]),
}


def in_the_solution(fence, name, right, test, answer):
    """Return what a class gets for an answer to a task with this solution."""
    text = source({"cell": test}).replace(json.dumps(SOLVED[name])[1:-1], json.dumps(right)[1:-1])
    grader = Grader(assignment_of(text), text.encode(), fence, "a key")
    result = grader.grade("mallory", "other.ipynb", handed({**SOLVED, name: answer}, {"cell": test}))
    (question,) = result.questions
    return question.score, question.tests[0].message, question.tests[0].needs_teacher


@pytest.mark.parametrize("kind", breadth(STRANGE))
def test_a_value_in_which_a_test_finds_no_fault_is_for_the_teacher(kind, fence):
    test, name, answer, right = STRANGE[kind]
    with np.errstate(over="ignore"):
        assert naive({**SOLVED, name: answer}, test)

    finds_nothing(in_the_solution(fence, name, right, test, answer))
    assert in_the_solution(fence, name, right, test, right) == (2, "", False)


NAN = "assert not abs(f(2.0) - 4) > 1e-9\n"
NANS = "assert not (np.abs(f(np.ones(3)) - 2) > 1e-9).any()\n"
RISES = "y = f(np.array([3, 1, 2]))\nassert sorted(y.tolist()) == [2, 4, 6] and (np.diff(y) >= 0).all()\n"
SQUARES = "a, b = f(2.0)\nassert not abs(a * a - b * b - 16) > 1e-6\n"
LONG = "{'t': 'array', 'v': ['1e3000'], 'shape': [], 'dtype': '<f16', 'single': True}"
IN_OTHER_LETTERS = {
    "own-301-no-number-in-capital-letters": (NAN, "float('nan')", "{'t': 'float', 'v': 'NaN'}", "2 * x"),
    "own-301-a-complex-one": (NAN, "complex('nan')", "{'t': 'complex', 'v': 'NAN+NANj'}", "2 * x"),
    "own-301-an-array-of-texts": (
        NANS,
        "np.full(3, np.nan)",
        "{'t': 'array', 'v': ['nan'] * 3, 'shape': [3], 'dtype': '<f8', 'single': False}",
        "2 * x",
    ),
    "own-301-a-float-for-a-number": (
        SQUARES,
        "[1e200, 1e200]",
        "{'t': 'list', 'v': [{'t': 'float', 'v': 1e200}] * 2}",
        "[2.5 * x, 1.5 * x]",
    ),
    "own-301-no-bytes-of-two-blanks": (
        "assert all(b in b'ab' for b in f('a'))\n",
        "b''",
        "{'t': 'bytes', 'v': '  '}",
        "(2 * x).encode()",
    ),
    "own-302-complex-squares-that-are-no-numbers": (
        "y = f(2.0)\nassert not abs((y * y - 16) / (y * y + 1)) > 1e-9\n",
        "complex(1e200, 1e200)",
        "",
        "2 * x",
    ),
    "own-303-longer-floats-than-a-float": (
        "a, b = f(2.0)\nassert not abs(a * a - b * b - 16) > 1e-6\n",
        "[np.longdouble('1e3000')] * 2",
        "{'t': 'list', 'v': [LONG] * 2}".replace("LONG", LONG),
        "[2.5 * x, 1.5 * x]",
    ),
    "own-304-a-difference-without-a-sign": (
        RISES,
        "(2 * x).astype('u1')",
        "",
        "np.sort(2 * x)",
    ),
}


@pytest.mark.parametrize("kind", breadth(IN_OTHER_LETTERS))
def test_a_value_is_looked_at_and_not_how_it_is_written(kind, fence):
    test, value, written, right = IN_OTHER_LETTERS[kind]
    answer = f"def f(x):\n    return {value}\n"
    with np.errstate(all="ignore"):
        assert naive({**SOLVED, "f": answer}, test)

    sent = TAKES_OVER.format(f"out.put({{'done': {written}}})") if written else answer
    solved = f"def f(x):\n    return {right}\n"
    finds_nothing(in_the_solution(fence, "f", solved, test, sent))
    assert in_the_solution(fence, "f", solved, test, solved) == (2, "", False)


ELSEWHERE = {
    "own-305-nothing-where-the-solution-has-nothing-in-a-part": (
        "links = f({'a': 'b'})\nfor name, others in links.items():\n    assert set(others) <= set(links)\n",
        "{}",
        "{'a': ['b'], 'b': []}",
    ),
    "own-305-one-part-of-two": (
        "links = f({'a': 'b'})\nfor name, others in links.items():\n    assert set(others) <= set(links)\n",
        "{'a': []}",
        "{'a': ['b'], 'b': []}",
    ),
    "own-306-nothing-at-another-question": (
        "assert len(f('')) < 2\nassert all(c == 'a' for c in f('a'))\n",
        "'' if x else 'b'",
        "2 * x",
    ),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_is_empty_in_the_solution_makes_nothing_else_right(kind, fence):
    """Empty values were counted, and the solution has as many."""
    test, value, right = ELSEWHERE[kind]
    answer, solved = (f"def f(x):\n    return {text}\n" for text in (value, right))
    assert naive({**SOLVED, "f": answer}, test)
    finds_nothing(in_the_solution(fence, "f", solved, test, answer))
    assert in_the_solution(fence, "f", solved, test, solved) == (2, "", False)


OTHER_FORMS = {
    "a number of numpy's": (
        "assert f([1, 2])['sum'] == 3\nassert f([1, 2])['missing'] == []\n",
        "{'sum': np.sum(x), 'missing': []}",
        "{'sum': sum(x), 'missing': []}",
    ),
    "a list for an array": (
        "name, numbers = f(3)\nassert name == '' and list(numbers) == [0, 1, 2]\n",
        "('', np.arange(x))",
        "('', list(range(x)))",
    ),
    "other questions each time": (
        "import random\nfor n in 0, 1, *random.choices([0, 1], k=9):\n    assert len(f([n] * n)) == n + n\n",
        "2 * x",
        "x + x",
    ),
    "another order": (
        "assert {one.n: one.others for one in f(2)} == {0: [], 1: [0]}\n",
        "[N(0, []), N(1, [0])]\nclass N:\n    def __init__(self, *of):\n        self.n, self.others = of",
        "[N(1, [0]), N(0, [])]\nclass N:\n    def __init__(self, *of):\n        self.n, self.others = of",
    ),
}


@pytest.mark.parametrize("kind", OTHER_FORMS)
def test_a_right_answer_of_another_form_has_no_less_in_it(kind, fence):
    test, right, other = OTHER_FORMS[kind]
    solved, answer = (f"def f(x):\n    return {text}\n" for text in (right, other))
    assert in_the_solution(fence, "f", solved, test, answer) == (2, "", False)
    assert in_the_solution(fence, "f", answer, test, solved) == (2, "", False)


def test_own_307_another_argument_than_the_solutions_may_not_be_changed(fence):
    """Changed arguments were counted, and the solution changes one, too."""
    test = "a, b = [1], [2, 3]\nf(a, b)\nassert set(b) <= set(a)\n"
    answer, solved = (f"def f(x, y):\n    {text}\n" for text in ("y[:] = x", "x.extend(y)"))
    assert naive({**SOLVED, "f": answer}, test)
    score, message, teacher = in_the_solution(fence, "f", solved, test, answer)
    assert (score, teacher) == (0, True)
    assert message == "It passes because your code changes what it is given; your teacher has been informed."
    assert in_the_solution(fence, "f", solved, test, solved) == (2, "", False)


def test_objects_that_say_the_same_twice_are_values_like_others(fence):
    tests = {
        "generator": "assert list(f(3)) == [0, 2, 4]\n",
        "range": "y = f(3)\nassert len(y) == 3\nassert list(y) == [0, 2, 4]\nassert y[1] == 2\n",
    }
    for answer in ("(2 * n for n in range(x))", "range(0, 2 * x, 2)", "{0: 0, 2: 1, 4: 2}.keys()"):
        answers = {**SOLVED, "f": f"def f(x):\n    return {answer}\n"}
        test = "range" if "range(0" in answer else "generator"
        assert graded(fence, answers, {"cell": tests[test]})["cell"] == (2, "", False)


GIVES_ITSELF = {
    "a list": ("x[:] = [7]\n    return [7, 7]", "a = [1, 3]\nassert f(a) == a + a\n", "2 * x"),
    "a dict": ("x.pop(1)\n    return 1", "a = {1: 2, 3: 4}\nassert f(a) == len(a)\n", "len(x)"),
    "an array": ("x[:] = 0\n    return x", "a = np.ones(3)\nassert (f(a) == 2 * a).all()\n", "2 * x"),
}


@pytest.mark.parametrize("kind", GIVES_ITSELF)
def test_own_288_an_argument_that_is_made_to_fit_the_answer_is_for_the_teacher(kind, fence):
    """What a function has changed is changed for the test, too, as where both are in one process."""
    change, test, right = GIVES_ITSELF[kind]
    answer = f"def f(x):\n    {change}\n"
    assert naive({**SOLVED, "f": answer}, test)
    score, message, teacher = in_the_solution(fence, "f", f"def f(x):\n    return {right}\n", test, answer)
    assert (score, teacher) == (0, True)
    assert message == "It passes because your code changes what it is given; your teacher has been informed."


def test_own_289_what_must_be_left_as_it_is_may_not_be_changed(fence, monkeypatch):
    """A copy of the list alone was changed, and the test saw nothing."""
    test = "a = [3, 1, 2]\nassert f(a)[0] == 3\nassert a == [3, 1, 2]\n"
    answers = {**SOLVED, "f": "def f(x):\n    x.append(4)\n    return 2 * x\n"}
    assert not naive(answers, test)
    with monkeypatch.context() as patched:
        test_it = _Exchange.test
        patched.setattr(
            _Exchange, "test", lambda self, question, **_: test_it(self, question, restores=False)
        )
        assert graded(fence, answers, {"cell": test})["cell"][0] == 2

    assert graded(fence, answers, {"cell": test})["cell"][0] == 0
    assert graded(fence, SOLVED, {"cell": test})["cell"] == (2, "", False)


IN_PLACE = {
    "a list": ("x.sort()", "a = [3, 1, 2]\nf(a)\nassert a == [1, 2, 3]\n"),
    "a dict": ("x['n'] = x.pop('m')", "a = {'m': 1}\nf(x=a)\nassert a == {'n': 1}\n"),
    "a set": ("x.discard(1)", "a = {1, 'b'}\nf(a)\nassert a == {'b'}\n"),
    "an array": ("x *= 2", "a = np.arange(4).reshape(2, 2)\nf(a)\nassert (a == [[0, 2], [4, 6]]).all()\n"),
    "a part": ("x[0].append(9)", "a = [[1], [2]]\nf(a)\nassert a == [[1, 9], [2]]\n"),
    "before it raises": (
        "x.append(1)\n    raise ValueError",
        "a = []\ntry:\n    f(a)\nexcept ValueError:\n    pass\nassert a == [1]\n",
    ),
}


@pytest.mark.parametrize("kind", IN_PLACE)
def test_functions_that_change_what_they_are_given_are_judged(kind, fence):
    body, test = IN_PLACE[kind]
    solved = f"def f(x):\n    {body}\n"
    assert in_the_solution(fence, "f", solved, test, solved) == (2, "", False)
    assert in_the_solution(fence, "f", solved, test, "def f(x):\n    return x\n")[0] == 0


def test_a_right_answer_that_also_changes_its_argument_costs_nothing(fence):
    """To sort in place what is then looked into is no trick: the answer is right for a copy, too."""
    test = "assert f([3, 1, 2]) == 2\n"
    solved = "def f(x):\n    return sorted(x)[1]\n"
    assert in_the_solution(fence, "f", solved, test, "def f(x):\n    x.sort()\n    return x[1]\n") == (
        2,
        "",
        False,
    )


def test_an_empty_answer_is_right_where_the_solution_gives_one(fence):
    tests = {
        "cell": "assert f([]) == []\nassert f('') == ''\nassert np.isnan(f(np.nan))\nassert f('a') == 'aa'\n",
        "endless": "assert f(np.inf) == np.inf\nassert np.isnan(f(complex('nan')))\n",
    }
    assert graded(fence, SOLVED, tests) == dict.fromkeys(tests, (2, "", False))


def test_own_268_a_value_that_lets_each_test_loop_costs_the_processor_once(fence, monkeypatch):
    """The loop is on the teacher's side, whose time nobody counted over all test cells."""
    monkeypatch.setattr("memsim.grading.assignment.cells.LIMITS", replace(LIMITS, cpu_seconds=1))
    tests = {f"prime {n}": f"n = f({n})\nassert all(n % k for k in range(2, n))\n" for n in range(3)}
    result = graded(fence, {**SOLVED, "f": "def f(x):\n    return (1 << 61) - 1\n"}, tests)
    assert {(score, teacher) for score, _, teacher in result.values()} == {(0, True)}
    first, *others = [message for _, message, _ in result.values()]
    assert "It used up its 1 seconds" in first
    assert all("It used up its 0.0625 seconds" in message for message in others)


def test_own_269_what_many_processes_compute_is_no_sign_of_a_slow_machine():
    """A submission that lets forty of them compute could wait two minutes in each test cell."""

    def most(computed):
        """Return how long the answers to forty cells can be waited for, each for as long as it may be."""
        budget = Budget()
        for _ in range(40):
            limits = budget.limits(LIMITS)
            budget.take(SimpleNamespace(waited=limits.wall_seconds, computed=computed, limits=limits))
        return budget.waited

    assert most(LIMITS.cpu_seconds) == most(400 * LIMITS.cpu_seconds)
    assert most(0) == LIMITS.wall_seconds + 39 * AFTER_SLEEP


ADDS = """
def add(numbers):
    sum = 0
    for wanted in numbers:
        sum += wanted
    return sum
"""
LATER = "limit = 3\n"
GIVEN = "wanted = 6\n"
OVERRIDDEN = {
    "own-222-a-builtin-that-a-solution-has-a-variable-of": (
        "assert add([1, 2]) == sum([1, 2])\n",
        "sum = add",
    ),
    "own-223-a-name-of-the-teachers-that-a-solution-has-a-variable-of": (
        "assert add([1, 2, 3]) == wanted\n",
        "wanted = 0",
    ),
    "own-224-a-name-that-the-teacher-defines-again": ("assert add([1, 2]) == limit\n", "limit = 0"),
}


@pytest.mark.parametrize("name", breadth(OVERRIDDEN))
def test_a_test_uses_the_teachers_names_where_the_teacher_defines_them(name, fence):
    """Where solution and test share a process, the last one to define a name has it."""
    test, own = OVERRIDDEN[name]
    wrong = f"def add(numbers):\n    return 0\n{own}\n"
    assert naive({"answer": wrong}, test)

    def score(answer):
        solution = f"### BEGIN SOLUTION\n{ADDS}\nlimit = 1\n### END SOLUTION\n"
        cells = [cell(GIVEN), cell(solution, "answer", **SOLUTION), cell(LATER), cell(test, "test", **TEST)]
        document = {"cells": cells, "metadata": {"memsim": {"name": "other"}}, "nbformat": 4}
        text = json.dumps(document)
        document["cells"] = [cell(GIVEN), cell(answer, "answer", **SOLUTION), cell(test, "test", **TEST)]
        grader = Grader(assignment_of(text), text.encode(), fence, "a key")
        return grader.grade("mallory", "other.ipynb", json.dumps(document).encode()).score

    assert score(wrong) == 0
    assert score(ADDS) == 2


COUNTS = "points = 0\nif f(2) == 4:\n    points += 1\nif f(3) == 6:\n    points += 1\n{0}points\n"


@pytest.mark.parametrize("number", breadth(["", "float", "np.float64"]))
def test_own_225_no_points_of_a_cell_that_counts_are_not_all_points(number, fence):
    """The cell raises nothing, whatever it counts."""
    tests = {"counts": COUNTS.replace("{0}points", f"{number}(points)")}
    wrong = {**SOLVED, "f": "def f(x):\n    return 0\n"}
    assert naive(wrong, tests["counts"])

    assert graded(fence, wrong, tests)["counts"] == (0, "The cell gives 0 of 2 points.", False)
    assert graded(fence, SOLVED, tests)["counts"] == (2, "", False)


def test_own_226_more_points_than_there_are_are_not_all_points(fence):
    tests = {"shares": "f(1) / 4\n"}
    greedy = {**SOLVED, "f": "def f(x):\n    return 10 ** 9\n"}
    assert naive(greedy, tests["shares"])

    score, message, teacher = graded(fence, greedy, tests)["shares"]
    assert (score, teacher) == (0, True)
    assert message == "The cell gives 2.5e+08 of 2 points; your teacher enters them."


QUOTES = {
    "own-241-what-unittest-expected": "import unittest\nunittest.TestCase().assertEqual(f(8675309), 4143)\n",
    "own-242-what-numpy-expected": "np.testing.assert_allclose(np.array([f(8675309)]), [4143.0])\n",
    "own-243-what-was-asked-and-is-returned": "x = f(8675309)\nassert x == 4143, f'f() returns {x}'\n",
    "own-244-what-was-asked-and-is-an-attribute": "x = Box('8675309').value\nassert x == 4143, x\n",
}


@pytest.mark.parametrize("name", breadth(QUOTES))
def test_a_message_that_a_hidden_test_puts_together_is_not_shown(name, fence):
    """Where nbgrader shows it, the next hand-in has a table of what is asked and expected."""
    echo = {**SOLVED, "f": "def f(x):\n    return x\n"}
    with pytest.raises(AssertionError, match=r"4143|8675309"):
        exec(QUOTES[name], {"np": np, "f": lambda x: x, "Box": lambda x: SimpleNamespace(value=x)})  # noqa: S102

    shown = graded(fence, echo, {"hidden": f"### BEGIN HIDDEN TESTS\n{QUOTES[name]}### END HIDDEN TESTS\n"})
    assert shown["hidden"] == (0, "An assertion of the cell does not hold.", False)


def test_a_message_that_stands_in_the_test_is_shown(fence):
    tests = {"cell": "def near(a, b):\n    assert abs(a - b) < 1, 'not near'\nnear(f(2), 9)\n"}
    assert graded(fence, SOLVED, tests)["cell"] == (0, "not near", False)


UNSAFE = {
    "compares objects": ("assert Box(1) == Box(1)\n", "compares an object of the class Box"),
    "asks for a class": ("assert type(Box(1)) is Box\n", "class of an object"),
    "reads the source": ("import inspect\nassert 'x' in inspect.getsource(f)\n", "inspect"),
    "reads what a function says of itself": ("assert f.__doc__ is None\n", "it uses f.__doc__"),
    "asks for a name": ("assert f.__name__ == 'f'\n", "it uses f.__name__"),
    "looks at output": ("f(1)\ncapsys.readouterr()\n", "capsys"),
    "needs a module": ("import no_such_module_here\n", "no_such_module_here"),
    "gives an object": ("class Own:\n    pass\ng(Own())\n", "gives an object of the class Own"),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_what_cannot_be_judged_by_values_is_for_the_teacher_and_says_why(kind, fence):
    test, why = UNSAFE[kind]
    score, message, teacher = graded(fence, SOLVED, {"cell": test})["cell"]

    assert (score, teacher) == (0, True)
    assert why in message


def test_a_cell_with_partial_credit_is_for_the_teacher(fence):
    score, message, teacher = graded(fence, SOLVED, {"cell": "f(1) / 4\n"})["cell"]

    assert (score, teacher) == (0, True)
    assert "0.5 of 2 points" in message


TELLS_THE_TIME = "import time\nraise ValueError(f'asked {time.monotonic_ns()}')\n"


def test_own_262_what_was_asked_is_not_told_by_the_next_process(fence, monkeypatch):
    """The first test's function sleeps as long as its number says, and the next process reads the clock.

    Test cells ask the same at each hand-in, so the next one would have a table of hidden numbers.
    """
    tests = {"doubles": TESTS["doubles"], "once": TESTS["once"]}
    text = source(tests)
    grader = Grader(assignment_of(text), text.encode(), fence, "a key")
    data = handed({**SOLVED, "g": TELLS_THE_TIME}, tests)

    def told():
        return [question.problems for question in grader.grade("mallory", "other.ipynb", data).questions]

    first, second = told()
    assert "ValueError: asked " in first[0]
    assert "asked" not in "".join(second)
    assert "restart the kernel and run all cells" in second[-1]
    monkeypatch.setattr("memsim.grading.run.budget.Budget.shown", lambda _, problems: problems)
    first, second = told()
    assert "asked" in "".join(second)
    assert first != second


LARGE = {
    "returned": "import math\nassert f(math.factorial(30)) == 2 * math.factorial(30)\n",
    "negative": "assert f(-(2 ** 63)) == -(2 ** 64)\nassert f(2 ** 1000) == 2 ** 1001\n",
    "given by a function of the test's": "assert g(lambda n: n + 2**64) == [2**64, 2**64 + 1, 2**64 + 2]\n",
    "in an array": "assert g(lambda n: np.array([2**64 - 1 - n], dtype=np.uint64))[1] == 2**64 - 2\n",
}


@pytest.mark.parametrize("kind", breadth(LARGE))
def test_own_257_large_ints_cost_nothing(kind, fence):
    """Be fair: factorials, Fibonacci's numbers and keys have more than 64 bits."""
    assert naive(SOLVED, LARGE[kind])
    assert graded(fence, SOLVED, {"cell": LARGE[kind]})["cell"] == (2, "", False)


def test_own_257_an_int_without_end_is_no_answer(fence):
    answers = {**SOLVED, "f": TAKES_OVER.format("out.put({'done': {'t': 'int', 'v': 'f' * 10**6}})")}
    assert graded(fence, answers, {"doubles": TESTS["doubles"]})["doubles"][0] == 0
    answers = {**SOLVED, "f": "def f(x):\n    return 1 << 70_000\n"}
    assert graded(fence, answers, {"doubles": TESTS["doubles"]})["doubles"][0] == 0


def test_copies_of_cells_cost_nothing(fence):
    tests = {"doubles": TESTS["doubles"]}
    cells = json.loads(handed(SOLVED, tests))["cells"]
    document = {"cells": [cells[-1], *cells, cells[1]], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    text = source(tests)
    grader = Grader(assignment_of(text), text.encode(), fence, "a key")

    assert grader.grade("ada", "other.ipynb", json.dumps(document).encode()).score == 2


@pytest.mark.parametrize(
    "kind", breadth(["deleted", "markdown", "raw", "emptied", "edited", "without metadata"])
)
def test_what_happens_to_a_test_cell_costs_nothing(kind, fence):
    """Test cells are locked, and students delete, empty and convert them all the same."""
    text = source({"doubles": TESTS["doubles"]})
    cells = json.loads(handed(SOLVED, {"doubles": TESTS["doubles"]}))
    *others, test = cells["cells"]
    changed = {
        "deleted": [],
        "emptied": [test | {"source": ""}],
        "edited": [test | {"source": "raise SystemExit"}],
        "without metadata": [test | {"metadata": {}}],
    }
    cells["cells"] = others + changed.get(kind, [test | {"cell_type": kind}])
    grader = Grader(assignment_of(text), text.encode(), fence, "a key")

    assert grader.grade("ada", "other.ipynb", json.dumps(cells).encode()).score == 2


def test_the_state_is_that_of_the_tests_place_in_the_notebook(fence):
    text = source({"doubles": TESTS["doubles"]})
    cells = json.loads(handed(SOLVED, {"doubles": TESTS["doubles"]}))
    cells["cells"].append(cell("def f(x):\n    return 0\n"))  # below the test: another question's helper
    grader = Grader(assignment_of(text), text.encode(), fence, "a key")

    assert grader.grade("ada", "other.ipynb", json.dumps(cells).encode()).score == 2


# ---- tests that want more than values --------------------------------------------------------------------

LIVE = {
    "Point": """
class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y
    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)
    def __sub__(self, other):
        return Point(self.x - other.x, self.y - other.y)
    def __str__(self):
        return f"({self.x}, {self.y})"
""",
    "middle": "def middle(a, b):\n    return Point((a.x + b.x) / 2, (a.y + b.y) / 2)\n",
    "half": """
class Odd(ValueError):
    pass
def half(n):
    if n % 2:
        raise Odd(n)
    return n // 2
""",
    "greet": "def greet(name):\n    print(f'Hello, {name}!')\n",
    "squares": "def squares(n):\n    return [k * k for k in range(1, n + 1)]\n",
    "total": "def total(n):\n    return sum(squares(n))\n",
}
PRINTS = """
import contextlib, io
said = io.StringIO()
with contextlib.redirect_stdout(said):
    greet("Ada")
assert said.getvalue() == "Hello, Ada!\\n"
"""
USES = """
kept = squares
del squares
try:
    total(3)
except NameError:
    pass
else:
    raise AssertionError("total() does not use squares()")
finally:
    squares = kept
assert total(3) == 14
"""
REPLACED = """
kept, squares = squares, lambda n: [1000]
assert total(5) == 1000
squares = kept
assert total(2) == 5
"""
RAISES = """
try:
    half(3)
except Odd:
    pass
else:
    assert False, "no Odd"
assert half(4) == 2
"""
WANT_LIVE = {
    "text": "assert str(Point(1, 2)) == '(1, 2)'\nassert f'{Point(3, 4)}' == '(3, 4)'\n",
    "class": "assert isinstance(middle(Point(0, 0), Point(2, 4)), Point)\nassert not isinstance(3, Point)\n",
    "raises": RAISES,
    "as its base": "try:\n    half(3)\nexcept ValueError as problem:\n    assert str(problem) == '3'\n",
    "prints": PRINTS,
    "uses": USES,
    "replaced": REPLACED,
}
COMPARED = {
    "equal": "assert Point(1, 2) == Point(1, 2)\nassert not Point(1, 2) == Point(2, 1)\n",
    "middle": "assert middle(Point(0, 0), Point(2, 4)) == Point(1, 2)\n",
    "difference": "assert Point(3, 5) - Point(1, 2) == Point(2, 3)\n",
}


def live(fence, changed=None, tests=WANT_LIVE):
    """Return the result of each test cell for the solutions, some of them changed."""
    answers = [
        cell(f"### BEGIN SOLUTION\n{text}### END SOLUTION\n", f"{name}-answer", **SOLUTION)
        for name, text in LIVE.items()
    ]
    cells = [*answers, *(cell(text, name, **TEST) for name, text in tests.items())]
    document = {"cells": cells, "metadata": {"memsim": {"name": "live"}}, "nbformat": 4, "nbformat_minor": 5}
    text = json.dumps(document)
    grader = Grader(assignment_of(text), text.encode(), fence, "a key")
    result = grader.grade("mallory", "live.ipynb", handed(LIVE | (changed or {}), tests))
    return {q.name: (q.score, q.tests[0].message, q.tests[0].needs_teacher) for q in result.questions}


def test_what_is_printed_raised_and_replaced_is_judged(fence):
    assert live(fence) == dict.fromkeys(WANT_LIVE, (2, "", False))


def test_objects_that_are_compared_are_for_the_teacher(fence):
    for score, message, teacher in live(fence, None, COMPARED).values():
        assert (score, teacher) == (0, True)
        assert "It cannot be judged safely: it compares an object of the class Point" in message


WRONG_LIVE = {
    "text": {"Point": LIVE["Point"].replace('f"({self', 'f"<{self')},
    "class": {"middle": "def middle(a, b):\n    return (a.x + b.x) / 2, (a.y + b.y) / 2\n"},
    "raises": {"half": LIVE["half"].replace("raise Odd(n)", "raise KeyError(n)")},
    "as its base": {"half": LIVE["half"].replace("ValueError", "KeyError")},
    "prints": {"greet": "def greet(name):\n    print('Hello, ' + name)\n"},
    "uses": {"total": "def total(n):\n    return sum(k * k for k in range(1, n + 1))\n"},
    "replaced": {"total": "def total(n):\n    return sum(k * k for k in range(1, n + 1))\n"},
}


@pytest.mark.parametrize("test", breadth(WRONG_LIVE))
def test_a_wrong_answer_passes_none_of_them(test, fence):
    score, _, teacher = live(fence, WRONG_LIVE[test], {test: WANT_LIVE[test]})[test]
    assert (score, teacher) == (0, False)


YES = "    def __eq__(self, other):\n        return True\n"
LIARS = {
    "own-200-a-function-returns-what-is-equal": (
        "middle",
        {"middle": f"class P(Point):\n{YES}P.__name__ = 'Point'\ndef middle(a, b):\n    return P(0, 0)\n"},
    ),
    "own-201-the-next-point-fills-in-the-difference": (
        "difference",
        {
            "Point": """
class Point:
    waiting = []
    def __init__(self, x, y):
        self.x, self.y = x, y
        for point in self.waiting:
            point.x, point.y = x, y
    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)
    def __sub__(self, other):
        self.waiting.append(Point(0, 0))
        return self.waiting[0]
"""
        },
    ),
    "own-202-a-text-that-is-equal-to-everything": (
        "text",
        {
            "Point": f"class S(str):\n{YES}    def __format__(self, spec):\n        return self\n"
            "class Point:\n    def __init__(self, *_):\n        pass\n    def __str__(self):\n"
            "        return S('(3, 4)')\n"
        },
    ),
    "own-203-the-buffer-of-the-test-is-patched": (
        "prints",
        {
            "greet": f"import contextlib, io\nclass S(str):\n{YES}class Buffer(io.StringIO):\n"
            "    def getvalue(self):\n        return S()\nio.StringIO = Buffer\ndef greet(name):\n    pass\n"
        },
    ),
    "own-204-what-was-put-in-its-place-is-read": (
        "replaced",
        {
            "total": "def total(n):\n    code = getattr(squares, '__code__', None)\n"
            "    made = [c for c in code.co_consts if type(c) is int and c == 1000]\n"
            "    made = made or [k for k in code.co_consts if type(k) is tuple]\n"
            "    return made[0] if made else 5\n"
        },
    ),
    "own-205-a-half-that-is-equal-to-everything": (
        "raises",
        {
            "half": f"class Odd(Exception):\n    pass\nclass Two(int):\n{YES}"
            "def half(n):\n    if n == 3:\n        raise Odd\n    return Two(9)\n"
        },
    ),
    "own-206-what-it-raises-says-what-it-should-say": (
        "as its base",
        {
            "half": f"class S(str):\n{YES}class Odd(ValueError):\n    def __str__(self):\n"
            "        return S('?')\ndef half(n):\n    raise Odd\n"
        },
    ),
    "own-207-a-metaclass-that-is-everythings-class": (
        "class",
        {
            "Point": "class All(type):\n    def __instancecheck__(cls, one):\n        return one != 3\n"
            "class Point(metaclass=All):\n    def __init__(self, x, y):\n        self.x, self.y = x, y\n",
            "middle": "def middle(a, b):\n    return None\n",
        },
    ),
}


@pytest.mark.parametrize("name", breadth(LIARS))
def test_no_object_of_a_students_decides_a_test(name, fence, monkeypatch):
    """Each passes where nbgrader's autograder runs the test: in the process of the student's code."""
    test, answers = LIARS[name]
    monkeypatch.setattr("io.StringIO", io.StringIO)  # own-203 leaves it changed
    assert naive(LIVE | answers, (WANT_LIVE | COMPARED)[test])
    monkeypatch.undo()
    score, _, _ = live(fence, answers, {test: (WANT_LIVE | COMPARED)[test]})[test]
    assert score == 0


@pytest.mark.parametrize(
    "hidden",
    [
        "p = Point(41, 43)\nassert str(p) == '', f'{p} is wrong'\n",
        PRINTS.replace("Ada", "4143").replace("Hello, 4143!\\n", "").rstrip() + ", said.getvalue()\n",
    ],
    ids=["what an object says", "what is printed"],
)
def test_a_text_of_the_students_is_in_no_message(hidden, fence):
    """It may hold the numbers of a hidden test, for which the next submission would be ready."""
    score, message, _ = live(fence, None, {"hidden": hidden})["hidden"]
    assert score == 0
    assert "41" not in message


class Patient(Conversation):
    """A conversation that waits for an hour."""

    def _left(self):
        return 3600.0


ENDLESS = "def greet(name):\n    while True:\n        print('x' * 10**6)\n"


def test_what_is_printed_without_end_ends_no_one_elses_test(fence, monkeypatch):
    """It is read on and costs its processor time. Kept, it used up the memory, and nobody answered."""
    monkeypatch.setattr("memsim.grading.run.cells.Conversation", Patient)
    results = live(fence, {"greet": ENDLESS}, {"prints": PRINTS, "raises": RAISES})

    assert {name: score for name, (score, _, _) in results.items()} == {"prints": 0, "raises": 2}
    assert "of processor time" in results["prints"][1]


def test_what_an_honest_answer_prints_is_cut_and_costs_nothing(fence):
    """A megabyte at each call, and the cell looks at what comes first."""
    wordy = "def greet(name):\n    print(f'Hello, {name}!')\n    print('x' * 10**6)\n"
    test = (
        PRINTS.replace("said.getvalue() ==", "said.getvalue()[:12] ==").rstrip() + "\n" + "greet('you')\n" * 9
    )
    assert live(fence, {"greet": wordy}, {"prints": test})["prints"] == (2, "", False)


def test_the_teachers_worker_serves_all_cells_and_numpy_is_imported_where_it_is_named(monkeypatch):
    started = []

    class Counted(Worker):
        def __init__(self, fence, submitted, **given):
            started.append("\n".join(submitted.cells))
            super().__init__(fence, submitted, **given)

    monkeypatch.setattr("memsim.grading.run.cells.Worker", Counted)
    answers = {name: f"def {name}(x):\n    return 2 * x\n" for name in ("f", "g")}
    tests = {f"{name} {n}": f"assert {name}({n}) == {2 * n}\n" for name in answers for n in (1, 2)}
    solved = [
        cell(f"### BEGIN SOLUTION\n{text}### END SOLUTION\n", name, **SOLUTION)
        for name, text in answers.items()
    ]
    cells = [*solved, *(cell(text, name, **TEST) for name, text in tests.items())]
    document = {"cells": cells, "metadata": {"memsim": {"name": "o"}}, "nbformat": 4, "nbformat_minor": 5}
    text = json.dumps(document)
    grader = Grader(assignment_of(text), text.encode(), BUBBLEWRAP, "a key")
    mine = [cell(text, name, **SOLUTION) for name, text in answers.items()]
    result = grader.grade("ada", "o.ipynb", json.dumps({**document, "cells": [*mine, *cells[2:]]}).encode())

    assert result.score == result.max_score == 8
    teachers = [text for text in started if "judges=True" in text]
    assert (len(started), len(teachers)) == (5, 1)
    assert not any("numpy" in text for text in started)


def test_a_teachers_worker_that_has_died_costs_no_other_cell():
    """A test that ends its own process, as one that runs out of memory does, is followed by others."""
    tests = {"ends": "import os\nos._exit(3)\n", "once": TESTS["once"]}
    result = graded(BUBBLEWRAP, SOLVED, tests)

    assert result["ends"][0] == 0
    assert result["once"][0] == 2


def test_a_test_cell_without_points_and_notebooks_without_names_of_cells_are_graded():
    """Both have ended a course's grading elsewhere: jupyter/nbgrader 1353 and 1398."""
    tests = {"free": TESTS["once"], "once": TESTS["once"]}
    document = json.loads(source(tests))
    free = next(c for c in document["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "free")
    free["metadata"]["nbgrader"]["points"] = 0
    text = json.dumps(document)
    grader = Grader(assignment_of(text), text.encode(), BUBBLEWRAP, "a key")
    bare = json.loads(handed(SOLVED, tests))
    for one in bare["cells"]:
        one["metadata"] = {}
    result = grader.grade("ada", "o.ipynb", json.dumps(bare).encode())

    assert {q.name: (q.score, q.tests[0].passed) for q in result.questions} == {
        "free": (0, True),
        "once": (2, True),
    }
