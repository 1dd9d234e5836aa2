"""predict(): nothing is shown before the reader commits, and nothing stored shows in an output."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from memsim import BEFORE, Machine
from memsim.lesson import LessonError, predict, store

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


def commit(prediction, value):
    """Commit as the browser does, and return what it is told."""
    number = prediction.widget.commitment.get("number", 0) + 1
    prediction.widget.commitment = {"value": value, "number": number}
    return prediction.widget.outcome


def forget_memory(monkeypatch):
    """What is left of the reader in a new kernel: the file."""
    monkeypatch.setattr(store, "_memory", {})


# ---- committing ------------------------------------------------------------------------------------


def test_the_simulator_runs_on_commit_and_not_before():
    answer = Counting("Reserved")
    prediction = choice(answer)
    repr(prediction)
    prediction._repr_mimebundle_()
    assert (answer.calls, prediction.widget.outcome) == (0, {})
    commit(prediction, "PageOffline")
    assert answer.calls == 1
    assert "Reserved" not in json.dumps(choice(answer).widget.spec["question"])


def test_a_real_simulation_can_be_the_answer():
    def run():
        machine = Machine(patch=BEFORE)
        machine.add_memory(0x100000, 32768)
        machine.online(32, "online_movable")
        return machine.zone("Movable").managed_pages

    prediction = predict("How many?", "number", answer=run, explain="All.")
    # One block of 128 MiB is 32768 pages of 4 KiB, all of them given to the zone.
    assert commit(prediction, "32768") == {"value": "32768", "shown": "32,768", "of": "32768", "number": 1}
    assert prediction.spec()["says"] == "The simulator says:"


def test_each_commitment_is_answered_even_if_it_is_the_same():
    answer = Counting("Reserved")
    prediction = choice(answer)
    heard = [commit(prediction, "PageOffline")["number"] for _ in range(2)]
    assert (heard, answer.calls) == ([1, 2], 2)


def test_every_option_is_explained_in_html():
    explain = choice().spec()["explain"]
    assert explain == {
        "Reserved": "Because of &lt;memmap_init_range&gt;.",
        "PageOffline": EXPLAIN["PageOffline"],
    }
    assert choice(explain="So.").spec()["explain"] == {"": "So."}


def test_an_answer_that_nobody_computed_is_not_the_simulators():
    assert choice().spec()["says"] == "The answer:"


def test_what_happens_is_not_in_what_the_browser_is_asked():
    assert "outcome" not in choice().spec()
    assert choice().spec_without_a_kernel()["outcome"] == {"value": "Reserved", "shown": "Reserved"}


def test_a_failing_simulation_is_told_and_the_prediction_kept(predictions_file):
    told = commit(choice(Counting(LessonError("block 7 is not there"))), "Reserved")
    assert told["error"] == "block 7 is not there"
    assert "Reserved" in predictions_file.read_text(encoding="utf-8")


def test_an_answer_that_is_no_option_is_told():
    assert "none of the options" in commit(choice(Counting("Buddy")), "Reserved")["error"]


# ---- numbers and words -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [32768, np.int64(32768), np.float64(32768), np.float32(32768)],
    ids=lambda number: type(number).__name__,
)
def test_a_number_has_one_spelling_whatever_its_type(number):
    prediction = predict("How many?", "number", answer=number, explain="All.")
    assert commit(prediction, "32768")["value"] == "32768"


def test_a_number_can_have_an_explanation_of_its_own():
    explain = {0: "They are not counted yet.", None: "Count the pages."}
    prediction = predict("How many?", "number", answer=32768, explain=explain)
    assert prediction.spec()["explain"] == {"0": explain[0], "": explain[None]}


def test_words_are_escaped():
    prediction = predict("Why?", "words", answer="No <one> clears it.", explain="See above.")
    assert commit(prediction, "<b>because</b>")["shown"] == "No &lt;one&gt; clears it."
    assert prediction.widget.earlier == "&lt;b&gt;because&lt;/b&gt;"


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
    commit(prediction, "PageOffline")
    assert static(prediction) == fresh
    assert static(choice()) == fresh


# ---- what is remembered ------------------------------------------------------------------------------


def test_an_earlier_prediction_shows_again_but_not_what_came_of_it(monkeypatch):
    commit(choice(), "PageOffline")
    forget_memory(monkeypatch)
    assert (choice().widget.earlier, choice().widget.outcome) == ("PageOffline", {})


def test_another_question_or_other_options_are_another_prediction():
    commit(choice(), "PageOffline")
    assert choice(options=("Reserved", "PageOffline", "Buddy"), explain="So.").widget.earlier == ""


def test_the_file_is_json_that_a_reader_understands(predictions_file):
    commit(choice(), "PageOffline")
    commit(predict("How many?", "number", answer=1, explain="So."), "7")
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
    assert commit(choice(), "PageOffline")["value"] == "Reserved"
    assert choice().widget.earlier == "PageOffline"


def test_the_file_can_be_switched_off(monkeypatch, predictions_file):
    monkeypatch.setenv(store.VARIABLE, "")
    commit(choice(), "PageOffline")
    assert store.path_of_store() is None
    assert not predictions_file.exists()


@pytest.mark.parametrize("content", ["not JSON", '{"cells": []}', "[]", "\x00"])
def test_a_file_of_somebody_else_is_never_overwritten(content, predictions_file):
    predictions_file.parent.mkdir()
    predictions_file.write_text(content, encoding="utf-8")
    commit(choice(), "PageOffline")
    assert predictions_file.read_text(encoding="utf-8") == content


@pytest.mark.parametrize(
    "records", [7, [7], [{"question": 1}], [{"question": "", "options": [{}], "predicted": 1}]]
)
def test_broken_records_are_ignored(records, predictions_file):
    predictions_file.parent.mkdir()
    document = {"format": store.FORMAT, "predictions": records}
    predictions_file.write_text(json.dumps(document), encoding="utf-8")
    assert choice().widget.earlier == ""


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
