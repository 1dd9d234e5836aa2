"""The page about a class: ``index.html`` beside the results, one file without anything to load.

Every figure says its numbers, marks are signs and not colours alone, and texts of students are escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from math import ceil
from statistics import mean, median
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from memsim.grading.report.feedback import text as _text
from memsim.grading.roster.names import some
from memsim.grading.run.submissions import file_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from memsim.grading.assignment.assignment import Assignment
    from memsim.grading.report.results import Result
    from memsim.grading.roster.people import Person

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { text-align: left; padding: .2rem .5rem; border-bottom: 1px solid #888; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0 1.5rem; }
.wide { overflow: auto; max-height: 80vh; scroll-padding: 7rem 0 1rem 13rem; }
.wide thead th { position: sticky; top: 0; z-index: 1; background: Canvas; }
.wide tbody th { position: sticky; left: 0; background: Canvas; }
.wide small { display: block; font-weight: normal; }
main > table td { overflow-wrap: anywhere; }
main > table td:nth-child(-n+2) { min-width: 5rem; }
svg { max-width: 100%; }
@media print { .wide { overflow: visible; max-height: none; } .wide th { position: static; } }
.map th[scope=row] { min-width: 11rem; }
.map thead th { max-width: 7rem; }
.map td { text-align: center; padding: .1rem .4rem; vertical-align: middle; }
.map .y { background: #cfe8dd; color: #00432f; }
.map .w { background: #f6d9c3; color: #6b2c00; font-weight: bold; }
.map .t { background: #ddd; color: #222; }
.bar { fill: #3b6ea5; }
svg text { font: .8rem system-ui, sans-serif; fill: CanvasText; }
@media (prefers-color-scheme: dark) {
  .map .y { background: #0f3d2e; color: #9fe0c4; }
  .map .w { background: #4a2410; color: #ffc9a3; }
  .map .t { background: #333; color: #ddd; }
  .bar { fill: #6ea3dd; }
}
@media (max-width: 40rem) {
  body { margin: 1rem auto; }
  th, td { padding: .2rem .3rem; }
  main > table { font-size: .875rem; }
  main > table td, main > table td.n { min-width: 0; white-space: normal; }
  .map th[scope=row] { min-width: 6rem; }
}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
_BINS = 10
PARTS = {
    "distribution": "Distribution",
    "rules": "Rules, the hardest first",
    "misconceptions": "Misconceptions",
    "students": "Students and rules",
    "alike": "Alike",
    "not-graded": "Not graded, or for the teacher",
}
"""The headings by their names in the page's address: a reader need not pass two thousand links."""
_MOST_LEFT_OUT = 500
"""Files that are named: one student's folder may hold thousands."""
_WIDTH, _ROW = 420, 22
_SIGNS = {"y": "&#10003;", "w": "&#10007;", "t": "?"}
_SAID = {"y": "right", "w": "wrong", "t": "for the teacher"}


@dataclass(frozen=True)
class Rule:
    """One hidden test, and how the class did."""

    question: str
    title: str
    number: int
    passed: int
    of: int

    @property
    def share(self) -> float:
        """The share of the class that kept it."""
        return self.passed / self.of if self.of else 0.0

    @property
    def short(self) -> str:
        """A name for the head of a narrow column."""
        return f"{self.question} {self.number}"


@dataclass
class Class:
    """What the page is made of."""

    assignment: Assignment
    results: Sequence[Result]
    report: Mapping[str, Any]
    similar: Mapping[str, Any]
    people: Mapping[str, Person] = field(default_factory=dict)
    together: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """For each student of a pair or group, the others for whom the same file counts."""

    def name(self, student: str) -> str:
        """Return the name of a student, or the id where no roster gives one."""
        return (self.people[student].name if student in self.people else "") or student

    def both(self, student: str) -> str:
        """Return the id of a student, with the name if there is one."""
        name = self.name(student)
        return student if name == student else f"{student} ({name})"


def page(course: Class) -> str:
    """Return the page."""
    graded = [result for result in course.results if not result.unreadable]
    rules = hardest_first(graded)
    heading = f"{course.assignment.name}: the class"
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(heading)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{_text(heading)}</h1>",
        *_summary(course, graded),
        _contents(),
        *_distribution(graded),
        *_rules(rules),
        *_misconceptions(course, graded),
        *_heat_map(course, graded, rules),
        *_similar(course),
        *_not_graded(course),
        "</main></body></html>\n",
    ]
    return "\n".join(parts).encode("utf-8", "backslashreplace").decode()


def hardest_first(results: Sequence[Result]) -> list[Rule]:
    """Return the rules of all results, those first that fewest keep."""
    passed, of = Counter[tuple[str, str, int]](), Counter[tuple[str, str, int]]()
    for result in results:
        for question in result.questions:
            for number, test in enumerate(question.tests, 1):
                place = (question.name, test.title, number)
                of[place] += 1
                passed[place] += test.passed
    rules = [Rule(*place, passed[place], count) for place, count in of.items()]
    return sorted(rules, key=lambda rule: rule.share)


