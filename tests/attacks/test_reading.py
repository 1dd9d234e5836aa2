"""Attacks by files that are hard to read, and by copies that do not look like copies.

Reading costs processor time in proportion to the file, whatever is in it; what costs more is lost alone.
"""

import ast
import base64
import contextlib
import io
import lzma
import math
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import tokenize
import zlib
from functools import partial
from time import process_time

import numpy as np
import pytest

from memsim.grading.assignment.assignment import Limits
from memsim.grading.report.outputs import write_similar
from memsim.grading.report.packed import _forms, unpacked
from memsim.grading.report.similarity import similar
from memsim.grading.report.structure import _live_names, pieces, tokens
from memsim.grading.roster.names import key
from memsim.grading.run import reading
from memsim.grading.run.grade import Grader
from memsim.grading.run.newer import _SINCE
from memsim.grading.run.notebook import UnreadableError, sources
from memsim.grading.run.notebook import read as read_file
from memsim.grading.run.reading import Reader
from memsim.grading.run.submissions import Handed, _has_word, find
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.fences import NONE
from memsim.grading.sandbox.guest.program import read
from memsim.grading.sandbox.worker import StartError, Submitted, Worker
from tests.tiers import breadth

from .stage import ASSIGNMENT, FULL, GRADING, SOLVED, examine
from .test_files import grade, notebook, scores


def cells_inside_a_function(number):
    return ["def f():\n    x = 1", *[f"    x += {n}" for n in range(number)], "    return ("]


def damaged(number):
    return b'{"cells": [' + b'{"cell_type": "code", "source": ["x = 1\\n", ' * number


# What costs, with the size of its first try. Each function takes a size and returns something to be read.
BYTES = {
    "own-117-empty-lines": (20_000, lambda n: b"\n" * n),
    "own-118-source-marks-in-a-damaged-file": (400, damaged),
    "own-119-marks-of-strings-that-never-end": (400, lambda n: b"{" + b'"cell_type": "' * n),
    "own-120-a-marimo-cell-of-nothing-but-headers": (
        400,
        lambda n: b"import marimo\n@app.cell\n" + b"def f()\n" * n,
    ),
}
CELLS = {
    "own-122-cells-that-go-on-inside-a-function": (100, cells_inside_a_function),
    "own-123-cells-that-are-no-python": (100, lambda n: [f"x{i} = (\n" for i in range(n)]),
}
TIMES = 4


def seconds(function, given, tries=3):
    """Return the least processor time of some tries: load on the machine does not count."""
    taken = []
    for _ in range(tries):
        start = process_time()
        with contextlib.suppress(UnreadableError):
            function(given)
        taken.append(process_time() - start)
    return min(taken)


ROUNDS = 10


def in_proportion(small, large):
    """Return whether what should take TIMES as long does, and not the square of that.

    Both return the time that they took. Other work of the machine, its caches too, can only add to a time, so
    that the least of some rounds counts, and that more rounds are run as long as it is not what it should be.
    """
    return _in_rounds(small, large, lambda ratio: ratio < TIMES**1.5)


def squared(small, large):
    """Return whether what should take the square of TIMES as long does."""
    return _in_rounds(small, large, lambda ratio: ratio > TIMES**1.5)


def _in_rounds(small, large, fine):
    first, second = math.inf, math.inf
    for _ in range(ROUNDS):
        first, second = min(first, small()), min(second, large())
        if fine(second / first):
            return True
    return False


def sizes(function, make, size):
    """Return how an input is tried that takes a while, and one that is TIMES as large."""
    while seconds(function, make(size)) < 0.01:
        size *= 2
    return [partial(seconds, function, make(times * size)) for times in (1, TIMES)]


@pytest.mark.parametrize("name", BYTES)
def test_reading_a_file_costs_in_proportion_to_it(name):
    size, make = BYTES[name]
    assert in_proportion(*sizes(sources, make, size))


@pytest.mark.parametrize("name", CELLS)
def test_reading_cells_costs_in_proportion_to_them(name):
    size, make = CELLS[name]
    assert in_proportion(*sizes(read, make, size))


CHAINS = {
    "own-296-names-that-hang-on-each-other": lambda n: "".join(f"    a{k} = a{k + 1}\n" for k in range(n)),
    "own-296-from-the-last-to-the-first": lambda n: "".join(f"    a{k + 1} = a{k}\n" for k in range(n)),
    "own-296-all-on-all": lambda n: "    {0} = {0}\n".format(", ".join(f"a{k}" for k in range(n))),
}


