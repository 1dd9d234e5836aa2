"""The questions of a lesson in a real browser, answered by keyboard alone."""

from __future__ import annotations

import pytest

from .notebook import write_notebook

pytestmark = pytest.mark.browser

CELLS = (
    "from memsim.lesson import predict, quiz",
    "predict('How many?', 'number', answer=1024, explain='Order 10.')",
    "predict('Why?', 'words', answer='The buddy wants it.', explain='It merges.')",
    "predict('Which?', ['this', 'that'], answer='that', explain={'this': 'It was.', 'that': 'It is.'})",
    "quiz('Who?', {'I': 'One of us.', 'You': 'It was you.'}, correct='You')",
)


class Question:
    """One question of a page, and the keyboard."""

    def __init__(self, notebook, number):
        self.notebook, self.page = notebook, notebook.page
        self.box = notebook.page.locator(".memsim-lesson").nth(number)
        self.box.wait_for()

    def tab_to(self, name):
        """Press Tab, from the first control on, until this one has the focus, which can be seen."""
        self.notebook.focus(self.box.locator("button, input").first)
        for _ in range(4):
            focused = self.page.locator(":focus")
            if name in (focused.text_content() or ""):
                assert focused.evaluate("e => getComputedStyle(e).outlineStyle") != "none"
                return
            self.notebook.press("Tab")
        pytest.fail(f"Tab does not lead to {name}")

    def press(self, name, says):
        self.tab_to(name)
        self.notebook.press("Space")
        self.box.get_by_text(says).wait_for()

    def type(self, text):
        self.notebook.focus(self.box.locator("input"))
        self.notebook.press("Control+a")
        self.page.keyboard.type(text)


@pytest.fixture
def questions(open_notebook, tmp_path):
    notebook = open_notebook(write_notebook(tmp_path / "lesson" / "lesson.ipynb", *CELLS))
    notebook.run_all()
    assert notebook.errors() == []
    return [Question(notebook, number) for number in range(len(CELLS) - 1)]


def test_each_kind_of_question(questions):
    number, words, choice, quiz = questions
    number.press("Commit", "Type a number")
    number.type("512")
    number.press("Commit", "Not as you predicted.")
    number.box.get_by_text("The answer: 1,024").wait_for()
    number.press("Predict again", "Commit my prediction")
    number.type("1024")
    number.press("Commit", "✓ As you predicted.")
    words.type("It must merge.")
    words.press("Commit", "You predicted: It must merge.")
    words.box.get_by_text("The buddy wants it.").wait_for()
    choice.press("Commit", "Choose one of the options first.")
    choice.press("this", "this (chosen)")
    choice.press("that", "that (chosen)")
    choice.press("Commit", "✓ As you predicted.")
    quiz.press("I", "I (chosen)")
    quiz.press("Check my answer", "✗ No; choose another option and check again. One of us.")
    quiz.press("You", "You (chosen)")
    quiz.press("Check my answer", "✓ Yes. It was you.")