def misconceptions(assignment: Assignment, results: Sequence[Result]) -> list[tuple[str, str, list[str]]]:
    """Return the wrong solutions that a grading file names, and who seems to have written each.

    A wrong solution is recognised by its score and its message.
    """
    found = []
    for question in assignment.questions:
        of_question = [
            (result.student, asked)
            for result in results
            for asked in result.questions
            if asked.name == question.name
        ]
        for wrong in question.wrong:
            who = [
                student
                for student, asked in of_question
                if asked.graded == wrong.score and any(wrong.message in test.message for test in asked.tests)
            ]
            if who:
                found.append((question.name, wrong.misconception.replace("_", " "), who))
    return sorted(found, key=lambda one: -len(one[2]))


def _summary(course: Class, graded: Sequence[Result]) -> list[str]:
    scores = [result.score for result in graded]
    most = graded[0].max_score if graded else 0
    parts = [
        f"{len(graded)} graded of {len(course.results) + len(course.report.get('nothing_handed_in', {}))}"
    ]
    if scores:
        parts.append(f"mean {mean(scores):.1f}, median {median(scores):g} of {most:g} points")
    dropped = course.report.get("dropped", [])
    if dropped:
        parts.append(f"not counted: {', '.join(dropped)}")
    python = ", ".join(course.report.get("python", []))
    parts.append(f"graded with Python {python}; fence: {course.report.get('fence', '')}")
    return [f"<p>{_text('; '.join(parts))}.</p>"]


def _contents() -> str:
    """Return a list of the page's parts."""
    links = "".join(f'<li><a href="#{part}">{title}</a></li>' for part, title in PARTS.items())
    return f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav>'


def _heading(part: str) -> str:
    return f'<h2 id="{part}">{PARTS[part]}</h2>'