@pytest.mark.parametrize("name", CHAINS)
def test_own_296_who_depends_on_whom_costs_in_proportion(name):
    def function(size):
        return ast.parse(f"def f(a0):\n{CHAINS[name](size)}    return a0, a{size}\n").body[0]

    assert in_proportion(*sizes(_live_names, function, 100))


def test_looking_for_a_newer_python_costs_in_proportion():
    def look(text):
        for sign in _SINCE.values():
            sign.search(text)

    assert in_proportion(*sizes(look, lambda n: "\n" * n, 100_000))


def named(marks):
    """Return a notebook whose student has two kinds of accents, which Unicode wants in another order."""
    return notebook("STUDENT = 'a" + "\u0301" * marks + "\u0316" * marks + "'", *SOLVED)


def test_own_185_the_accents_of_a_name_do_not_hold_up_the_process_that_grades():
    """It has no limit; sorting accents takes their square, in the library of Python."""
    with Reader() as reader:
        found = {marks: reader.sources(named(marks), "a.ipynb", ["double"]) for marks in (4000, 400_000)}
    assert len(found[400_000].typed_id) <= 200
    assert found[400_000].answers == {"double": SOLVED[0]}
    accents = ["a" + "\u0301" * marks + "\u0316" * marks for marks in (4000, TIMES * 4000)]
    assert squared(*(partial(seconds, key, name, 1) for name in accents))
    assert seconds(key, found[400_000].typed_id) < seconds(key, accents[0])


def test_own_208_large_files_are_searched_once_and_for_the_words_themselves(tmp_path, monkeypatch):
    """The process that collects has no limit: half a gigabyte of what is nearly a word cost it 17 seconds."""
    folder = tmp_path / "mallory"
    folder.mkdir()
    nearly = b'{"cells": [' + b'"doubl ", ' * 400_000
    for number in range(3):
        (folder / f"work{number}.ipynb").write_bytes(nearly[number:])
    opened = []

    def counted(path, **options):
        if "most" not in options:
            opened.append(path.name)
        return read_file(path, **options)

    monkeypatch.setattr("memsim.grading.run.submissions.read", counted)
    (handed,) = find([tmp_path], "attacked", ["double", "plus_one"]).handed
    assert handed.student == "mallory"
    assert max(map(opened.count, opened)) == 1  # each was read for each question, and to be compared
    obvious = seconds(lambda data: re.search(rb"\bdouble\b", data), nearly)
    assert seconds(lambda data: _has_word(b"double", data), nearly) < obvious / 2
    assert [
        _has_word(b"double", text) for text in (b"def double(n)", b"doubles", b"redouble", b"a double")
    ] == [*(True, False, False, True)]


def naive_second_halves(cells):
    joined = cells[0]
    for cell in cells[1:]:
        joined = f"{joined}\n{cell}"
        try:
            ast.parse(joined)
        except SyntaxError:
            continue


def naive_joins(cells):
    """Put every cell in front of all that follow, since the statement may go on there."""
    for start in range(len(cells)):
        for end in range(start + 1, len(cells)):
            with contextlib.suppress(SyntaxError):
                ast.parse("".join(cells[start:end]))


def naive_salvage(data):
    text = data.decode()
    for mark in re.finditer('"(source|cell_type)"', text):
        assert text[: mark.end() + 20]


NAIVE = {
    "own-117": (lambda data: re.search(r"^\s*(def|import)\s", data.decode(), re.MULTILINE), BYTES, 2_000),
    "own-118": (naive_salvage, BYTES, 4_000),
    "own-119": (naive_salvage, BYTES, 4_000),
    "own-120": (
        lambda data: re.search(r"@app\.cell.*?^def .*?\).*?:\n", data.decode(), re.MULTILINE | re.DOTALL),
        BYTES,
        10,
    ),
    "own-122": (naive_second_halves, CELLS, 60),
    "own-123": (naive_joins, CELLS, 15),
}


@pytest.mark.parametrize("name", breadth(NAIVE, "own-119"))
def test_done_the_obvious_way_it_costs_the_square(name):
    function, inputs, size = NAIVE[name]
    make = next(make for full, (_, make) in inputs.items() if full.startswith(name))
    assert squared(*sizes(function, make, size))


