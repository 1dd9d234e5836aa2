"""quiz(): an explanation for every option, tries without end, no points."""

from __future__ import annotations

import pytest

from memsim.lesson import LessonError, quiz

EXPLANATIONS = {"`online_pages`": "It is <late>.", "`add_memory`": "It makes the memmap."}


def make():
    return quiz("Who makes the memmap?", EXPLANATIONS, correct="`add_memory`")


def check(made, option):
    made.field.buttons[option].click()
    made.button.click()
    return made.feedback.value


def test_each_option_has_its_explanation_and_one_may_try_again():
    made = make()
    wrong = check(made, "`online_pages`")
    assert "✗ No" in wrong
    assert "It is &lt;late&gt;." in wrong
    assert EXPLANATIONS["`add_memory`"] not in wrong
    right = check(made, "`add_memory`")
    assert "✓ Yes." in right
    assert "It makes the memmap." in right
    assert "It is &lt;late&gt;." not in right


def test_nothing_is_explained_before_an_option_is_chosen():
    made = make()
    made.button.click()
    assert "Choose one of the options first." in made.feedback.value
    assert not any(text in made.feedback.value for text in EXPLANATIONS.values())


def test_the_static_forms_hold_no_explanation_and_do_not_change():
    made = make()
    before = made._repr_mimebundle_()
    check(made, "`add_memory`")
    assert made._repr_mimebundle_() == before
    assert before["text/plain"].splitlines() == [
        "Question: Who makes the memmap?",
        "  ( ) `online_pages`",
        "  ( ) `add_memory`",
        "Run this notebook to answer.",
    ]
    assert "<li><code>online_pages</code></li>" in before["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in before
    assert not any(text in before["text/html"] for text in EXPLANATIONS.values())


def test_controls_are_named_and_reached_by_keyboard():
    made = make()
    for control in (*made.field.buttons.values(), made.button):
        assert control.description
        assert control.tooltip
        assert control.tabbable is True


def test_the_correct_answer_must_be_an_option():
    with pytest.raises(LessonError, match="none of the options"):
        quiz("Who?", EXPLANATIONS, correct="`remove_memory`")


def test_one_option_is_no_question():
    with pytest.raises(LessonError, match="at least two"):
        quiz("Who?", {"I": "You."}, correct="I")
