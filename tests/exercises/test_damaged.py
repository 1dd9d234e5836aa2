"""Damaged notebooks: each is graded, or answered with a reason, and none stops a batch.

Two hundred are made by mutation of a valid one; the others are kinds that teachers have reported (in the
issues of nbgrader: copied, split and deleted cells, lost metadata, 5 % of 300 notebooks).
"""

import json
import random

import pytest

from memsim.grading.run.grade import Grader
from memsim.grading.sandbox.holds import fence_that_holds
from tests.attacks.stage import ASSIGNMENT, FULL, GRADING

DOUBLE = 'def double(number):\n    """Return twice the number."""\n    twice = 2 * number\n    return twice\n'
PLUS_ONE = "def plus_one(number):\n    return number + ONE\n"
STUB = 'def double(number):\n    """Return twice the number."""\n    return ...  # your answer\n'
CELLS = ["ONE = 1\n", DOUBLE, "double(3)\n", PLUS_ONE, "plus_one(3)\n"]
NOTHING = {"double": 0, "plus_one": 0}


@pytest.fixture(scope="module")
def grader():
    fence, _ = fence_that_holds([], unfenced=False)
    return Grader(ASSIGNMENT, GRADING.encode(), fence, "a key")


def document(cells=CELLS, **changes):
    made = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {"nbgrader": {"grade_id": f"cell-{number}"}},
            "execution_count": number,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["6\n"]}],
            "source": cell.splitlines(keepends=True),
            **changes,
        }
        for number, cell in enumerate(cells)
    ]
    text = {"cell_type": "markdown", "id": "text", "metadata": {}, "source": ["# Double\n", "Some `text`."]}
    return {"cells": [text, *made], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}


def dumped(made):
    return json.dumps(made, indent=1).encode()


def scores(result):
    return {question.name: question.score for question in result.questions}


# ---- made by mutation --------------------------------------------------------------------------------


def cut_off(rng):
    data = dumped(document())
    return data[: rng.randrange(len(data))]