def pieces_put_together(size, put):
    """Return a function that takes so many KiB in pieces of four, by the grader's way or another."""

    def take(_):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for _ in range(size // 4):
                theirs.sendall(b"x" * 4096)
                put(ours.recv(4096))

    return take


def test_own_183_an_answer_in_small_pieces_costs_in_proportion_to_it(monkeypatch):
    """It is put together in a process that has no limit; each piece must not copy all that was there."""

    class Naive:
        whole = b""

        def put(self, piece):
            self.whole += piece

    def naive(size):
        return seconds(pieces_put_together(size, Naive().put), None, 1)

    def ours(size):
        answer, theirs = socket.socketpair()
        conversation = Conversation.__new__(Conversation)
        conversation.limits, conversation.waited = Limits(), 0.0
        conversation._channel, conversation._open, conversation._pipe = answer, [answer.fileno()], -1  # noqa: SLF001 (without a worker)
        monkeypatch.setattr("memsim.grading.sandbox.conversation._PIECE", 4096)
        writer = threading.Thread(target=theirs.sendall, args=(bytes(size << 10),))
        writer.start()
        taken = seconds(conversation._bytes, size << 10, 1)  # noqa: SLF001
        writer.join()
        answer.close()
        theirs.close()
        return taken

    small, large = 2 << 10, TIMES * 2 << 10
    assert squared(partial(naive, small), partial(naive, large))
    assert in_proportion(partial(ours, small), partial(ours, large))


# ---- what is lost is lost alone ----------------------------------------------------------------------


def test_own_124_a_bomb_ends_its_own_process_and_the_reader_goes_on():
    with Reader() as reader:
        assert reader.sources(notebook(*SOLVED), "a.ipynb").code == SOLVED
        pid = reader._process.pid  # noqa: SLF001 (the same process goes on)
        with pytest.raises(UnreadableError, match="no cell"):
            reader.sources(b'{"cells": ' + b"[" * 1_000_000, "bomb.ipynb")
        assert reader.sources(notebook(*SOLVED), "b.ipynb").code == SOLVED
        assert reader._process.pid == pid  # noqa: SLF001


READ_AT_ONCE = """
import json, resource
data = '{"cells": [' + "{}," * 4_000_000 + "{}]}"
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
print("one", flush=True)
json.loads(data)
print("the next one", flush=True)
"""


def test_own_124_read_in_the_process_that_grades_it_is_the_last_one():
    ran = subprocess.run([sys.executable, "-c", READ_AT_ONCE], capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    assert (ran.stdout, ran.returncode) == ("one\n", 1)
    assert "MemoryError" in ran.stderr


FATAL = {
    "time": lambda *_: [None for _ in iter(int, 1)],
    "memory": lambda *_: b"x" * (1 << 40),
    "signal": lambda *_: os.kill(os.getpid(), signal.SIGKILL),
}


@pytest.mark.parametrize("how", FATAL)
def test_own_125_what_ends_the_process_that_reads_ends_nothing_else(how, monkeypatch):
    monkeypatch.setitem(reading._WHAT, "sources", FATAL[how])  # noqa: SLF001 (what a file would do)
    monkeypatch.setattr(reading, "_SECONDS", 1)
    answer = reading._apart({"what": "sources", "name": "a.ipynb", "questions": []}, b"x")  # noqa: SLF001
    assert b"more than 1 seconds of processor time, or too much memory" in answer


def test_own_121_a_list_of_empty_cells_that_fills_memory_is_lost_alone(monkeypatch):
    data = b'{"cells": [' + b"{}," * 1_000_000 + b"{}]}"
    with pytest.raises(UnreadableError, match="no cell"):
        sources(data)  # where there is memory enough
    monkeypatch.setattr(reading, "_MEMORY", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
    monkeypatch.setattr(reading, "_MEMORY_PER_BYTE", 0)
    assert b"unreadable" in reading._apart({"what": "sources", "name": "a.ipynb", "questions": []}, data)  # noqa: SLF001


def test_own_126_cells_that_kill_what_reads_them_cost_no_other_and_no_second_run(fence):
    """Without the process that tries first, the worker would end, and the batch be told to run again."""
    minuses = "x = " + "-" * 900_000 + "1"
    read_alone = "compile('x = ' + '-' * 900_000 + '1', 'a', 'exec')"
    alone = subprocess.run([sys.executable, "-c", read_alone], capture_output=True, check=False)  # noqa: S603
    assert alone.returncode != 0  # a MemoryError here; with other versions of Python the process is gone
    result = grade(fence, notebook(minuses, *SOLVED))
    assert result.fingerprint  # it has a result
    assert result.score in (0, 5)
    assert examine(fence, SOLVED, "the next one")[0] == FULL


def doubled(depth):
    """Return a function whose code doubles with every three lines: a ``finally`` is compiled twice."""
    lines = ["def f():"]
    for level in range(1, depth + 1):
        lines += [f"{'    ' * level}try:", f"{'    ' * level}    a", f"{'    ' * level}finally:"]
    return "\n".join([*lines, f"{'    ' * (depth + 1)}b", ""])


def test_own_199_cells_that_are_slow_to_read_are_no_machine_without_room(fence, monkeypatch):
    """Else a student could let the grader wait for a worker, four times, and ask for another run."""
    monkeypatch.setattr("memsim.grading.sandbox.worker._START_SECONDS", 0.2)
    cells = [doubled(15), *SOLVED]
    Worker(fence, Submitted("mallory", cells)).end()  # it starts
    monkeypatch.setattr("memsim.grading.sandbox.worker.reading_seconds", lambda _: 0)
    with pytest.raises(StartError, match="timed out"):
        Worker(fence, Submitted("mallory", cells))


def test_cells_that_cannot_be_read_are_told_apart_from_a_worker_that_does_not_start(fence, monkeypatch):
    monkeypatch.setattr("memsim.grading.sandbox.worker.receive", lambda *_: {"ready": False})
    result = grade(fence, notebook(*SOLVED))

    assert result.fingerprint
    assert scores(result) == {"double": 0, "plus_one": 0}
    assert "too much time or memory to be read as Python" in result.questions[1].tests[0].message


# ---- copies ------------------------------------------------------------------------------------------

COPIED = """
def answer(start, pages):
    total, pfn = 0, start
    while pfn < start + pages:
        order = min(10, (pfn & -pfn).bit_length() - 1)
        total += 1 << order if order > 3 else 2 * order
        pfn += 1 << order
    return [total, pfn, start] if total else []
"""


def else_(number):
    """Return a function that is like no other."""
    terms = "".join(f" {'+-*%'[number >> 2 * place & 3]} b" for place in range(5))
    return f"def f{number}(a, b):\n    return [a{terms}, a, b{terms}]"


def between(*idle):
    """Return the function with a statement below each of its own."""
    return "".join(
        f"{line}\n{' ' * (len(line) - len(line.lstrip()))}{one}\n"
        if line.startswith("    ") and not line.endswith(":")
        else f"{line}\n"
        for line, one in zip(COPIED.split("\n"), idle * 9, strict=False)
    )


def within(*around):
    """Return the function with each of its own statements within one that does nothing."""
    lines = []
    for line, one in zip(COPIED.split("\n"), around * 9, strict=False):
        room = line[: len(line) - len(line.lstrip())]
        is_own = line.startswith("    ") and not line.endswith(":")
        lines.append(room + one.format(line.strip(), room) if is_own else line)
    return "\n".join(lines)


IDLE = between("pass", "'note'", "...", "unused = 0", "0").replace(
    "def answer(start, pages):",
    "def answer(start: int, pages: 'pages') -> 'all of them':\n    'What it does.'",
)
"""The same function with lines that do nothing, a docstring and annotations."""
TURNED = base64.b64encode(lzma.compress(COPIED.encode())).decode()[::-1]
HIDING = {
    "own-127-in-a-text-cell": ([], ["```python" + COPIED + "```"]),
    "own-128-in-a-string-that-is-executed": ([f"exec({COPIED!r})"], []),
    "own-129-in-strings-in-strings": ([f"exec({f'exec({COPIED!r})'!r})" + " " * 10], []),
    "own-130-behind-quotes-that-never-close": (["'''\n" + COPIED], []),
    "own-131-behind-a-long-comment": (["#" + "x" * 200_001 + COPIED], []),
    "own-191-in-bytes": ([f"exec({COPIED.encode()!r})"], []),
    "own-192-in-a-string-without-the-word": (
        ["exec(" + repr(COPIED.replace("def answer", "def\\\n answer")) + ")"],
        [],
    ),
    "own-193-in-a-string-put-together": (
        [
            "exec('\\n'.join(["
            + ", ".join(repr(line[:9]) + " + " + repr(line[9:]) for line in COPIED.split("\n"))
            + "]))"
        ],
        [],
    ),
    "own-277-in-base64": ([f"exec(b64decode({base64.b64encode(COPIED.encode())!r}))"], []),
    "own-277-compressed": ([f"exec(zlib.decompress({zlib.compress(COPIED.encode())!r}))"], []),
    "own-277-compressed-in-base64-in-two-parts-turned-round": (
        [f"exec(lzma.decompress(b64decode(({TURNED[:99]!r} + {TURNED[99:]!r})[::-1])))"],
        [],
    ),
    "own-277-in-hexadecimal-digits": ([f"exec(bytes.fromhex({COPIED.encode().hex()!r}))"], []),
    "own-194-between-statements-that-do-nothing": ([IDLE], []),
    "own-260-between-expressions-that-do-nothing": (
        [
            between(
                "pages",
                "1 + 1",
                "other = [pages, 2]",
                "assert True",
                "if 0: print()",
                "extra = {'a': -pages}",
            )
        ],
        [],
    ),
    "own-270-between-calls-that-do-nothing": (
        [
            between(
                "print()",
                "len('')",
                "global zz",
                "import os",
                "x: int",
                "pages = pages",
                "(z := 0)",
                "y = w = id(0)",
                "for _ in (): print()",
                "while 1 > 2: pass",
                "if 1 == 2: len('')",
            )
        ],
        [],
    ),
    "own-271-between-strings-of-which-python-writes-nothing": (
        [between("print(f'''{\"\"\"\n\"\"\"}''')", "pass")],
        [],
    ),
    "own-291-between-names-on-which-nothing-depends": (
        [
            between(
                "w, v = 1, [2]",
                "w += 1",
                "w = w + len(v)",
                "del v",
                "def u(): return w",
                "class T: a = 0",
                "[w, [v]] = 1, [2]",
            )
        ],
        [],
    ),
    "own-292-between-calls-of-functions-that-do-nothing": (
        ["def z(*_): pass\nq = print", between("z()", "q()", "(lambda: 0)()", "''.strip()", "z(1)")],
        [],
    ),
    "own-293-within-statements-that-do-nothing": (
        [
            "import contextlib\nnone = contextlib.nullcontext\n"
            + within("if 1: {}", "with none(): {}", "try: {}\n{}finally: pass", "with none(), none(): {}")
        ],
        [],
    ),
    "own-294-packed-and-unpacked-for-nothing": (
        [
            re.sub(r"(?m)^( +)(\w+) = (.+)$", r"\1[\2] = [(\3,)[0]]", COPIED)
            .replace("while pfn <", "while not not pfn * 1 <")
            .replace("total += 1", "total += (1 + 0)")
            .replace("return [total, pfn, start]", "return [total + 0, (pfn,)[0], [start][0]]")
        ],
        [],
    ),
    "own-132-between-much-else": ([COPIED, *map(else_, range(300))], []),
}


def naive_tokens(cells):
    """Return the tokens that a plain reading of the first letters of code cells finds."""
    found = []
    for cell in cells:
        try:
            found += [t.string for t in tokenize.generate_tokens(io.StringIO(cell[:200_000]).readline)]
        except (tokenize.TokenError, SyntaxError):
            continue
    return found


@pytest.mark.parametrize("name", HIDING)
def test_a_copy_is_seen_wherever_it_stands(name):
    cells, notes = HIDING[name]
    own = {"ada": pieces([COPIED]), "mallory": pieces(cells, notes)}
    (pair,) = similar(own, {}, pieces([]))["pairs"]

    assert (pair["one"], pair["other"], pair["share"]) == ("ada", "mallory", 1)
    if "much-else" in name:
        assert pair["pieces"] < 0.1 * len(own["mallory"])  # a share of the larger one would hide it
    elif "nothing" in name:
        rows = [
            {tuple(row[at : at + 12]) for at in range(len(row) - 11)} for row in map(tokens, (COPIED, *cells))
        ]
        assert len(rows[0] & rows[1]) < 0.6 * len(rows[0])  # with the text as it is, too little is the same
    else:
        assert "bit_length" not in naive_tokens(cells)  # what looks at code cells as they are is blind


def test_own_277_what_is_packed_takes_no_more_than_its_size_allows():
    """16 MiB of zeros have 16 KiB."""
    bomb = zlib.compress(bytes(1 << 24))
    most = 32 * len(bomb)
    assert max(len(made) for made in _forms(bomb, most)) <= most
    assert not [*unpacked(base64.b64encode(bomb))]


def test_own_275_a_ring_of_a_third_of_the_class_is_named():
    """What more than a quarter of all students wrote is common knowledge, so the pairs of a ring are none."""
    ring = {f"r{number}": COPIED.replace("pfn", f"p{number}") for number in range(5)}
    others = {f"s{number}": "def f(x):\n    return [" + "x, " * (20 + number) + "]" for number in range(10)}
    own = {student: pieces([code]) for student, code in (ring | others).items()}
    content = {student: code.encode() for student, code in (ring | others).items()}
    found = similar(own, content, pieces([]))

    assert len(own["r0"]) >= 25
    assert found["same_structure"] == [sorted(ring)]
    assert not [pair for pair in found["pairs"] if {pair["one"], pair["other"]} & ring.keys()]
    for same in (dict.fromkeys(ring, b"one file"), {}):  # byte for byte it is told as that
        now = similar(own, content | same, pieces([]))
        assert now["same_structure"] == ([] if same else [sorted(ring)])


def test_own_271_a_copy_with_an_expression_too_deep_to_compare_is_named():
    """Python reads it and cannot write it again, so the function around it was not compared at all."""
    deep = COPIED.replace("    total, pfn", f"    x = {'not ' * 900}1\n    total, pfn")
    assert read([deep]).functions == {"answer"}
    with Reader() as reader, pytest.raises(UnreadableError, match="too deeply to be compared"):
        reader.pieces(notebook(deep), "a.ipynb")


def test_looking_for_text_in_sums_costs_in_proportion():
    """Each part of a sum is a sum again."""
    many = [["x = " + " + ".join(["a"] * length)] * 20 for length in (200, TIMES * 200)]
    assert in_proportion(*(partial(seconds, pieces, each) for each in many))


def test_own_195_a_submission_that_takes_too_long_to_compare_is_named(tmp_path, monkeypatch):
    """What reads it gives up, and a copy would be nowhere in the report."""
    paths = {student: tmp_path / f"{student}.ipynb" for student in ("ada", "mallory", "eve")}
    for path in paths.values():
        path.write_bytes(notebook(COPIED))
    results = [graded(student, path.read_bytes()) for student, path in paths.items()]
    handed = [Handed(student, path) for student, path in paths.items()]

    class Slow(Reader):
        def pieces(self, data, name):
            if name == "mallory.ipynb":
                msg = "reading it takes more than 2 seconds of processor time"
                raise UnreadableError(msg)
            return super().pieces(data, name)

    monkeypatch.setattr("memsim.grading.report.outputs.Reader", Slow)
    paths["eve"].write_bytes(notebook("x = 1"))  # own-196: swapped when it had been graded
    found = write_similar(tmp_path, handed, None, results)

    assert found["pairs"] == found["identical"] == []
    assert list(found["not_compared"]) == ["mallory", "eve"]
    assert "has changed" in found["not_compared"]["eve"]
    assert (
        write_similar(tmp_path, handed, None)["not_compared"] == {}
    )  # nothing was graded: nobody would know


def graded(student, data):
    """Return a result as a batch has it."""
    return Grader(ASSIGNMENT, GRADING.encode(), NONE, "a key").unreadable(student, "a.ipynb", "", data)


def test_own_133_comparing_many_large_copies_is_bounded(monkeypatch):
    rng = random.Random(1)  # noqa: S311 (no secret)
    common = [rng.getrandbits(64) for _ in range(20_000)]
    own = {}
    for number in range(40):
        mine = sorted(rng.sample(common, 4_000))
        own[f"s{number:02}"] = np.array(mine, dtype=np.uint64)
    monkeypatch.setattr("memsim.grading.report.similarity._COMMON", 1.0)
    monkeypatch.setattr("memsim.grading.report.similarity._MOST_PAIRS", 1_000)
    found = similar(own, {}, pieces([]))

    assert found["left_out"]["pieces beyond what is compared"] > 1_000
    copies = dict.fromkeys(("a", "b"), own["s00"])
    assert (
        similar(copies, {}, pieces([]))["pairs"][0]["pieces"] == 4_000
    )  # one set of students: compared once