def _distribution(graded: Sequence[Result]) -> list[str]:
    """Return the distribution of scores, by whole points, as a drawing whose label says its numbers."""
    most = max((result.max_score for result in graded), default=0)
    if not most:
        return [_heading("distribution"), "<p>Nothing was graded.</p>"]
    step = ceil(most / _BINS)
    count = int(most // step) + 1
    bins = Counter(int(result.score // step) for result in graded)
    rows = [(_range(step * b, min(step * (b + 1) - 1, most)), bins[b]) for b in range(count)]
    scale = (_WIDTH - 160) / max(1, *bins.values())
    bars = [
        f'<text x="0" y="{_ROW * at + 15}">{name}</text>'
        f'<rect class="bar" x="110" y="{_ROW * at + 3}" width="{count * scale:.0f}" height="{_ROW - 6}"/>'
        f'<text x="{115 + count * scale:.0f}" y="{_ROW * at + 15}">{count}</text>'
        for at, (name, count) in enumerate(rows)
    ]
    told = "; ".join(f"{name} points: {count}" for name, count in rows if count)
    return [
        _heading("distribution"),
        (
            f'<svg role="img" aria-label="Students by points. {escape(told)}" width="{_WIDTH}" '
            f'viewBox="0 0 {_WIDTH} {_ROW * count}">{"".join(bars)}</svg>'
        ),
    ]


def _range(low: float, high: float) -> str:
    """Return which points a bar is for, those with a fraction under the whole ones.

    >>> _range(2, 3), _range(4, 4)
    ('2 to 3', '4')
    """
    return f"{low:g} to {high:g}" if low < high else f"{low:g}"


def _rules(rules: Sequence[Rule]) -> list[str]:
    rows = [[rule.short, rule.title, f"{rule.passed} of {rule.of}", f"{rule.share:.0%}"] for rule in rules]
    return [
        _heading("rules"),
        _table("What students had to know", ["Rule", "What it says", "Right", "Share"], rows, numbers=(2, 3)),
    ]


def _misconceptions(course: Class, graded: Sequence[Result]) -> list[str]:
    found = misconceptions(course.assignment, graded)
    rows = [[what, question, str(len(who)), some(who)] for question, what, who in found]
    if not rows:
        return [_heading("misconceptions"), "<p>None that the grading file names.</p>"]
    head = ["Misconception", "Question", "Students", "Who"]
    return [_heading("misconceptions"), _table("Wrong solutions with a name", head, rows, numbers=(2,))]


def _heat_map(course: Class, graded: Sequence[Result], rules: Sequence[Rule]) -> list[str]:
    """Return who kept which rule; a student's name leads to his or her page."""
    head = "".join(f'<th scope="col">{_breakable(rule.short)}</th>' for rule in rules)
    rows = []
    for result in sorted(graded, key=lambda one: one.score):
        states = {
            (question.name, number): "y" if test.passed else "t" if test.needs_teacher else "w"
            for question in result.questions
            for number, test in enumerate(question.tests, 1)
        }
        marks = [states.get((rule.question, rule.number), "") for rule in rules]
        cells = "".join(
            f'<td class="{mark}" aria-label="{_SAID[mark]}">{_SIGNS[mark]}</td>' if mark else "<td></td>"
            for mark in marks
        )
        link = f"feedback/{quote(file_name(result.student))}.html"
        rows.append(
            f'<tr><th scope="row"><a href="{escape(link)}">{_text(course.name(result.student))}</a>'
            f"{_beside(course, result.student)}</th>"
            f'<td class="n">{result.score:g}</td>{cells}</tr>'
        )
    return [
        _heading("students"),
        (
            "<p>&#10003; right, &#10007; wrong, ? for the teacher. Fewest points first, hardest rule first; "
            "points are those before lateness.</p>"
        ),
        '<div class="wide" tabindex="0" role="region" aria-label="Students and rules"><table class="map">',
        f'<thead><tr><th scope="col">Student</th><th scope="col">Points</th>{head}</tr></thead>',
        f"<tbody>{''.join(rows)}</tbody></table></div>",
    ]


def _beside(course: Class, student: str) -> str:
    """Return what stands below a student's name: the section, and with whom the file is shared."""
    section = course.people[student].section if student in course.people else ""
    others = ", ".join(course.name(other) for other in course.together.get(student, ()))
    told = [section, f"with {others}" if others else ""]
    return "".join(f"<small>{_text(text)}</small>" for text in told if text)


def _similar(course: Class) -> list[str]:
    similar, both = course.similar, course.both
    pairs = [
        [both(pair["one"]), both(pair["other"]), f"{pair['share']:.0%}"] for pair in similar.get("pairs", [])
    ]
    parts = [_heading("alike"), "<p>A reason to look at two submissions side by side, never a verdict.</p>"]
    kinds = {
        "identical": "The same file, byte for byte",
        "same_structure": "The same from beginning to end, but for names, numbers and layout",
    }
    groups = {told: similar[kind] for kind, told in kinds.items() if similar.get(kind)}
    for told, found in groups.items():
        items = "".join(f"<li>{_text(', '.join(map(both, group)))}</li>" for group in found)
        parts.append(f"<p>{told}:</p><ul>{items}</ul>")
    if pairs:
        parts.append(_table("Alike beyond the starter", ["One", "Other", "Share"], pairs, numbers=(2,)))
    if not groups and not pairs:
        parts = [parts[0], "<p>None, beyond the starter.</p>"]
    left = [[both(student), why] for student, why in similar.get("not_compared", {}).items()]
    return [*parts, _table("Graded and not compared", ["Student", "Why"], left)] if left else parts


def _not_graded(course: Class) -> list[str]:
    """Return everything that was not graded, or not for certain, and why."""
    report, both = course.report, course.both
    rows = [[both(who), "nothing handed in", why] for who, why in report.get("nothing_handed_in", {}).items()]
    rows += [[both(who), "nothing graded", why] for who, why in report.get("unreadable", {}).items()]
    rows += [
        [both(who), "for the teacher", "; ".join(why)] for who, why in report.get("attention", {}).items()
    ]
    rows += [
        [question, "to be judged", f"{some(judge['students'])}: {judge['why']}"]
        for question, judge in report.get("to_judge", {}).items()
    ]
    rows += [
        [path, "not in the roster", f"is it {near}?" if near else ""]
        for path, near in report.get("not_in_roster", {}).items()
    ]
    rows += [
        [both(who), "known by a name alone", f"the roster does not have the number in {file}"]
        for who, file in list(report.get("by_name_alone", {}).items())[:_MOST_LEFT_OUT]
    ]
    left = "the result of an earlier run stands"
    rows += [[both(who), "not in the roster any more", left] for who in report.get("left", [])]
    no_time = "the collector's table has no time for it"
    rows += [[both(who), "time not known", no_time] for who in report.get("no_time", [])]
    left_out = list(report.get("left_out", {}).items())
    rows += [[path, "left out", why] for path, why in left_out[:_MOST_LEFT_OUT]]
    if len(left_out) > _MOST_LEFT_OUT:
        rows.append([f"{len(left_out) - _MOST_LEFT_OUT} more", "left out", "report.json names them"])
    if not rows:
        return [_heading("not-graded"), "<p>Everything was graded.</p>"]
    return [_heading("not-graded"), _table("What and why", ["What", "State", "Why"], rows)]


def _breakable(name: str) -> str:
    """Return a name as HTML that may be broken behind an underscore."""
    return _text(name).replace("_", "_<wbr>")


def _table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()
) -> str:
    """Return a table; ``numbers`` are the columns of numbers."""
    columns = "".join(f'<th scope="col">{_text(name)}</th>' for name in head)
    kinds = [' class="n"' if at in numbers else "" for at in range(len(head))]
    cells = [
        "".join(f"<td{kind}>{_breakable(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        for row in rows
    ]
    lines = "".join(f"<tr>{row}</tr>" for row in cells)
    return (
        f"<table><caption>{_text(caption)}</caption><thead><tr>{columns}</tr></thead>"
        f"<tbody>{lines}</tbody></table>"
    )
