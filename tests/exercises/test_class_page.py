"""The pages about a class and for a student: what they say, who can read them, how long two thousand take."""

import json
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from memsim.grading.assignment.assignment import Assignment
from memsim.grading.report import class_page, feedback, place
from memsim.grading.report.class_page import Class, hardest_first, misconceptions
from memsim.grading.report.reading import Chapter, Section, anchor, chapter_of, headings
from memsim.grading.report.results import Result
from memsim.grading.roster.people import Person, Roster
from memsim.grading.run.batch import report
from memsim.grading.run.judge import QuestionResult, RuleResult
from memsim.grading.run.submissions import find
from tests.book.reading import CHAPTERS, cells, joined

ONE_BLOCK = Assignment.load(Path("exercises/grading/one_block.py"))
SCRIPT = "<script>alert(1)</script>"


def result(student, marks, message="", unreadable=""):
    """Return a result of two questions with two rules each, of which those with a + are kept."""
    passed = [mark == "+" for mark in marks]
    tests = [RuleResult(f"rule {n}", 1, ok, "" if ok else message) for n, ok in enumerate(passed)]
    questions = [QuestionResult("first", 2, tests[:2]), QuestionResult("second", 2, tests[2:])]
    return Result(student, "made", "f", "a.ipynb", questions, unreadable=unreadable, python="3.11")


CLASS = [
    result("ada", "++++"),
    result("bob", "+-+-"),
    result("cy", "+---"),
    result(SCRIPT, "+++-", message=SCRIPT),
    result("eve", "----", unreadable="it is a picture"),
]
REPORT = {
    "nothing_handed_in": {"fay": "the folder fay is empty"},
    "unreadable": {"eve": "it is a picture"},
    "left_out": {SCRIPT: "it is no notebook"},
    "dropped": ["third"],
    "to_judge": {"essay": {"why": "Your teacher grades it.", "students": ["ada", "bob"]}},
    "python": ["3.11"],
    "fence": "bubblewrap",
}
SIMILAR = {"pairs": [{"one": "ada", "other": "bob", "share": 0.75}], "identical": [["cy", SCRIPT]]}


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def page():
    people = {"ada": Person("ada", "Ada Lovelace", section="Lab A"), "bob": Person("bob", "Bob Stone")}
    together = {"ada": ["bob", "cy"]}
    return Page(class_page.page(Class(ONE_BLOCK, CLASS, REPORT, SIMILAR, people, together)))


def test_the_hardest_rule_comes_first_and_what_was_not_graded_counts_for_none():
    rules = hardest_first([one for one in CLASS if not one.unreadable])

    assert [(rule.short, rule.passed, rule.of) for rule in rules] == [
        ("second 2", 1, 4),
        ("first 2", 2, 4),
        ("second 1", 3, 4),
        ("first 1", 4, 4),
    ]


def test_misconceptions_are_recognised_by_score_and_message():
    question = ONE_BLOCK.questions[0]
    wrong = question.wrong[0]
    tests = [RuleResult("a rule", question.points, passed=False, message=f"{wrong.message} 15: too large.")]
    mine = Result("ada", "one-block", "f", "a", [QuestionResult(question.name, question.points, tests)])

    assert misconceptions(ONE_BLOCK, [mine]) == [
        (question.name, wrong.misconception.replace("_", " "), ["ada"])
    ]
    tests[0].message = "another"
    assert misconceptions(ONE_BLOCK, [mine]) == []


def test_the_page_says_who_kept_which_rule_and_what_was_not_graded_and_why(page):
    words = " ".join(page.words)

    for told in (
        "Ada Lovelace",
        "the folder fay is empty",
        "it is a picture",
        "75%",
        "4 graded of 6",
        "Python 3.11",
        "Lab A",
        "with Bob Stone, cy",
        "not counted: third",
        "ada, bob: Your teacher grades it.",
    ):
        assert told in words
    assert ("a", {"href": "feedback/ada.html"}) in page.tags
    assert "bob (Bob Stone)" in words
    marks = [attributes for tag, attributes in page.tags if tag == "td" and "aria-label" in attributes]
    assert len(marks) == 4 * 4
    assert {mark["aria-label"] for mark in marks} == {"right", "wrong"}


def test_every_part_is_reached_without_passing_the_students(page):
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"][:6]
    parts = [f"#{attributes['id']}" for tag, attributes in page.tags if tag == "h2"]

    assert links == parts


