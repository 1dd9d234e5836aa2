"""ask() and answer(): the forms of a problem, and that the same seed is the same problem everywhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from memsim.cli import main
from memsim.lesson import LessonError, answer, ask
from memsim.lesson.live import LiveQuestion
from memsim.lesson.problems import KINDS
from memsim.lesson.problems.draw import Draw
from memsim.lesson.problems.problem import Asked


@pytest.mark.parametrize("kind", KINDS)
def test_ask_shows_question_marks_and_answer_the_same_with_values(kind):
    asked, answered = ask(kind, seed=3), answer(kind, seed=3)
    values = answered.answers()
    assert tuple(values) == asked.task.wanted
    assert repr(asked).count(": ?\n") == len(values) > 0
    assert ": ?\n" not in repr(answered)
    for problem in (asked, answered):
        assert problem.task.wanted == asked.task.wanted
        bundle = problem._repr_mimebundle_()
        assert bundle["text/plain"] == repr(problem)
        assert bundle["text/html"].count("<li>") == len(values)
        assert ("application/vnd.jupyter.widget-view+json" in bundle) is (problem is asked)
    assert f'answer("{kind}", seed=3)' in repr(asked)
    assert f'ask("{kind}", seed=4)' in repr(answered)
    assert asked.task.rule in repr(answered)
    assert asked.task.rule not in repr(asked)  # it would give away where to look


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_asked_does_not_hold_the_answer(kind):
    for seed in range(5):
        asked = ask(kind, seed=seed)
        lines = repr(asked).splitlines()
        assert [line for line in lines if line.endswith(": ?")] == [
            f"  {each}: ?" for each in asked.task.wanted
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_instruction_works_as_it_is_printed(kind):
    """In a notebook that has imported nothing of it."""
    instruction = repr(ask(kind, seed=3)).splitlines()[-1].removeprefix("Solve it on paper first. To check: ")
    *statements, last = instruction.split("; ")
    names = {}
    exec("\n".join(statements), names)  # noqa: S102 (what a reader types)
    assert repr(eval(last, names)) == repr(answer(kind, seed=3))  # noqa: S307


@pytest.mark.parametrize("kind", KINDS)
def test_the_browser_is_told_the_answers_only_when_it_asks(kind):
    shown = Asked(ask(kind, seed=3))
    widget = LiveQuestion(shown.now.spec(), shown.heard)
    assert "outcome" not in widget.spec
    assert widget.outcome == {}
    widget.commitment = {"seed": 3, "number": 1}
    answers = answer(kind, seed=3).answers()
    assert widget.outcome["answers"] == [
        list(value) if isinstance(value, tuple) else str(value) for value in answers.values()
    ]
    widget.commitment = {"another": 4, "number": 2}
    assert widget.spec == ask(kind, seed=4).spec()
    assert widget.outcome["seed"] == 3  # of the problem before; the browser compares


def test_names_and_signs_are_escaped_and_set_as_code():
    html = ask("chunks", seed=0).html()
    assert "<code>generic_online_page()</code>" in html
    assert "&quot;chunks&quot;" in html


def test_a_given_table_is_shown_as_a_terminal_would():
    asked = ask("side", seed=0)
    assert "<pre style=" in asked.html()
    for line in asked.task.table.splitlines():
        assert f"    {line}\n" in repr(asked)


@pytest.mark.long
def test_without_a_kind_the_seed_chooses_one():
    kinds = {ask(seed=seed).kind for seed in range(200)}
    assert kinds == set(KINDS)
    assert repr(answer(seed=5)) == repr(answer(ask(seed=5).kind, seed=5))


@pytest.mark.parametrize("seed", [0, -1, 10**30])
def test_any_whole_number_is_a_seed(seed):
    assert repr(ask("merge", seed=seed)) == repr(ask("merge", seed=seed))


@pytest.mark.parametrize("seed", ["7", 1.0, None, True])
def test_nothing_else_is(seed):
    with pytest.raises(LessonError, match="a seed is a whole number"):
        ask("merge", seed=seed)


def test_an_unknown_kind_is_refused_with_those_that_there_are():
    with pytest.raises(LessonError, match="there is no problem 'chunk'; there are chunks, counters"):
        ask("chunk", seed=1)


def test_draws_are_the_same_in_every_python():
    """Python promises that random.Random(str).random() stays; 3.11, 3.12 and 3.13 were asked."""
    draw = Draw("memsim")
    assert [draw.below(1000) for _ in range(5)] == [384, 347, 889, 959, 790]
    assert sorted(Draw("x").sample(range(10), 10)) == list(range(10))
    assert {Draw(str(n)).between(1, 3) for n in range(50)} == {1, 2, 3}


def test_in_another_process_the_problem_is_the_same():
    code = "from memsim.lesson import answer; print(answer('virtio-mem', seed=11))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 (our own code)
    assert done.stdout == f"{answer('virtio-mem', seed=11)}\n"


def test_problems_need_no_widgets():
    code = "from memsim.lesson import ask; ask('merge', seed=1).html(); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 (our own code)
    assert not {"ipywidgets", "plotly", "IPython"} & set(done.stdout.split())


# ---- in a terminal -------------------------------------------------------------------------------------


def test_the_command_line_asks_and_answers(capsys):
    for command, shown in (("ask", ask("merge", seed=2)), ("answer", answer("merge", seed=2))):
        assert main([command, "merge", "--seed", "2"]) == 0
        assert capsys.readouterr().out == f"{shown}\n"
    assert main(["ask"]) == 0
    assert capsys.readouterr().out == f"{ask(seed=0)}\n"


def test_the_command_line_refuses_an_unknown_kind_in_one_line(capsys):
    assert main(["answer", "chunk"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("memsim: there is no problem 'chunk'; there are ")
    assert captured.err.count("\n") == 1
