"""Attacks by what stands in a page: hostile text in every place that reaches one, parsed as by a browser."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from memsim.grading.report import class_page, feedback
from memsim.grading.report.late import Policy
from memsim.grading.report.outputs import write_all
from memsim.grading.report.reading import Chapter, Section
from memsim.grading.report.results import Result
from memsim.grading.roster.people import Person
from memsim.grading.run.judge import QuestionResult, RuleResult
from memsim.grading.run.submissions import file_name

from .stage import ASSIGNMENT, SOLVED
from .test_files import grade, notebook

MARKUP = (
    "</title></style></pre></td></svg><script>alert(1)</script><img src=x onerror=alert(1)>"
    "\"' onmouseover=alert(1) x=\"<a href='javascript:alert(1)'>&lt;b&gt;&#60;i&#62;<!-- --><![CDATA[<?x?>"
)
CONTROL = "\x00\x07\x1b[2J\x1b]0;x\x07\x7f\x85\r\x0b\u200b\u202e\u2028\u2066\ufeff\ue000\ud800"
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "br", "span", "pre", "a"),
    *(
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "strong",
        "small",
        "div",
        "figure",
        "figcaption",
    ),
    *("svg", "rect", "path", "text", "nav", "wbr"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "href", "scope", "role", "aria-label"),
    *("tabindex", "width", "height", "x", "y", "d", "viewbox", "id"),
}
NAMES = ("student", "file", "name", "remark", "attention", "rule", "message", "problem", "answer", "comment")
MOST = 64 << 10
"""Bytes of a page about two questions, whatever a student hands in."""


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.others = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.words.append(data)

    def handle_comment(self, data):
        self.others.append(data)

    def handle_pi(self, data):
        self.others.append(data)

    def unknown_decl(self, data):
        self.others.append(data)


def hostile(place):
    """Return a text that does harm wherever it is not written as text; it names its place."""
    return f"[{place}]{MARKUP}{CONTROL}"


def faults(page):
    """Return everything in a page that is not the grader's own markup."""
    parsed = Page(page)
    attributes = [(tag, *attribute) for tag, found in parsed.tags for attribute in found]
    found = [f"the tag {tag}" for tag, _ in parsed.tags if tag not in TAGS]
    found += [f"the attribute {name}" for _, name, _ in attributes if name not in ATTRIBUTES]
    found += [
        f"{tag} {name}={value}"
        for tag, name, value in attributes
        if "alert" in (value or "") and name != "href"
    ]
    found += [f"the link {value}" for _, name, value in attributes if name == "href" and not local(value)]
    found += [
        f"the character {ord(char):#x}" for char in set(page) if not (char.isprintable() or char == "\n")
    ]
    return found + [f"no text: {other}" for other in parsed.others]


def local(address):
    """Return whether an address leads to a part of the page about a class, or to a page beside it."""
    parts = {f"#{part}" for part in class_page.PARTS}
    return address in parts or (address.startswith("feedback/") and address.count("/") == 1)


def hostile_result():
    """Return a result with hostile text in every field that anybody but the grader fills."""
    rules = [
        RuleResult(hostile("rule"), 2, passed=False, message=f"Page 0x100233: {hostile('message')}"),
        RuleResult("kept", 1, passed=True),
    ]
    question = QuestionResult(
        "double", 3, rules, [hostile("problem")], hostile("printed"), answer=hostile("answer")
    )
    question.comment, question.by_hand = hostile("comment"), 1.0
    return Result(
        *(hostile("student"), "attacked", "f", hostile("file"), [question]),
        remarks=[hostile("remark")],
        attention=[hostile("attention")],
        python=hostile("python"),
        packed=hostile("packed"),
        others=[hostile("other")],
    )