def test_bars_are_of_whole_points():
    half = result("ada", "++--")
    half.questions[0].by_hand = 1.5
    page = Page(class_page.page(Class(ONE_BLOCK, [half, result("bob", "++++")], REPORT, {})))
    drawing = next(attributes for tag, attributes in page.tags if tag == "svg")

    assert drawing["aria-label"] == "Students by points. 1 points: 1; 4 points: 1"


def test_on_paper_no_student_is_cut_off():
    text = class_page.page(Class(ONE_BLOCK, CLASS, REPORT, SIMILAR))

    assert "@media print { .wide { overflow: visible; max-height: none; }" in text


def test_what_waits_for_the_teacher_is_told_by_question_until_there_are_points():
    waiting = [result("ada", "++++"), result("bob", "+-+-")]
    for one in waiting:
        one.questions[1].tests[1].needs_teacher = True
        one.questions[1].tests[1].message = "Your teacher grades it."
    batch = SimpleNamespace(assignment=ONE_BLOCK, fence=SimpleNamespace(name="none", told="none"))

    judged = report(batch, waiting, [])["to_judge"]
    assert judged == {"second": {"why": "Your teacher grades it.", "students": ["ada", "bob"]}}
    waiting[0].questions[1].by_hand = 2
    assert report(batch, waiting, [])["to_judge"]["second"]["students"] == ["bob"]


def test_the_page_loads_nothing_and_runs_nothing_whatever_students_are_called(page):
    assert not {"script", "img", "link", "iframe", "style"} & {tag for tag, _ in page.tags} - {"style"}
    assert not any(
        name.startswith("on") or name == "style" for _, attributes in page.tags for name in attributes
    )
    assert not any("://" in (value or "") for _, attributes in page.tags for value in attributes.values())
    policy = next(attributes["content"] for _, attributes in page.tags if "content" in attributes)
    assert policy.startswith("default-src 'none'")


def test_the_page_can_be_read_without_seeing_it(page):
    tags = [tag for tag, _ in page.tags]
    headings = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3")]

    assert headings[0] == 1
    assert set(headings[1:]) == {2}
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    drawing = next(attributes for tag, attributes in page.tags if tag == "svg")
    assert "points: 1" in drawing["aria-label"]
    region = next(attributes for _, attributes in page.tags if attributes.get("role") == "region")
    assert region["tabindex"] == "0"
    assert region["aria-label"]


def test_roster_and_page_of_two_thousand_take_seconds(tmp_path):
    """5 s were asked for, on a quiet machine; processor time does not count what else it does."""
    people = [
        Person(f"s{n:04}", f"First{n} Last{n}", f"s{n}@example.edu", canvas=str(n)) for n in range(2000)
    ]
    for person in people[:200]:
        (tmp_path / f"{person.name.split()[1].lower()}_{person.canvas}_{person.canvas}_a.ipynb").write_bytes(
            b"{}"
        )
    started = time.process_time()
    roster = Roster(people)
    found = find([tmp_path], "a", ["f"], roster)
    results = [result(person.id, "+-+-") for person in people]
    class_page.page(Class(ONE_BLOCK, results, REPORT, SIMILAR, roster.people))

    assert len(found.handed) == 200
    assert len(found.absent) == 1800
    assert time.process_time() - started < 20


# ---- the student's page ------------------------------------------------------------------------------


def test_the_students_page_says_which_chapter_explains_the_rules():
    named = feedback.page(CLASS[1], chapter=chapter_of(ONE_BLOCK))
    assert "The rules are explained in chapter 1, One block comes online." in named
    linked = Page(feedback.page(CLASS[1], chapter=chapter_of(ONE_BLOCK, "https://book.example/")))
    assert ("a", {"href": "https://book.example/01-one-block-comes-online.html"}) in linked.tags
    assert "chapter 1" not in feedback.page(CLASS[0], chapter=chapter_of(ONE_BLOCK))  # nothing is wrong


def test_the_students_page_leads_to_the_section_that_explains_a_question():
    section = Section(1, "2/3: off again, on the way", "https://book.example/01.html")
    chapter = Chapter(1, "One", "https://book.example/01.html", {"second": section})
    page = Page(feedback.page(CLASS[1], chapter=chapter))
    links = [given["href"] for tag, given in page.tags if tag == "a"]
    assert links == [
        "https://book.example/01.html#off-again-on-the-way",  # of the second question; the first has none
        "https://book.example/01.html",
    ]
    assert "section 2/3: off again, on the way." in " ".join(page.words).replace("  ", " ").replace(" .", ".")
    assert "To read again" not in feedback.page(CLASS[0], chapter=chapter)  # nothing is wrong


