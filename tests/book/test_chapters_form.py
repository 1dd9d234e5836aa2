"""The form of a chapter: what stands in it, in which order, and that it takes at most 45 minutes.

That includes the exercises that practise what the chapter promises; further ones follow below a heading.

The welcome page is no chapter and has a shorter form. Each rule is tried on a broken chapter as well.
"""

from __future__ import annotations

import ast
import copy
import json
import math
import re
import tomllib
from itertools import pairwise, takewhile
from typing import Any

import pytest

from memsim.release import Release

from .reading import (
    BOOK,
    CHAPTERS,
    Images,
    book_of,
    called,
    calls,
    cells,
    code,
    headings,
    joined,
    markdown,
    put,
    sections,
    source,
    tags,
    words,
)
from .releases import NAMED_BY_HAND, SAYINGS, of_some_releases

BUDGET_MINUTES = 45
WORDS_PER_MINUTE = 200
MINUTES_PER_INTERACTION = 2
MINUTES_PER_EXERCISE = 5
HELPERS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
INTERACTIONS = {"predict", "quiz", "explore", "half_patch", "buddy_lab", "driver_lab", "decode_page"}
LEAST_CLAIMS = 11  # fourteen chapters, and at least 150 claims over the book
RECALLED = 3
WORDS_BEFORE_A_PICTURE = 150

OPENING = ("Recall", "Why")
MIDDLE = ("Predict", "Run", "Explain")
CLOSING = ("On a real kernel", "Summary", "Exercises", "Further reading", "Claims")
WELCOME = "00-welcome"
WELCOME_FORM = ("On a real kernel", "Further reading")

TITLE_LINE = re.compile(
    r"^\*\*Goal:\*\* (.+\.) \*\*Needs:\*\* (.+\.) "
    r"\*\*Time:\*\* (\d+) minutes"
    r"(?P<exercises> with the exercises(?:, and (?P<further>\d+) for the further ones)?)?\.$",
    re.MULTILINE,
)
BULLET = re.compile(r"^\s*[-*] ", re.MULTILINE)
EXERCISE_LINE = re.compile(r"^\d+\. .*", re.MULTILINE)
EXERCISE = re.compile(r"^(\d+)\. ", re.MULTILINE)
RELEASE = re.compile(r"\b[67]\.\d+|recording|the twins|the series|after 3/3|\bcommit")
OF_SOME_RELEASES = re.compile(
    "|".join(
        rf"(?<!\w){each}(?!\w)"
        for each in (*map(re.escape, sorted(of_some_releases(), key=len, reverse=True)), *SAYINGS.values())
    )
)
MARK = re.compile(r"\[✓\]\([\w.-]*#cell-id=(?P<cell>[\w-]+)\)")
STRAY_MARK = re.compile(r".{0,30}[^.,:;?!)|*`\n]\[✓\]\([\w.-]*#cell-id=")
FURTHER = "### Further exercises"
LINK_TO_A_CHAPTER = re.compile(r"\]\([^)\s]*\.ipynb[^)\s]*\)")
QUESTIONS = sorted((BOOK / "questions").glob("*.toml"))
IN_WORDS = ("(Explain)", "(Design)", "(Review)")


# ---- the rules: each yields what is wrong ----------------------------------------------------------------


def opens_and_closes_in_order(notebook):
    titles = section_titles(notebook)
    for wanted, found in ((OPENING, titles[: len(OPENING)]), (CLOSING, titles[-len(CLOSING) :])):
        if not starts_with(found, wanted):
            yield f"the sections are {titles}; these must be {wanted}"


def predicts_then_runs_then_explains(notebook):
    titles = section_titles(notebook)[: -len(CLOSING)]
    places = [next((i for i, t in enumerate(titles) if t.startswith(name)), None) for name in MIDDLE]
    if None in places or places != sorted(places):
        yield f"the sections are {titles}; {MIDDLE} must be among them, in this order"


def tells_before_then_after(notebook):
    titles = [title for level, title in headings(notebook) if level in {2, 3}]
    before, after = (
        next((i for i, t in enumerate(titles) if re.match(rf"{name}\b", t)), None)
        for name in ("Before", "After")
    )
    if before is None or after is None or after < before:
        yield f"a heading Before and then a heading After must be among {titles}"


