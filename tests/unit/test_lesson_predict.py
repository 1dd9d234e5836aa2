"""predict(): nothing is shown before the reader commits, and nothing stored shows in an output."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from memsim import BEFORE, Machine
from memsim.lesson import LessonError, predict, store
from memsim.lesson.fields import Choice

OPTIONS = ("Reserved", "PageOffline")
EXPLAIN = {"Reserved": "Because of <memmap_init_range>.", "PageOffline": "That is the kernel after."}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(autouse=True)
def predictions_file(tmp_path, monkeypatch):
    """Each test is a new reader on a new machine."""
    path = tmp_path / "deep" / "predictions.json"
    monkeypatch.setenv(store.VARIABLE, str(path))
    monkeypatch.setattr(store, "_memory", {})
    return path


class Counting:
    """An answer that counts how often it is asked for."""

    def __init__(self, value):
        self.value = value
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def choice(answer="Reserved", **changes):
    arguments = {"options": OPTIONS, "answer": answer, "explain": EXPLAIN}
    return predict("What is page `0x100000` <after> onlining?", **arguments | changes)


def fill(prediction, value):
    if isinstance(prediction.field, Choice):
        prediction.field.buttons[value].click()
    else:
        prediction.field.control.value = value


def pick(prediction, value):
    fill(prediction, value)
    prediction.button.click()
    return prediction.feedback.value


def forget_memory(monkeypatch):
    """What is left of the reader in a new kernel: the file."""
    monkeypatch.setattr(store, "_memory", {})


# ---- committing ------------------------------------------------------------------------------------


def test_the_simulator_runs_on_commit_and_not_before():
    answer = Counting("Reserved")
    prediction = choice(answer)
    repr(prediction)
    prediction._repr_mimebundle_()
    fill(prediction, "PageOffline")
    assert (answer.calls, prediction.feedback.value) == (0, "")
    prediction.button.click()
    assert answer.calls == 1


def test_a_real_simulation_can_be_the_answer():
    def run():
        machine = Machine(patch=BEFORE)
        machine.add_memory(0x100000, 32768)
        machine.online(32, "online_movable")
        return machine.zone("Movable").managed_pages

    # One block of 128 MiB is 32768 pages of 4 KiB, all of them given to the zone.
    shown = pick(predict("How many?", "number", answer=run, explain="All."), "32,768")
    assert "The simulator says:</strong> 32,768" in shown
    assert "✓ As you predicted." in shown


def test_a_wrong_prediction_shows_both_explanations_and_no_score():
    shown = pick(choice(Counting("Reserved")), "PageOffline")
    assert "You predicted:</strong> PageOffline" in shown
    assert "The simulator says:</strong> Reserved" in shown
    assert "≠ Not as you predicted." in shown
    assert shown.index(EXPLAIN["PageOffline"]) < shown.index("Because of &lt;memmap_init_range&gt;.")


def test_a_right_prediction_shows_its_explanation_alone():
    shown = pick(choice(), "Reserved")
    assert "✓ As you predicted." in shown
    assert EXPLAIN["PageOffline"] not in shown


def test_an_answer_that_nobody_computed_is_not_the_simulators():
    assert "The answer:</strong> Reserved" in pick(choice(), "Reserved")


def test_without_a_choice_nothing_is_committed(predictions_file):
    answer = Counting("Reserved")
    prediction = choice(answer)
    prediction.button.click()
    assert "Choose one of the options first." in prediction.feedback.value
    assert (answer.calls, prediction.committed, predictions_file.exists()) == (0, False, False)


def test_a_committed_prediction_cannot_be_changed_but_taken_again():
    prediction = choice()
    pick(prediction, "Reserved")
    options = prediction.field.buttons.values()
    assert (all(option.disabled for option in options), prediction.button.description) == (
        True,
        "Predict again",
    )
    assert not prediction.button.disabled  # or the keyboard would lose its place
    prediction.button.click()
    assert (any(option.disabled for option in options), prediction.field.chosen) == (False, None)
    assert EXPLAIN["Reserved"] not in prediction.feedback.value
    assert "PageOffline" in pick(prediction, "PageOffline")


def test_a_failing_simulation_is_told_and_the_prediction_kept(predictions_file):
    shown = pick(choice(Counting(LessonError("block 7 is not there"))), "Reserved")
    assert "No answer: block 7 is not there" in shown
    assert "Reserved" in predictions_file.read_text(encoding="utf-8")


def test_an_answer_that_is_no_option_is_told():
    assert "none of the options" in pick(choice(Counting("Buddy")), "Reserved")


# ---- numbers and words -------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["32768", "32,768", "0x8000", "32_768", " 32768.0 "])
@pytest.mark.parametrize("number", [32768, np.int64(32768), np.float64(32768)])
def test_a_number_is_understood_however_it_is_written(typed, number):
    shown = pick(predict("How many?", "number", answer=number, explain="All."), typed)
    assert "✓ As you predicted." in shown


@pytest.mark.parametrize("typed", ["", "many", "1,5", "nan", "inf", "0x"])
def test_what_is_no_number_is_asked_for_again(typed):
    prediction = predict("How many?", "number", answer=1, explain="All.")
    assert "Type a number first" in pick(prediction, typed)
    assert not prediction.committed


def test_a_number_can_have_an_explanation_of_its_own():
    explain = {0: "They are not counted yet.", None: "Count the pages."}
    prediction = predict("How many?", "number", answer=32768, explain=explain)
    assert explain[0] in pick(prediction, "0")
    prediction.button.click()
    assert explain[None] in pick(prediction, "17")


def test_words_are_set_beside_the_answer_and_not_judged():
    prediction = predict("Why?", "words", answer="No one clears it.", explain="See above.")
    assert "Write a few words first." in pick(prediction, "  ")
    shown = pick(prediction, "<b>because</b>")
    assert "&lt;b&gt;because&lt;/b&gt;" in shown
    assert "Compare:" in shown
    assert "Not as you predicted" not in shown


# ---- the forms ---------------------------------------------------------------------------------------


def test_text_and_html_say_question_and_options():
    bundle = choice()._repr_mimebundle_()
    assert bundle["text/plain"].splitlines() == [
        "Predict: What is page `0x100000` <after> onlining?",
        "  ( ) Reserved",
        "  ( ) PageOffline",
        "Run this notebook to answer.",
    ]
    assert "What is page <code>0x100000</code> &lt;after&gt; onlining?" in bundle["text/html"]
    assert "<li>Reserved</li><li>PageOffline</li>" in bundle["text/html"]
    assert "Run this notebook to answer." in bundle["text/html"]
    assert bundle[WIDGET_VIEW]["version_major"] == 2


@pytest.mark.parametrize("options", ["number", "words"])
def test_a_line_to_fill_in_has_a_static_form_too(options):
    bundle = predict("What?", options, answer=1, explain="So.")._repr_mimebundle_()
    assert ": ____" in bundle["text/plain"]
    assert ": ____" in bundle["text/html"]


def test_the_static_forms_know_nothing_of_the_reader():
    def static(prediction):
        bundle = prediction._repr_mimebundle_()
        return bundle["text/plain"], bundle["text/html"], repr(prediction)

    prediction = choice()
    fresh = static(prediction)
    pick(prediction, "PageOffline")
    assert static(prediction) == fresh
    assert static(choice()) == fresh


def test_every_control_is_named_and_reached_by_keyboard():
    one, other = choice(), predict("How many?", "number", answer=1, explain="So.")
    for control in (*one.field.buttons.values(), one.button, other.field.control, other.button):
        assert control.description
        assert control.tooltip
        assert control.tabbable is True


def test_the_chosen_option_is_marked_in_words():
    prediction = choice(options=("`online`", "`offline`"), answer="`online`", explain="So.")
    described = [button.description for button in prediction.field.buttons.values()]
    assert described == ["○ online", "○ offline"]
    fill(prediction, "`online`")
    fill(prediction, "`offline`")
    described = [button.description for button in prediction.field.buttons.values()]
    assert described == ["○ online", "● offline (chosen)"]
    assert "<code>offline</code>" in pick(prediction, "`offline`")


def test_a_line_is_closed_on_commit_as_well():
    prediction = predict("How many?", "number", answer=1, explain="So.")
    pick(prediction, "1")
    assert prediction.field.control.disabled
    prediction.button.click()
    assert (prediction.field.control.disabled, prediction.field.control.value) == (False, "")


# ---- what is remembered ------------------------------------------------------------------------------


def test_an_earlier_prediction_shows_again_but_not_what_came_of_it(monkeypatch):
    pick(choice(), "PageOffline")
    forget_memory(monkeypatch)
    shown = choice().feedback.value
    assert "On an earlier run you predicted:</strong> PageOffline" in shown
    assert EXPLAIN["PageOffline"] not in shown


def test_another_question_or_other_options_are_another_prediction():
    pick(choice(), "PageOffline")
    assert choice(options=("Reserved", "PageOffline", "Buddy"), explain="So.").feedback.value == ""


def test_the_file_is_json_that_a_reader_understands(predictions_file):
    pick(choice(), "PageOffline")
    pick(predict("How many?", "number", answer=1, explain="So."), "7")
    document = json.loads(predictions_file.read_text(encoding="utf-8"))
    assert document["format"] == "memsim-predictions/1"
    assert [(r["options"], r["predicted"]) for r in document["predictions"]] == [
        (list(OPTIONS), "PageOffline"),
        ([], 7),
    ]
    assert [path.name for path in predictions_file.parent.iterdir()] == ["predictions.json"]


def test_without_a_place_to_write_memory_serves(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "file" / "predictions.json"))
    assert "≠ Not as you predicted." in pick(choice(), "PageOffline")
    assert "PageOffline" in choice().feedback.value


def test_the_file_can_be_switched_off(monkeypatch, predictions_file):
    monkeypatch.setenv(store.VARIABLE, "")
    pick(choice(), "PageOffline")
    assert store.path_of_store() is None
    assert not predictions_file.exists()


@pytest.mark.parametrize("content", ["not JSON", '{"cells": []}', "[]", "\x00"])
def test_a_file_of_somebody_else_is_never_overwritten(content, predictions_file):
    predictions_file.parent.mkdir()
    predictions_file.write_text(content, encoding="utf-8")
    pick(choice(), "PageOffline")
    assert predictions_file.read_text(encoding="utf-8") == content


@pytest.mark.parametrize(
    "records", [7, [7], [{"question": 1}], [{"question": "", "options": [{}], "predicted": 1}]]
)
def test_broken_records_are_ignored(records, predictions_file):
    predictions_file.parent.mkdir()
    document = {"format": store.FORMAT, "predictions": records}
    predictions_file.write_text(json.dumps(document), encoding="utf-8")
    assert choice().feedback.value == ""
    assert "On an earlier run" not in pick(choice(), "Reserved")


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "X/memsim/predictions.json"),
        ("linux", None, "H/.local/share/memsim/predictions.json"),
        ("darwin", None, "H/Library/Application Support/memsim/predictions.json"),
        ("win32", "LOCALAPPDATA", "X/memsim/predictions.json"),
        ("win32", None, "H/AppData/Local/memsim/predictions.json"),
    ],
)
def test_the_file_lies_where_the_platform_keeps_data(platform, variable, expected, monkeypatch):
    for name in (store.VARIABLE, "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("H"))
    if variable is not None:
        monkeypatch.setenv(variable, "X")
    assert store.path_of_store() == Path(expected)


# ---- authors' mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": "Buddy"}, "'Buddy' is none of the options"),
        ({"explain": {"Reserved": "x"}}, "'PageOffline'"),
        ({"explain": EXPLAIN | {"Buddy": "x"}}, "'Buddy'"),
        ({"options": ("Reserved",), "explain": "x"}, "at least two"),
        ({"options": ("`a`", "a"), "explain": "x"}, "differ"),
        ({"options": "number", "explain": "x"}, "'Reserved' is not a number"),
        ({"options": "number", "answer": 1, "explain": {1: "x"}}, "None"),
        ({"options": "nubmer", "explain": "x"}, "'nubmer'"),
    ],
)
def test_a_cell_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(LessonError, match=message):
        choice(**changes)
