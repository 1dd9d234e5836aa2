"""quiz(): an explanation for every option, tries without end, no points."""

from __future__ import annotations

import pytest

from memsim.lesson import LessonError, quiz

EXPLANATIONS = {"`online_pages`": "It is <late>, *very* late.", "`add_memory`": "It makes the memmap."}


def make():
    return quiz("Who makes the memmap?", EXPLANATIONS, correct="`add_memory`")


def test_the_browser_gets_all_that_it_needs_to_check_without_a_kernel():
    spec = make().spec()
    assert spec["right"] == "`add_memory`"
    assert spec["options"] == [
        {
            "value": "`online_pages`",
            "label": "<code>online_pages</code>",
            "says": "It is &lt;late&gt;, <em>very</em> late.",
        },
        {"value": "`add_memory`", "label": "<code>add_memory</code>", "says": "It makes the memmap."},
    ]
    assert make().widget.spec == make().spec_without_a_kernel() == spec


def test_the_static_forms_hold_no_explanation():
    shown = make()._repr_mimebundle_()
    assert shown["text/plain"].splitlines() == [
        "Question: Who makes the memmap?",
        "  ( ) `online_pages`",
        "  ( ) `add_memory`",
        "Run this notebook to answer.",
    ]
    assert "<li><code>online_pages</code></li>" in shown["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert not any(text in shown["text/html"] for text in EXPLANATIONS.values())


def test_the_correct_answer_must_be_an_option():
    with pytest.raises(LessonError, match="none of the options"):
        quiz("Who?", EXPLANATIONS, correct="`remove_memory`")


def test_one_option_is_no_question():
    with pytest.raises(LessonError, match="at least two"):
        quiz("Who?", {"I": "You."}, correct="I")