def bytes_changed(rng):
    data = bytearray(dumped(document()))
    for _ in range(rng.randrange(1, 20)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def lines_lost(rng):
    lines = dumped(document()).split(b"\n")
    for _ in range(rng.randrange(1, 8)):
        del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def lines_moved(rng):
    lines = dumped(document()).split(b"\n")
    for _ in range(rng.randrange(1, 4)):
        lines.insert(rng.randrange(len(lines)), lines.pop(rng.randrange(len(lines))))
    return b"\n".join(lines)


def values_of_other_types(rng):
    made = document()
    for cell in made["cells"]:
        for key in list(cell):
            if rng.random() < 0.2:
                cell[key] = rng.choice([None, 7, True, [], {}, "text", [[]], [None], {"a": []}])
    return dumped(made)


def keys_lost(rng):
    made = document()
    for cell in made["cells"]:
        for key in rng.sample(list(cell), rng.randrange(3)):
            del cell[key]
    return dumped(made)


def cells_moved(rng):
    made = document()
    rng.shuffle(made["cells"])
    return dumped(made)


def cells_copied(rng):
    made = document()
    for _ in range(rng.randrange(1, 6)):
        made["cells"].insert(rng.randrange(len(made["cells"])), rng.choice(made["cells"]))
    return dumped(made)


def cells_split(rng):
    made = document()
    index = rng.choice([2, 4])
    cell = made["cells"][index]
    at = rng.randrange(1, len(cell["source"]))
    halves = [{**cell, "source": cell["source"][:at]}, {**cell, "source": cell["source"][at:]}]
    made["cells"][index : index + 1] = halves
    return dumped(made)


def another_encoding(rng):
    text = dumped(document([*CELLS, "# Grüße, 你好\n"])).decode()
    return text.replace("\n", rng.choice(["\n", "\r\n", "\r"])).encode(
        rng.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-8"])
    )


LOSSY = (cut_off, bytes_changed, lines_lost, lines_moved, values_of_other_types, keys_lost)
LOSSLESS = (cells_moved, cells_copied, cells_split, another_encoding)
SEEDS = [
    pytest.param(range(5), id="5 notebooks"),
    pytest.param(range(5, 20), id="15 more", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("mutation", LOSSY)
def test_notebooks_that_lost_something_are_graded_or_answered(mutation, seeds, grader):
    for seed in seeds:
        data = mutation(random.Random(seed))  # noqa: S311 (the same on every run)
        result = grader.grade("ada", "work.ipynb", data)

        told = [test.message for question in result.questions for test in question.tests if not test.passed]
        assert result.unreadable or all(told), data
        assert not result.needs_teacher


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("mutation", LOSSLESS)
def test_notebooks_that_lost_nothing_get_all_points(mutation, seeds, grader):
    for seed in seeds:
        data = mutation(random.Random(seed))  # noqa: S311 (the same on every run)
        result = grader.grade("ada", "work.ipynb", data)

        assert (seed, scores(result), result.unreadable) == (seed, FULL, "")


# ---- kinds that happen -------------------------------------------------------------------------------

CONFLICT = dumped(document()).replace(
    b' "nbformat": 4', b'<<<<<<< HEAD\n "nbformat": 4\n=======\n "nbformat": 4\n>>>>>>> theirs'
)
OLD_CELLS = [{"cell_type": "code", "input": cell.splitlines(keepends=True)} for cell in CELLS]
WORKSHEETS = {"nbformat": 3, "worksheets": [{"cells": OLD_CELLS}]}
INDENTED = "    " + DOUBLE.replace("\n", "\n    ").rstrip(" ")
MAGIC = "%matplotlib inline\n!ls\n?print\n" + DOUBLE
FROM_THE_WEB = DOUBLE.replace("    twice", "\u00a0   twice")
WHOLE = {
    "metadata-deleted": dumped({"cells": [{"cell_type": "code", "source": cell} for cell in CELLS]}),
    "ids-copied": dumped(document(id="one", metadata={"nbgrader": {"grade_id": "one"}})),
    "an-old-format": dumped(WORKSHEETS),
    "a-merge-that-was-never-finished": CONFLICT,
    "the-end-is-missing": dumped(document())[:-60],
    "a-comma-too-many": dumped(document()).replace(b'"nbformat": 4', b'"nbformat": 4,'),
    "two-notebooks-in-one-file": dumped(document()) * 2,
    "a-script": "\n# %%\n".join(CELLS).encode(),
    "only-the-list-of-cells": dumped(document()["cells"]),
    "magic-words": dumped(document([MAGIC, "%%time\n" + PLUS_ONE, CELLS[0]])),
    "cells-of-another-language": dumped(document([*CELLS, "%%bash\nfor i in 1 2; do echo $i; done\n"])),
    "an-error-in-another-cell": dumped(document(["def broken(:\n    pass\n", *CELLS, "}\n"])),
    "an-error-in-the-same-cell": dumped(document([CELLS[0], DOUBLE + "\nprint('half\n", PLUS_ONE])),
    "an-error-before-in-the-same-cell": dumped(document([CELLS[0], "print('half\n\n" + DOUBLE, PLUS_ONE])),
    "a-cell-that-raises": dumped(document(["1 / 0\n", "raise SystemExit\n", *CELLS])),
    "a-cell-that-asks": dumped(document(["name = input('Your name? ')\n", *CELLS])),
    "a-cell-that-never-ends": dumped(document(["while True:\n    pass\n", *CELLS])),
    "the-answer-twice-and-the-second-untouched": dumped(document([*CELLS, STUB])),
    "the-answer-in-a-text-cell": dumped(
        {"cells": [{"cell_type": "markdown", "source": DOUBLE}, *document(CELLS[3:] + CELLS[:1])["cells"]]}
    ),
    "the-answer-in-a-fence-of-a-text-cell": dumped(
        {
            "cells": [
                {"cell_type": "raw", "source": f"```python\n{DOUBLE}```\n"},
                *document(CELLS[3:] + CELLS[:1])["cells"],
            ]
        }
    ),
    "indented-by-copying": dumped(document([CELLS[0], INDENTED, PLUS_ONE])),
    "spaces-of-a-web-page": dumped(document([CELLS[0], FROM_THE_WEB, PLUS_ONE])),
    "a-helper-that-comes-later": dumped(document([DOUBLE, PLUS_ONE, "ONE = TWO - 1\n", "TWO = 2\n"])),
    "outputs-of-ten-megabytes": dumped(document(outputs=[{"text": "x" * 2_000_000}])),
}
ANSWERED = {
    "empty": (b"", "it is empty"),
    "zeros": (b"\0" * 1000, "it is empty"),
    "a-web-page": (b"<!DOCTYPE html><html></html>", "it is a web page, not a notebook"),
    "an-archive": (b"PK\x03\x04" + b"\0" * 50, "it is a ZIP archive"),
    "a-picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "it is a picture"),
    "a-document": (b"%PDF-1.4", "it is a PDF"),
    "prose": (b"Dear teacher, my computer", "it is not a notebook"),
    "no-cells": (dumped({"cells": []}), "no cell was found"),
    "cells-that-are-none": (dumped({"cells": [None, 7, "text", []]}), "no cell was found"),
    "numbers-too-long": (b'{"cells": ' + b"9" * 10_000, "no cell was found"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_kind_that_happens_gets_all_points(kind, grader):
    result = grader.grade("ada", "work.ipynb", WHOLE[kind])

    assert (scores(result), result.unreadable) == (FULL, "")


@pytest.mark.parametrize("kind", ANSWERED)
def test_a_kind_in_which_there_is_nothing_gets_a_reason(kind, grader):
    data, reason = ANSWERED[kind]
    result = grader.grade("ada", "work.ipynb", data)

    assert scores(result) == NOTHING
    assert result.unreadable.startswith(reason)


def test_what_is_missing_costs_what_is_missing(grader):
    result = grader.grade("ada", "work.ipynb", dumped(document([CELLS[0], PLUS_ONE])))

    assert scores(result) == {"double": 0, "plus_one": 2}
    assert result.questions[0].tests[0].message == "There is no function double() in the notebook."
