"""Questions in a file: what they become, and what is refused with file, question and rule."""

from __future__ import annotations

import pytest

from memsim.lesson import LessonError, predict, quiz, read_questions

QUIZ = """
[recall-1]
question = "Who sets `PageReserved`?"
correct = "the kernel"
show = [1, "done", 0x100233]

[recall-1.explanations]
"the loader" = "No."
"the kernel" = \"\"\"
Yes: it sets it
in two places.
\"\"\"
"""
NUMBER = """
[chunks]
question = "How many?"
options = "number"
explain = {32 = "Right.", -1 = "There is no minus one.", 0x10 = "Half of them.", otherwise = "No."}
"""
CHOICE = """
[which]
question = "Which?"
answer = "16"
explain = {16 = "Yes.", 32 = "No."}
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "ch.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_quiz_in_a_file_is_the_quiz_in_the_code(written):
    questions = read_questions(written(QUIZ))
    ours = quiz(
        "Who sets `PageReserved`?",
        {"the loader": "No.", "the kernel": "Yes: it sets it in two places."},
        correct="the kernel",
        show=(1, "done", 0x100233),
    )
    assert quiz(**questions["recall-1"]).spec() == ours.spec()


def test_explanations_of_numbers_stand_under_the_number_and_otherwise(written):
    questions = read_questions(written(NUMBER))
    explain = {32: "Right.", -1: "There is no minus one.", 16: "Half of them.", None: "No."}
    ours = predict("How many?", "number", answer=32, explain=explain)
    assert predict(**questions["chunks"], answer=32).spec() == ours.spec()


def test_options_that_look_like_numbers_stay_options(written):
    questions = read_questions(written(CHOICE))
    made = predict(**questions["which"])
    assert made.field.options == ("16", "32")
    assert made.answered()["value"] == "16"


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "no TOML": ("[recall-1\n", "ch.toml: "),
        "no UTF-8": (b"[a]\nquestion = '\xff'", "ch.toml: "),
        "a key that is no parameter": (
            QUIZ.replace("correct", "right"),
            "ch.toml, recall-1: .* unknown: right",
        ),
        "no question": (CHOICE.replace("question", "answer2"), "ch.toml, which: .* unknown: answer2"),
        "a text and no table": ("recall-1 = 'Who?'", "ch.toml, recall-1: .* there is no question"),
    }.values(),
)
def test_what_is_wrong_in_a_file_is_named_with_the_question(text, said, written):
    with pytest.raises(LessonError, match=said):
        read_questions(written(text))


def test_a_file_or_a_question_that_does_not_exist_is_named(written, tmp_path):
    with pytest.raises(LessonError, match=r"none\.toml: No such file"):
        read_questions(tmp_path / "none.toml")
    with pytest.raises(LessonError, match=r"there is no question 'recall-9'; it has recall-1"):
        _ = read_questions(written(QUIZ))["recall-9"]