def says_its_goal_needs_and_time(notebook):
    """One line below the title: what a reader can do afterwards, what it builds on, how long it takes."""
    line = TITLE_LINE.search("\n".join(source(cells(notebook, "markdown")[0]).splitlines()[:3]))
    if not line:
        yield "below the title must be a line `**Goal:** ... **Needs:** ... **Time:** N minutes.`"
        return
    first, further = (MINUTES_PER_EXERCISE * len(each) for each in exercises(notebook))
    needed = minutes(notebook) + first
    if needed > BUDGET_MINUTES:
        yield f"{told(notebook)}, and {first} for the exercises: more than {BUDGET_MINUTES} minutes"
    elif not needed <= int(line[3]) <= BUDGET_MINUTES:
        yield f"it says {line[3]} minutes, and needs {told(notebook)}, and {first} for the exercises"
    if first and not line["exercises"]:
        yield "its time must be N minutes with the exercises"
    if int(line["further"] or 0) < further:
        yield f"it says {line['further'] or 'no'} minutes for the further exercises, which need {further}"


def builds_on_earlier_chapters(notebook):
    needs = re.search(r"\*\*Needs:\*\* (.*)", source(cells(notebook, "markdown")[0]))
    if not needs or not re.search(r"\]\(\d\d-[\w-]+\.ipynb", needs[1]):
        yield "Needs must link to an earlier chapter"


def sums_up(notebook):
    """What to remember, then what the reader can do now: at least two bullets each."""
    remember, _, can_do = section(notebook, "Summary").text.partition("You can now\n")
    for name, text in (("Summary", remember), ("You can now", can_do)):
        if len(BULLET.findall(text)) < 2:
            yield f"{name} must have at least two bullets"


def asks_to_recall(notebook):
    asked = section(notebook, "Recall").calls()["quiz"]
    if asked != RECALLED:
        yield f"Recall must ask {RECALLED} questions with quiz(), and asks {asked}"


def folds_its_answers(notebook):
    for cell in cells(notebook, "code"):
        asked = called(source(cell))
        # JupyterLab heeds the one, the web site and nbconvert the other.
        folded = cell["metadata"].get("jupyter", {}).get("source_hidden") and "hide-input" in tags(cell)
        if (asked["quiz"] or asked["predict"] or asked["solution"]) and not folded:
            yield f"the answer shows above its question: hide the source of\n{source(cell)}"


def keeps_its_answers_in_a_file(notebook):
    """Sites that only show a notebook, GitHub among them, print the code of every cell above its output."""
    for cell in cells(notebook, "code"):
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                given = [
                    *node.args,
                    *(word.arg for word in node.keywords if word.arg not in {None, "answer"}),
                ]
                fixed = [w for w in node.keywords if w.arg == "answer" and isinstance(w.value, ast.Constant)]
                if node.func.id in {"quiz", "predict"} and (given or fixed):
                    yield f"the answer shows above its question, not in book/questions/: {ast.unparse(node)}"


def folds_what_is_no_reading(notebook):
    """Imports, helpers and the evidence of claims are one click away, and do not stand in the way."""
    for cell in cells(notebook, "code"):
        folded = cell["metadata"].get("jupyter", {}).get("source_hidden") and "hide-input" in tags(cell)
        body = ast.parse(source(cell)).body
        helps = all(isinstance(each, HELPERS) for each in body) and not cell["outputs"]
        if (helps or called(source(cell))["claim"]) and not folded:
            yield f"hide the source of\n{source(cell)[:300]}"


def makes_one_predict_twice(notebook):
    if calls(notebook)["predict"] < 2:
        yield "at least two predict() must be in it"


def shows_a_real_kernel(notebook):
    if not section(notebook, "On a real kernel").calls()["on_a_real_kernel"]:
        yield "On a real kernel must show how to see it, with on_a_real_kernel()"


