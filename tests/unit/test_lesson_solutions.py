"""solution(): folded, computed by the model, refused when what it states does not hold."""

from __future__ import annotations

import pytest

from memsim import Machine
from memsim.lesson import LessonError, Solution, solution
from memsim.lesson.solutions import CheckedSolution

RUBRIC = ("names `online_pages()`", "says *when*", "says why")


def worked():
    """Return a solution in words."""
    return solution(4, "First <this>.\n\nThen `that`.", rubric=RUBRIC)


def computed():
    """Return a solution with two lines to fill in."""
    return solution(
        2,
        "Nothing is used.",
        lines={"managed": lambda: Machine().zone("DMA").managed_pages, "who": lambda: ("a", "b")},
    )


def test_a_solution_is_folded_in_html_and_whole_in_text():
    shown = worked()._repr_mimebundle_()
    assert shown["text/plain"].splitlines() == [
        "Solution of exercise 4",
        "  First <this>.",
        "  Then that.",
        "  Point 1: names online_pages()",
        "  Point 2: says when",
        "  Point 3: says why",
    ]
    assert set(shown) == {"text/plain", "text/html"}
    fold = shown["text/html"].partition("<details>")[2].partition("</details>")[0]
    assert "<summary>Solution of exercise 4</summary>" in fold
    assert "First &lt;this&gt;." in fold
    assert fold.count("<li>") == 3


def test_lines_are_computed_by_the_model_and_asked_for_in_the_browser():
    made = computed()
    assert isinstance(made, CheckedSolution)
    assert made.lines == {"managed": 4096, "who": ("a", "b")}
    spec = made.spec_without_a_kernel()
    assert spec["kind"] == "ask"
    assert spec["lines"] == ["managed", "who"]
    assert spec["outcome"] == {"seed": spec["seed"], "answers": ["4096", ["a", "b"]]}
    assert "4,096" in spec["fold"]
    assert "4096" not in str({key: value for key, value in made.spec().items() if key != "fold"})
    assert "application/vnd.jupyter.widget-view+json" in made._repr_mimebundle_()


def test_the_browser_is_answered_when_it_asks():
    made = computed()
    widget = made.widget
    widget.commitment = {"seed": 2, "number": 1}
    assert widget.outcome == made.answered() | {"number": 1}


def test_what_is_stated_must_hold():
    assert type(solution(1, "Two.", holds=lambda: Machine().zone("DMA").managed_pages == 4096)) is Solution
    with pytest.raises(LessonError, match="exercise 1: what the solution states does not hold: False"):
        solution(1, "Three.", holds=lambda: Machine().zone("DMA").managed_pages == 3)
    with pytest.raises(LessonError, match="does not hold: None"):
        solution(1, "Three.", holds=lambda: None)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (lambda: solution(0, "Text."), "the number of its exercise"),
        (lambda: solution(1, " "), "and a text"),
        (lambda: solution(1, "Text.", rubric=("one", "two")), "a rubric has 3 points, not 2"),
        (lambda: solution(1, "Text.", lines={"so": lambda: True}), "'so': True is no whole number"),
        (lambda: solution(1, "Text.", lines={"so": lambda: 1.5}), "1.5 is no whole number"),
        (lambda: solution(1, "Text.", lines={"so": lambda: Machine().allocate(10**9)}), "exercise 1, 'so'"),
    ],
)
def test_bad_solutions_are_refused(bad, why):
    with pytest.raises(LessonError, match=why):
        bad()