@pytest.mark.parametrize("path", sorted(Path("exercises/grading").glob("*.py")), ids=lambda path: path.stem)
def test_every_question_has_a_section_that_its_chapter_has(path):
    assignment = Assignment.load(path)
    chapter = chapter_of(assignment)
    assert set(chapter.sections) == {question.name for question in assignment.questions}


def test_a_question_leads_to_another_chapter_if_its_rules_are_explained_there():
    assignment = Assignment.load(Path("exercises/grading/pg_reserved.py"))
    there = chapter_of(assignment, "https://book.example/").sections
    assert there["can_be"].chapter == 6
    assert there["which_kernel"] == Section(5, "Explain", "https://book.example/05-the-buddy-allocator.html")
    assert there["which_kernel"].link == "https://book.example/05-the-buddy-allocator.html#explain"
    assert chapter_of(assignment).sections["which_kernel"].link == ""


def test_the_site_gives_a_heading_the_anchor_of_the_link():
    make_id = pytest.importorskip("docutils.nodes").make_id
    texts = [
        joined(cell["source"])
        for path in CHAPTERS
        for cell in cells(json.loads(path.read_text(encoding="utf-8")), "markdown")
    ]
    found = headings(texts)
    assert len(found) > 100
    assert [heading for heading in found if anchor(heading) != make_id(heading)] == []


def test_the_students_page_shows_the_page_on_the_map_and_the_answer_beside_what_was_wrong():
    one = result("bob", "+-++", message="Page 0x100633 is wrong. Its head is Buddy.")
    one.questions[0].answer = "def first():\n    return '<b>'"
    page = Page(feedback.page(one))
    (picture,) = [given for tag, given in page.tags if tag == "svg"]
    assert picture["aria-label"] == place.in_words(0x100633)
    assert [given.get("class") for tag, given in page.tags if tag == "rect"].count("here") == 1
    (beside,) = [n for n, (tag, given) in enumerate(page.tags) if given.get("class") == "beside"]
    after = [tag for tag, _ in page.tags[beside:]]
    assert after.index("table") < after.index("pre")
    assert "b" not in [tag for tag, _ in page.tags]
    assert "<svg" not in feedback.page(result("bob", "++++", message="Page 0x100633"))


@pytest.mark.parametrize("pfn", [0, 0x3FF, 0x400, 0x100633, 0x107FFF, 0xFFFFFFFFF])
def test_the_mark_on_the_map_is_where_the_words_say(pfn):
    page = Page(place.drawing(pfn))
    width = 14 * 32  # as many chunks as a section has
    here = next(n for n, (_, given) in enumerate(page.tags[2:]) if given.get("class") == "here")
    assert here == pfn // 1024 % 32
    (mark,) = [given["d"] for tag, given in page.tags if given.get("class") == "mark"]
    assert float(mark[1:].split()[0]) == pytest.approx(width * (pfn % 1024) / 1024, abs=0.06)
    assert f"its chunk {here} of 0 to 31" in place.in_words(pfn)


def test_the_students_page_says_which_question_was_dropped():
    assert "half_patch does not count" in feedback.page(CLASS[0], dropped=["half_patch"])


def test_an_address_cannot_become_anything_but_a_link():
    shown = Page(feedback.page(CLASS[1], chapter=Chapter(1, SCRIPT, f'x"{SCRIPT}')))
    assert "script" not in [tag for tag, _ in shown.tags]


def test_without_a_chapter_or_a_book_the_page_names_none(monkeypatch, tmp_path):
    other = Assignment("other", 0, ONE_BLOCK.questions)
    assert chapter_of(other) is None
    monkeypatch.setattr("memsim.grading.report.reading.find_book", lambda: tmp_path)
    assert chapter_of(ONE_BLOCK) is None


def test_what_all_rules_of_a_question_say_is_said_once():
    told = feedback.page(result("ada", "----", message="first() is not answered yet."))

    assert told.count("first() is not answered yet.") == 2  # once for each of the two questions
    assert told.count("rule 0") == 1
    assert feedback.page(result("ada", "+---", message="It is wrong.")).count("It is wrong.") == 2
    page = feedback.page(result("ada", "----", message="Page 0x100233 is wrong."))
    assert page.count("Page 0x100233 is wrong.") == 4  # each with its drawing