def makes_claims(notebook):
    made = calls(notebook)["claim"]
    if made < LEAST_CLAIMS or not section(notebook, "Claims").calls()["claim"]:
        yield f"it makes {made} claims, must make {LEAST_CLAIMS}, and some of them in the section Claims"


def leads_to_its_claims(notebook):
    """A mark behind a sentence leads to the claim that vouches for it."""
    text = "\n".join(map(source, cells(notebook, "markdown")))
    made = {cell.get("id"): source(cell) for cell in cells(notebook, "code") if called(source(cell))["claim"]}
    marks = [match["cell"] for match in MARK.finditer(text)]
    for cell in made.keys() - set(marks):
        yield f"no sentence leads with [✓](#cell-id={cell}) to\n{made[cell][:300]}"
    for cell in set(marks) - made.keys():
        yield f"[✓](#cell-id={cell}) leads to no claim"
    for match in STRAY_MARK.finditer(text):
        yield f"a mark stands behind a sentence or a part of one, not here: {match[0]}"


def names_a_release(notebook):
    """What a kernel does is true of some releases: a claim says where it was read or recorded."""
    for cell in cells(notebook, "code"):
        for node in ast.walk(ast.parse(source(cell))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "claim":
                named = [keyword.value for keyword in node.keywords if keyword.arg == "source"]
                given = ast.unparse([*node.args, *named][2])
                if not RELEASE.search(given):
                    yield f"name a release, a recording or a commit: {given}"


def names_the_release_of_what_differs(notebook):
    """Where releases differ, a text that a reader takes in at once says of which it is true."""
    for cell in notebook["cells"]:
        text = source(cell)
        if cell["cell_type"] == "markdown" or called(text)["solution"]:
            yield from lacks_a_release(text)


def lacks_a_release(text):
    text = " ".join(text.split())
    named = OF_SOME_RELEASES.search(text)
    if named and not re.search(r"\b[67]\.\d+", text):
        yield f"{named[0]} is not the same in all releases, and none is named beside it: {text[:80]}"


def links_in_prose_only(notebook):
    """The texts in code know no links and would show one as it is typed."""
    for cell in cells(notebook, "code"):
        if link := LINK_TO_A_CHAPTER.search(source(cell)):
            yield f"write the chapter's number, without a link: {link[0]}"


def leaves_a_question_open(notebook):
    """A summary ends with a question to take along."""
    if "*Open question*: " not in section(notebook, "Summary").text:
        yield "Summary must have a sentence with `*Open question*:`"


def sets_exercises(notebook):
    """At least one belongs to the 45 minutes; a number makes it count."""
    first, further = exercises(notebook)
    if len(first + further) < 3:
        yield "Exercises must be numbered, and at least three"
    if not first:
        yield f"at least one exercise must stand before {FURTHER!r}"
    if section(notebook, "Exercises").calls()["ask"] and "(Drill)" not in "".join(first + further):
        yield "a drill must be an exercise with a number: 1. (Drill) ..."


def answers_its_exercises(notebook):
    """A reader alone can tell whether an answer is right; what is not computed has a rubric."""
    exercises = section(notebook, "Exercises")
    _, *parts = EXERCISE.split(exercises.text)
    solved = dict(solutions(exercises))
    asked: list[tuple[int, str]] = []
    for number, text in zip(map(int, parts[::2]), parts[1::2], strict=True):
        if number == len(asked) + 1:  # or a sentence of a solution begins with a number
            asked.append((number, text))
        else:
            asked[-1] = (asked[-1][0], f"{asked[-1][1]}{number}. {text}")
    for number, text in asked:
        drill = text.startswith("(Drill)") and exercises.calls()["ask"]
        if not (drill or number in solved or "<details>" in text):
            yield f"exercise {number} has no answer: add solution({number}, ...)"
        elif text.startswith(IN_WORDS) and "rubric" not in solved.get(number, text.lower()):
            yield f"exercise {number} is answered in words: its solution must have a rubric"


def solutions(exercises):
    """Yield the number of each solution() of a section, and the names of its keywords."""
    for text in exercises.code:
        for call in ast.walk(ast.parse(text)):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "solution":
                yield ast.literal_eval(call.args[0]), {keyword.arg for keyword in call.keywords}


def says_where_to_read_on(notebook):
    text = section(notebook, "Further reading").text
    for what, pattern in {
        "a function": r"\w\(\)",
        "a file": r"\w\.(c|h|rst|S)\b",
        "a version": r"\b6\.\d",
    }.items():
        if not re.search(pattern, text):
            yield f"Further reading must name {what}"


def opens_with_a_picture(notebook):
    """Before the first figure a reader meets a title and a few sentences."""
    before = list(takewhile(lambda cell: not shows_a_picture(cell), notebook["cells"]))
    if len(before) == len(notebook["cells"]):
        yield "it has no picture, chart or diagram"
    elif (read := words({"cells": before})) > WORDS_BEFORE_A_PICTURE:
        yield f"{read} words stand before the first picture, at most {WORDS_BEFORE_A_PICTURE} may"


def shows_a_picture(cell):
    if cell["cell_type"] == "markdown":
        return "](images/" in source(cell)
    return any(
        Images(joined(output.get("data", {}).get("text/html", ""))).found
        for output in cell.get("outputs", ())
    )


RULES = (
    opens_and_closes_in_order,
    opens_with_a_picture,
    predicts_then_runs_then_explains,
    tells_before_then_after,
    says_its_goal_needs_and_time,
    builds_on_earlier_chapters,
    sums_up,
    asks_to_recall,
    folds_its_answers,
    keeps_its_answers_in_a_file,
    folds_what_is_no_reading,
    makes_one_predict_twice,
    shows_a_real_kernel,
    makes_claims,
    leads_to_its_claims,
    names_a_release,
    names_the_release_of_what_differs,
    links_in_prose_only,
    leaves_a_question_open,
    sets_exercises,
    answers_its_exercises,
    says_where_to_read_on,
)


def section_titles(notebook):
    return [each.title for each in sections(notebook)[1:]]


def section(notebook, name):
    """Return the first section whose title starts with a name; an empty one if there is none."""
    found = [each for each in sections(notebook) if each.title.startswith(name)]
    return found[0] if found else sections(book_of())[0]


def starts_with(titles, names):
    return len(titles) == len(names) and all(map(str.startswith, titles, names))


def exercises(notebook):
    """Return the first lines of the exercises within the 45 minutes, and of the further ones."""
    parts = section(notebook, "Exercises").text.partition(FURTHER)
    return [EXERCISE_LINE.findall(part) for part in parts[::2]]


def interactions(notebook):
    made = calls(notebook)
    return sum(made[name] for name in INTERACTIONS)


def minutes(notebook):
    """Return how long a reader needs: the words, and time to think at each interaction."""
    reading = words(notebook) / WORDS_PER_MINUTE
    return math.ceil(reading + MINUTES_PER_INTERACTION * interactions(notebook))


def told(notebook):
    return f"{words(notebook)} words and {interactions(notebook)} interactions: {minutes(notebook)} minutes"


# ---- the chapters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(
    "path", [path for path in CHAPTERS if path.stem != WELCOME], ids=lambda path: path.stem
)
def test_a_chapter(path, rule):
    assert list(rule(json.loads(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_a_question_names_the_release_of_what_differs_and_has_no_link(path):
    asked = tomllib.loads(path.read_text(encoding="utf-8"))
    assert [said for each in asked.values() for said in lacks_a_release(str(each))] == []
    assert [name for name, each in asked.items() if LINK_TO_A_CHAPTER.search(str(each))] == []


def test_the_welcome_page_has_its_own_form():
    (path,) = [path for path in CHAPTERS if path.stem == WELCOME]
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert [title for title in section_titles(notebook) if title.startswith(WELCOME_FORM)] == list(
        WELCOME_FORM
    )
    assert list(says_its_goal_needs_and_time(notebook)) == []
    assert list(opens_with_a_picture(notebook)) == []
    assert list(says_where_to_read_on(notebook)) == []


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule is not makes_claims], ids=lambda r: r.__name__
)
def test_the_guide_for_authors_follows_its_own_rules(rule):
    """It is a chapter that is all form; one claim is enough for an example."""
    assert list(rule(json.loads((BOOK / "author-guide.ipynb").read_text(encoding="utf-8")))) == []


# ---- the rules themselves ----------------------------------------------------------------------------------

QUIZ = "quiz(**questions['recall-1'])"
PREDICT = "predict(**questions['predict-1'], answer=lambda: 1)"
SUMMED_UP = "## Summary\n- this\n- that\n\nYou can now\n\n- say\n- show\n\n*Open question*: why?"
LATE = "22 minutes with the exercises, and 5 for the further ones.\n\n" + "word " * 151
PICTURE = "![a map](images/map.svg)\n"
LINE = (
    "**Goal:** say so. **Needs:** [chapter 1](01-one-block-comes-online.ipynb). "
    "**Time:** 21 minutes with the exercises, and 5 for the further ones."
)
CLAIM = "claim('a.b', 'So.', 'f(), 6.12', holds=h, contradicted_by=c)"


def folded(text, count):
    return code(text, count) | {"metadata": {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}}


GOOD: dict[str, Any] = book_of(
    markdown(f"# A chapter\n\n{LINE}\n\n{PICTURE}What it is about."),
    markdown("A word to begin with."),
    markdown("## Recall"),
    folded(f"{QUIZ}\n{QUIZ}\n{QUIZ}", 1),
    markdown("## Why it is so\nFor a reason.[✓](#cell-id=claims)\n## Something in between\n## Predict"),
    folded(f"{PREDICT}\n{PREDICT}", 2),
    markdown("## Run: watch it\n## Explain\n### Before\n### After all of it\n## Another thing"),
    markdown("## On a real kernel"),
    code("on_a_real_kernel('See it.', 'cat /proc/zoneinfo')", 3),
    markdown(f"{SUMMED_UP}\n## Exercises\n1. one\n2. (Explain) two\n{FURTHER}\n3. (Drill) three"),
    folded("solution(1, 'One.')\nsolution(2, 'Two.', rubric=('a', 'b', 'c'))\nask('chunks')", 4),
    markdown("## Further reading\n- `online_pages()`, mm/memory_hotplug.c, 6.12"),
    markdown("## Claims"),
    folded("\n".join([CLAIM] * LEAST_CLAIMS), 5) | {"id": "claims"},
)
TITLE, WORD, RECALL, WHY, RUN, REAL, SUMMARY, SOLVED, READING, CLAIMS = 0, 1, 3, 4, 6, 8, 9, 10, 11, 13


def in_cell(number, text):
    return put(text, "cells", number, "source")


def change(number, old, new):
    """Return a break: it replaces a piece of the text of a cell of the good chapter."""
    text = GOOD["cells"][number]["source"]
    assert old in text
    return in_cell(number, text.replace(old, new))


def swap(one, other):
    """Return a break: it exchanges two cells."""

    def break_it(notebook):
        cells = notebook["cells"]
        cells[one], cells[other] = cells[other], cells[one]

    return break_it


def both(one, other):
    """Return a break that does two things."""

    def break_it(notebook):
        one(notebook)
        other(notebook)

    return break_it


BREAKS = {
    "no picture": (opens_with_a_picture, change(TITLE, PICTURE, "")),
    "a late picture": (
        opens_with_a_picture,
        both(
            change(TITLE, f"21 minutes with the exercises, and 5 for the further ones.\n\n{PICTURE}", LATE),
            change(WORD, "with.", f"with.\n\n{PICTURE}"),
        ),
    ),
    "a section before the recall": (opens_and_closes_in_order, change(TITLE, "about.", "about.\n## Words")),
    "no motivation": (opens_and_closes_in_order, change(WHY, "## Why it is so", "### Why it is so")),
    "the summary behind what to read": (
        opens_and_closes_in_order,
        both(
            change(SUMMARY, f"{SUMMED_UP}\n", ""),
            change(READING, "6.12", f"6.12\n{SUMMED_UP}"),
        ),
    ),
    "something after the end": (opens_and_closes_in_order, change(READING, "6.12", "6.12\n## More")),
    "nothing to run": (predicts_then_runs_then_explains, change(RUN, "## Run", "## Walk")),
    "explained before it is run": (
        predicts_then_runs_then_explains,
        change(RUN, "## Run: watch it\n## Explain", "## Explain\n## Run: watch it"),
    ),
    "after without before": (tells_before_then_after, change(RUN, "### Before", "### Beforehand")),
    "after, then before": (tells_before_then_after, change(RUN, "### Before\n", "## After\n### Before\n")),
    "one thing to do": (sums_up, change(SUMMARY, "\n- show", "")),
    "nothing the reader can do": (sums_up, change(SUMMARY, "You can now\n", "Now\n")),
    "nothing to sum up": (sums_up, change(SUMMARY, "- this\n", "")),
    "it needs nothing": (builds_on_earlier_chapters, change(TITLE, "](01", "] (01")),
    "no goal": (says_its_goal_needs_and_time, change(TITLE, "**Goal:** say so. ", "")),
    "its goal further down": (
        says_its_goal_needs_and_time,
        change(TITLE, "# A chapter", "# A chapter\n\nWords."),
    ),
    "no time for the further exercises": (
        says_its_goal_needs_and_time,
        change(TITLE, ", and 5 for the further ones", ""),
    ),
    "too little time for the further exercises": (
        says_its_goal_needs_and_time,
        change(TITLE, "and 5", "and 4"),
    ),
    "no time for the exercises": (
        says_its_goal_needs_and_time,
        change(TITLE, " with the exercises, and 5 for the further ones", ""),
    ),
    "no time": (says_its_goal_needs_and_time, change(TITLE, "21 minutes", "some minutes")),
    # Five interactions and two exercises take twenty minutes, and some words.
    "too little time": (says_its_goal_needs_and_time, change(TITLE, "21 minutes", "20 minutes")),
    "too much time": (says_its_goal_needs_and_time, change(TITLE, "21 minutes", "46 minutes")),
    "too many words": (says_its_goal_needs_and_time, change(TITLE, "about.", "about " * 7200)),
    "no time left for the exercises": (
        says_its_goal_needs_and_time,
        both(change(TITLE, "21 minutes", "45 minutes"), change(WORD, "with.", "with " * 5200)),
    ),
    "two questions": (asks_to_recall, in_cell(RECALL, f"{QUIZ}\n{QUIZ}")),
    "the answer above the question": (folds_its_answers, put({}, "cells", RECALL, "metadata")),
    "the answer above the question when exported": (
        folds_its_answers,
        put({"jupyter": {"source_hidden": True}}, "cells", RECALL, "metadata"),
    ),
    "the answer in the code": (
        keeps_its_answers_in_a_file,
        in_cell(RECALL, f"{QUIZ}\n{QUIZ}\nquiz('Who?', {{'I': 'Yes.', 'You': 'No.'}}, correct='I')"),
    ),
    "the answer as an argument": (
        keeps_its_answers_in_a_file,
        put(f"{PREDICT}\npredict(**questions['predict-2'], answer=1)", "cells", WHY + 1, "source"),
    ),
    "a claim's code in the way": (folds_what_is_no_reading, put({}, "cells", CLAIMS, "metadata")),
    "one prediction": (makes_one_predict_twice, put(PREDICT, "cells", WHY + 1, "source")),
    "nothing to see": (shows_a_real_kernel, in_cell(REAL, "print('a kernel')")),
    "ten claims": (makes_claims, in_cell(CLAIMS, "\n".join([CLAIM] * (LEAST_CLAIMS - 1)))),
    "claims elsewhere": (makes_claims, swap(CLAIMS, WHY + 1)),
    "a claim that no sentence leads to": (leads_to_its_claims, change(WHY, "[✓](#cell-id=claims)", "")),
    "a mark that leads to no claim": (
        leads_to_its_claims,
        change(WHY, "claims)", "claims)[✓](#cell-id=gone)"),
    ),
    "a mark in the middle": (leads_to_its_claims, change(WHY, "reason.[", "reason[")),
    "a claim about every kernel": (names_a_release, change(CLAIMS, "6.12", "of late")),
    "what some kernels have": (
        names_the_release_of_what_differs,
        change(WHY, "For a reason.", "/proc/kpageflags shows NOPAGE."),
    ),
    "what some kernels have, in a solution": (
        names_the_release_of_what_differs,
        change(SOLVED, "'One.'", "'With page checks, none.'"),
    ),
    "what some kernels do": (
        names_the_release_of_what_differs,
        change(WHY, "For a reason.", "A DIMM lies outside of\nall its regions, and is withheld."),
    ),
    "a link in a solution": (
        links_in_prose_only,
        change(SOLVED, "'One.'", "'One, as in [chapter 4](04-boot.ipynb).'"),
    ),
    "no question left": (leaves_a_question_open, change(SUMMARY, "*Open question*: why?", "")),
    "two exercises": (
        sets_exercises,
        both(change(SUMMARY, "3. (Drill) three", ""), change(SOLVED, "\nask('chunks')", "")),
    ),
    "further exercises only": (
        sets_exercises,
        both(
            change(TITLE, "and 5", "and 15"),
            change(SUMMARY, "## Exercises\n", f"## Exercises\n{FURTHER}\n"),
        ),
    ),
    "a drill without a number": (
        sets_exercises,
        both(
            change(SUMMARY, "(Drill) three", "three"), change(SOLVED, "ask(", "solution(3, 'Three.')\nask(")
        ),
    ),
    "an exercise without an answer": (answers_its_exercises, change(SOLVED, "solution(1, 'One.')\n", "")),
    "an answer to another exercise": (answers_its_exercises, change(SOLVED, "solution(1", "solution(4")),
    "an explanation without a rubric": (
        answers_its_exercises,
        change(SOLVED, ", rubric=('a', 'b', 'c')", ""),
    ),
    "an answer above the exercise's": (folds_its_answers, put({}, "cells", SOLVED, "metadata")),
    "no function": (says_where_to_read_on, change(READING, "()", "")),
    "no file": (says_where_to_read_on, change(READING, "mm/memory_hotplug.c", "mm")),
    "no version": (says_where_to_read_on, change(READING, "6.12", "new")),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_chapter_passes(rule):
    assert list(rule(GOOD)) == []


@pytest.mark.parametrize(("rule", "break_it"), BREAKS.values(), ids=BREAKS)
def test_a_broken_chapter_fails_its_rule_and_no_other(rule, break_it):
    broken = copy.deepcopy(GOOD)
    break_it(broken)
    assert {each.__name__ for each in RULES if list(each(broken))} == {rule.__name__}


def test_each_rule_has_been_broken():
    assert {rule for rule, _ in BREAKS.values()} == set(RULES)


def test_what_differs_between_releases_is_read_from_the_simulator():
    read = of_some_releases() - NAMED_BY_HAND
    assert read > {"MEM_PREPARE_ONLINE", "0xfffffeff", "0xf1000000", "NR_BALLOON_PAGES", "vmemmap_split_pmd"}
    assert read > {"-257", "-251658240", "-251,658,240", "\N{MINUS SIGN}257"}
    assert set(SAYINGS) <= set(Release.__annotations__)
    assert not read & {"MEM_GOING_ONLINE", "0xffffffff", "MIGRATE_ISOLATE"}


def test_words_are_counted_as_they_are_read():
    notebook = book_of(
        markdown("# Two words\n```\nnot read\n```\n| a | [three four](x.ipynb#cell-id=five) |"),
        code("nor = 'this'", 1),
    )
    assert words(notebook) == 5


@pytest.mark.parametrize(("chapter", "after"), list(pairwise(CHAPTERS[1:])), ids=lambda path: path.stem)
def test_the_summary_of_a_chapter_leads_to_the_next_one(chapter, after):
    notebook = json.loads(chapter.read_text(encoding="utf-8"))
    text = "\n".join(joined(cell["source"]) for cell in cells(notebook, "markdown"))
    summary = text.split("\n## Summary\n")[1].split("\n## ")[0]
    assert f"]({after.name})" in summary
