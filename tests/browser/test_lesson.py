"""The questions of a lesson in a real browser, answered by keyboard alone."""

from __future__ import annotations

import pytest

from memsim.lesson import answer

from .notebook import write_notebook

pytestmark = pytest.mark.browser

CELLS = (
    "from memsim.lesson import ask, predict, quiz",
    "predict('How many?', 'number', answer=1024, explain='Order 10.')",
    "predict('Why?', 'words', answer='The buddy wants it.', explain='It merges.')",
    "predict('Which?', ['this', 'that'], answer='that', explain={'this': 'It was.', 'that': 'It is.'})",
    "quiz('Who?', {'I': 'One of us.', 'You': 'It was *you*.'}, correct='You')",
    "ask('page-type', seed=3)",
)


class Question:
    """One question of a page, and the keyboard."""

    def __init__(self, notebook, number):
        self.notebook, self.page = notebook, notebook.page
        self.box = notebook.page.locator(".memsim-lesson").nth(number)
        self.box.wait_for()

    def press(self, name, says):
        self.notebook.focus(self.box.get_by_role("button", name=name))
        assert self.page.locator(":focus").evaluate("e => getComputedStyle(e).outlineStyle") != "none"
        self.notebook.press("Space")
        self.says(says)

    def says(self, text):
        self.notebook.wait_until(
            self.box.locator(".memsim-feedback").inner_text,
            lambda now: text in " ".join(now.split()),
            f"it does not say {text!r}",
        )

    def type(self, text, line=0):
        self.notebook.focus(self.box.locator("input").nth(line))
        self.notebook.press("Control+a")
        self.page.keyboard.type(text)

    def chosen(self):
        return self.box.locator("input:checked").evaluate_all("all => all.map(one => one.value)")


@pytest.fixture
def questions(open_notebook, tmp_path):
    notebook = open_notebook(write_notebook(tmp_path / "lesson" / "lesson.ipynb", *CELLS))
    notebook.run_all()
    assert notebook.errors() == []
    return [Question(notebook, number) for number in range(len(CELLS) - 1)]


def test_each_kind_of_question(questions, screenshots):
    number, words, choice, quiz, problem = questions
    number.press("Commit", "Type a number")
    number.type("512")
    number.press("Commit", "≠ Not as you predicted.")
    number.says("The answer: 1,024")
    number.press("Predict again", "On an earlier run you predicted: 512")
    number.type("1_024")
    number.notebook.press("Enter")
    number.says("✓ As you predicted.")
    words.press("Commit", "Write a few words")
    words.type("It <must> merge.")
    words.press("Commit", "You predicted: It <must> merge.")
    words.says("The buddy wants it.")
    moves_between_options_by_arrow_keys(choice)
    choice.press("Commit", "✓ As you predicted.")
    assert choice.box.locator("[data-mark=right]").inner_text().split("\n")[0] == "that"
    wrong_then_right(quiz)
    checks_shows_and_draws_another(problem)
    problem.page.screenshot(path=screenshots / "questions.png", full_page=True)


def moves_between_options_by_arrow_keys(choice):
    """As in any group of radio buttons; JupyterLab moves to no other cell."""
    choice.press("Commit", "Choose one of the options first.")
    choice.notebook.focus(choice.box.locator("input").first)
    choice.notebook.press("ArrowDown")
    assert choice.chosen() == ["that"]
    choice.notebook.press("ArrowDown")
    assert choice.chosen() == ["this"]
    choice.notebook.press("ArrowUp")
    assert choice.chosen() == ["that"]
    assert choice.box.locator("input:focus").count() == 1


def wrong_then_right(quiz):
    quiz.notebook.focus(quiz.box.locator("input").first)
    quiz.notebook.press("Space")
    quiz.press("Check my answer", "✗ No; choose another option and check again. One of us.")
    assert quiz.box.locator("[data-mark=wrong]").count() == 1
    assert quiz.box.locator("[data-mark=right]").count() == 0
    quiz.notebook.focus(quiz.box.locator("input:checked"))
    quiz.notebook.press("ArrowDown", "Enter")
    quiz.says("✓ Yes. It was you.")
    assert quiz.box.locator("[data-mark=right]").count() == 1


def checks_shows_and_draws_another(problem):
    wanted = list(answer("page-type", seed=3).answers().values())
    problem.press("Check", "Fill in a line first.")
    problem.type("wrong")
    problem.press("Check", f"0 of {len(wanted)} lines are right.")
    words = problem.box.locator("[data-mark=wrong]").evaluate(
        "line => line.firstElementChild.getBoundingClientRect().left - line.getBoundingClientRect().left"
    )
    assert words > 4  # the bar that marks the line is 4 wide, and does not touch them
    problem.type(str(wanted[0]).upper().replace("0X", "0x"))
    problem.press("Check", f"1 of {len(wanted)} lines is right.")
    for line, value in enumerate(wanted):
        problem.type(str(value).lower(), line)
    problem.notebook.press("Enter")
    problem.says(f"✓ All {len(wanted)} lines are right. Decided by include/linux/page-flags.h")
    problem.press("Another problem", "")
    problem.box.get_by_text("Problem page-type, seed 4.").wait_for()
    problem.press("Show the answers", "These are the answers.")
    shown = problem.box.locator("input").evaluate_all("all => all.map(one => one.value)")
    assert shown == [str(value) for value in answer("page-type", seed=4).answers().values()]