def pages():
    """Return every kind of page, with hostile text in each of its places."""
    result, student = hostile_result(), hostile("student")
    due = datetime(2026, 12, 1, tzinfo=UTC)
    late = Policy(due, times={student: due + timedelta(hours=30)}, own_due={student: due})
    chapter = Chapter(1, hostile("chapter"), "", {"double": Section(1, hostile("section"))})
    why = {student: hostile("why")}
    report = {
        **dict.fromkeys(("nothing_handed_in", "unreadable", "left_out", "not_in_roster"), why),
        "needs_teacher": [student],
        "no_time": [student],
        "attention": {student: [hostile("why")]},
        "python": [hostile("python")],
    }
    similar = {
        "pairs": [{"one": student, "other": hostile("other"), "share": 0.9}],
        "identical": [[student, hostile("other")]],
        "same_structure": [[student, hostile("other")]],
        "not_compared": why,
    }
    person = Person(student, hostile("name"), section=hostile("lesson"))
    pair = {student: [hostile("partner")]}
    course = class_page.Class(ASSIGNMENT, [result], report, similar, {student: person}, pair)
    return {
        "graded": feedback.page(result, late, hostile("name"), chapter, [hostile("dropped")]),
        "unreadable": feedback.page(replace(result, unreadable=hostile("unreadable"))),
        "nothing": feedback.page(replace(result, file="")),
        "absent": feedback.page_of_absent(hostile("assignment"), student, hostile("why")),
        "class": class_page.page(course),
    }


def test_own_211_hostile_text_is_text_in_every_place_of_every_page(monkeypatch):
    made = pages()

    assert {kind: faults(page) for kind, page in made.items()} == {kind: [] for kind in made}
    words = {kind: "".join(Page(page).words) for kind, page in made.items()}
    for place in (*NAMES, "dropped", "chapter", "section"):
        assert f"[{place}]</title>" in words["graded"], place
    for place in ("name", "lesson", "partner", "rule", "why", "other", "python"):
        assert f"[{place}]</title>" in words["class"], place
    assert "[unreadable]" in words["unreadable"]
    assert "[assignment]" in words["absent"]
    assert "[printed]" not in "".join(words.values())
    monkeypatch.setattr("memsim.grading.report.feedback.text", str)
    monkeypatch.setattr("memsim.grading.report.class_page._text", str)
    for page in pages().values():  # without that one function, a browser runs it
        found = faults(page)
        assert {"the tag script", "the attribute onerror", "the character 0x1b"} <= set(found)


LONG = 20_000
"""Letters."""
BODIES = {
    "an exception": "raise ValueError(HOSTILE)",
    "the name of an exception": "raise type(HOSTILE, (Exception,), {})()",
    "what is printed": "print(HOSTILE)",
    "a text for a number": "return HOSTILE",
    "a dict for a number": "return {HOSTILE: HOSTILE}",
    "an object": "return type(HOSTILE, (), {})()",
    "its own source": "COMMENT",
}


@pytest.mark.parametrize("way", BODIES)
def test_own_212_a_page_is_bounded_and_plain_whatever_is_handed_in(way, fence, tmp_path):
    """Through a grader: cells that fail by the dozen, names, an id, and an answer, all hostile and long."""
    text = MARKUP + CONTROL.replace("\x00", "")
    given = repr(text * (LONG // len(text)))
    body = BODIES[way].replace("HOSTILE", given).replace("COMMENT", f"return 0\n    {given}")
    cells = [
        f"STUDENT = {given}",
        *[f"raise ValueError({given})"] * 12,
        f"def double(number):\n    {body}",
        SOLVED[1],
    ]
    student = MARKUP[:200]
    result = grade(fence, notebook(*cells), student=student, name=f"{MARKUP[:200]}.ipynb")
    write_all(tmp_path, [result], {})

    assert {question.name: question.score for question in result.questions} == {"double": 0, "plus_one": 2}
    path = tmp_path / "feedback" / f"{file_name(student)}.html"
    assert faults(path.read_text(encoding="utf-8")) == []
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if "mallory" in file.name) < MOST
    assert path.stat().st_size < MOST
    assert len(given) > LONG / 2
