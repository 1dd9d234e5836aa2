"""``memsim claims``: lists what the notebooks of a folder claim, and checks it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memsim.cli import main
from memsim.errors import MemsimError
from memsim.lesson import claim_registry
from memsim.lesson.chapters import find_book, listed_claims, run_chapter

SETUP = (
    "from memsim import Machine\nfrom memsim.lesson import claim\ndisplay(Machine())\nprint('to the reader')"
)
TRUE = """claim(
    "zone.one",
    "A booted machine "
    "has memory.",
    source="boot(), 6.12",
    holds=lambda: Machine().totalram_pages == 131072,
    contradicted_by=lambda: Machine().totalram_pages == 0,
)"""
FALSE = TRUE.replace("zone.one", "zone.two").replace("== 131072", "== 1")


@pytest.fixture(autouse=True)
def empty_ledger(monkeypatch):
    monkeypatch.setattr(claim_registry, "_registry", {})


def write(folder, name, *cells):
    folder.mkdir(exist_ok=True)
    made = [{"cell_type": "markdown", "source": "# A title"}]
    made += [{"cell_type": "code", "id": f"c{n}", "source": text} for n, text in enumerate(cells)]
    path = folder / name
    path.write_text(json.dumps({"cells": made}), encoding="utf-8")
    return path


def said(capsys, *arguments):
    status = main(["claims", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_claims_are_listed_without_being_run(capsys, tmp_path):
    write(tmp_path / "book", "01-one.ipynb", SETUP, TRUE, "1 // 0")
    write(tmp_path / "book", "02-two.ipynb", SETUP, FALSE)
    write(tmp_path / "book", "03-none.ipynb", "claims = 3")
    status, out, err = said(capsys, tmp_path / "book")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "01-one:",
        "  zone.one: A booted machine has memory.",
        "    Source: boot(), 6.12",
        "02-two:",
        "  zone.two: A booted machine has memory.",
        "    Source: boot(), 6.12",
        "2 claims in 2 chapters",
    ]


def test_claims_are_checked_where_the_chapter_is(capsys, tmp_path):
    write(tmp_path, "01-one.ipynb", SETUP, "open('here.txt', 'w').close()", TRUE)
    here = Path.cwd()
    status, out, _ = said(capsys, tmp_path, "--run")
    assert (status, Path.cwd()) == (0, here)
    assert out.splitlines()[-2:] == ["  1 checked", "1 claims in 1 chapters, 0 chapters failed"]
    assert "to the reader" not in out
    assert (tmp_path / "here.txt").exists()


def test_a_wrong_claim_fails_and_names_notebook_and_cell(capsys, tmp_path):
    write(tmp_path, "01-one.ipynb", SETUP, FALSE)
    write(tmp_path, "02-two.ipynb", SETUP, TRUE)
    status, out, _ = said(capsys, tmp_path, "--run")
    assert status == 1
    assert "FAILED 01-one.ipynb[c1]: ClaimError: claim 'zone.two': holds returned False" in out
    assert out.splitlines()[-1] == "2 claims in 2 chapters, 1 chapters failed"


def test_an_id_belongs_to_one_claim_of_the_whole_book(capsys, tmp_path):
    write(tmp_path, "01-one.ipynb", SETUP, TRUE)
    write(tmp_path, "02-two.ipynb", SETUP, TRUE.replace("has memory", "has some memory"))
    status, out, _ = said(capsys, tmp_path, "--run")
    assert status == 1
    assert "claim 'zone.one' is already made" in out


def test_what_is_computed_is_not_guessed(tmp_path):
    path = write(tmp_path, "01-one.ipynb", "claim('a.b', f'There are {n}.', holds=f, contradicted_by=g)")
    (found,) = listed_claims(path)
    assert (found.id, found.sentence, found.source) == ("a.b", *["(computed when it runs)"] * 2)


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"cells": [{}]}'])
def test_what_is_no_notebook_is_refused(capsys, tmp_path, content):
    (tmp_path / "01-one.ipynb").write_text(content, encoding="utf-8")
    status, _, err = said(capsys, tmp_path)
    assert status == 2
    assert "01-one.ipynb: is no notebook" in err


def test_a_cell_that_is_no_python_is_named(tmp_path):
    with pytest.raises(MemsimError, match=r"01-one.ipynb\[c1\]: is no Python"):
        listed_claims(write(tmp_path, "01-one.ipynb", SETUP, "%matplotlib inline"))


def test_a_folder_without_notebooks_is_refused(capsys, tmp_path):
    status, out, err = said(capsys, tmp_path)
    assert (status, out) == (2, "")
    assert "there are no notebooks in" in err


def test_the_book_is_found_here_or_beside_memsim(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert find_book().name == "book"
    write(tmp_path / "book", "01-one.ipynb", TRUE)
    assert find_book().resolve() == tmp_path / "book"


def test_a_chapter_gives_its_claims_and_its_names(tmp_path):
    made, names = run_chapter(write(tmp_path, "01-one.ipynb", SETUP, TRUE, "answer = 42"))
    assert [claim.id for claim in made] == ["zone.one"]
    assert names["answer"] == 42
