"""The page that a student gets back: one file, nothing loaded from elsewhere, every text escaped.

It names the rule that was broken and how the score came about; it never shows a hidden test, an expected
value or anything else that would have to be secret.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from fractions import Fraction
from html import escape
from typing import TYPE_CHECKING

from memsim.grading.report import place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.grading.report.late import Policy
    from memsim.grading.report.reading import Chapter
    from memsim.grading.report.results import Result
    from memsim.grading.run.judge import QuestionResult, RuleResult

_STYLE = (
    """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #888; }
th:first-child { width: 7rem; }
td:first-child { white-space: nowrap; }
th:last-child { width: 5rem; text-align: right; }
td.points { text-align: right; white-space: nowrap; }
.right { font-weight: bold; color: #00614a; }
.wrong { font-weight: bold; color: #9a3f00; }
.found { margin: .2rem 0; padding-left: .5rem; border-left: 3px solid #9a3f00; }
@media (prefers-color-scheme: dark) {
  .right { color: #33c79a; }
  .wrong { color: #f0a05c; }
  .found { border-color: #f0a05c; }
}
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .6rem; border: 1px solid #888; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; }
  th, td { padding: .3rem; }
  table { table-layout: fixed; }
  th:first-child { width: 5rem; }
  th:last-child { width: 3.5rem; }
  td { overflow-wrap: anywhere; }
  td.points { white-space: normal; }
}
@media (min-width: 64rem) {
  .beside p { margin: .3rem 0; }
  .beside pre { margin: 0; }
  .beside { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 2rem; }
}
"""
    + place.STYLE
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_TABLE_HEAD = (
    "<table><thead><tr><th scope='col'>Result</th><th scope='col'>Rule</th>"
    "<th scope='col'>Points</th></tr></thead><tbody>"
)
_RIGHT = "<span class='right'>&#10003; right</span>"
_WRONG = "<span class='wrong'>&#10007; wrong</span>"
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"

_PRINTED = (
    "<p>It printed something, which costs nothing. To see it, call the function with the numbers of the "
    "examples.</p>"
)


def page(
    result: Result,
    policy: Policy | None = None,
    name: str = "",
    chapter: Chapter | None = None,
    dropped: Sequence[str] = (),
) -> str:
    """Return the feedback to one submission as an HTML page."""
    heading = f"{result.assignment}: {result.score} of {result.max_score} points"
    who = f"{result.student} ({name})" if name and name != result.student else result.student
    parts = [
        *_head(heading),
        *_origin(result, who),
        *([f"<p>{text(lateness(result, policy))}</p>"] if policy and result.file else []),
        *(f"<p>About the file: {text(remark)}.</p>" for remark in [*result.attention, *result.remarks]),
    ]
    if result.unreadable:
        parts.append(f"<p><strong>Nothing could be graded: {text(result.unreadable)}.</strong></p>")
        given = [q for q in result.questions if q.by_hand is not None or q.comment]
        parts += [_question(question, chapter) for question in given]
    else:
        parts += [_question(question, chapter) for question in result.questions]
    parts += [f"<p>{text(question)} does not count: your teacher dropped it.</p>" for question in dropped]
    if chapter is not None and result.score < result.max_score:
        parts.append(_read_again(chapter))
    parts.append("</main></body></html>\n")
    return "\n".join(parts).encode("utf-8", "backslashreplace").decode()


def _origin(result: Result, who: str) -> list[str]:
    """Return what was graded, whose it is, and by which Python."""
    if not result.file:
        return [f"<p>{text(who)} has handed in nothing.</p>"]
    python = [f"<p>Graded with Python {text(result.python)}.</p>"] if result.python else []
    return [f"<p>Handed in by {text(who)} as {text(result.file)}.</p>", *python]


def page_of_absent(assignment: str, student: str, why: str) -> str:
    """Return the page for a student who has handed in nothing."""
    parts = [
        *_head(f"{assignment}: nothing handed in"),
        f"<p>The grader has found no submission by {text(student)}: {text(why)}.</p>",
        "<p>If you have handed one in, ask your teacher where it is.</p></main></body></html>\n",
    ]
    return "\n".join(parts).encode("utf-8", "backslashreplace").decode()


def _head(heading: str) -> list[str]:
    return [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(heading)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{text(heading)}</h1>",
    ]


def lateness(result: Result, policy: Policy) -> str:
    """Return in words what lateness has cost."""
    if not policy.is_known(result.student):
        return "The collector's table does not say when it was handed in; no points were taken off."
    days = policy.days(result.student)
    own = policy.own_due.get(result.student)
    extended = ", an extension" if policy.is_extended(result.student) else ""
    until = f" It was due {own:%d %B %Y, %H:%M %Z}{extended}." if own else ""
    if not days:
        return f"It was handed in on time.{until}"
    factor = policy.factor(result.student)
    final = float(Fraction(result.score) * factor)
    free = f", of which {policy.free_days} cost nothing" if policy.free_days else ""
    return (
        f"It was handed in {days} day{'s' * (days != 1)} late{free}. "
        f"{result.score} x {float(factor):.0%} = {final:g} points count.{until}"
    )


def _read_again(chapter: Chapter) -> str:
    title = _linked(f"chapter {chapter.number}, {chapter.title}", chapter.address)
    return f"<p>The rules are explained in {title}.</p>"


def _section(chapter: Chapter, question: str) -> str:
    """Return where the rules of one question are explained."""
    section = chapter.sections.get(question)
    if section is None:
        return ""
    linked = _linked(section.heading, section.link)
    end = "" if section.heading.endswith(("?", "!")) else "."
    return f"<p>To read again: chapter {section.chapter}, section {linked}{end}</p>"


def _linked(title: str, address: str) -> str:
    shown = text(title)
    return f'<a href="{escape(address, quote=True)}">{shown}</a>' if address else shown


def _question(question: QuestionResult, chapter: Chapter | None) -> str:
    """Return what was right and wrong, and beside it the student's answer."""
    same = _message_of_all(question)
    tests = [replace(test, message="") for test in question.tests] if same else question.tests
    table = "".join([_TABLE_HEAD, *map(_test, tests), "</tbody></table>"])
    wrong = question.score < question.max_score
    parts = [f"<h2>{text(question.name)}: {question.score} of {question.max_score} points</h2>"]
    parts += [f"<p>{text(same)}</p>"] if same else []
    if wrong and question.answer:
        own = f"<div><p>Your answer:</p><pre>{text(question.answer)}</pre></div>"
        parts.append(f"<div class='beside'><div>{table}</div>{own}</div>")
    else:
        parts.append(table)
    if wrong and chapter is not None:
        parts.append(_section(chapter, question.name))
    if question.by_hand is not None:
        parts.append(
            f"<p>Your teacher gave {question.by_hand:g} points; the tests gave {question.graded:g}.</p>"
        )
    if question.comment:
        parts.append(f"<p>Your teacher says: {text(question.comment)}</p>")
    if question.score < question.max_score and question.problems:
        items = "".join(f"<li>{text(problem)}</li>" for problem in question.problems)
        parts.append(f"<p>These parts of the notebook could not be executed:</p><ul>{items}</ul>")
    if question.score < question.max_score and question.printed.strip():
        parts.append(_PRINTED)  # not the text: hidden tests asked, and a function can print their numbers
    return "\n".join(parts)


def _message_of_all(question: QuestionResult) -> str:
    """Return the message that all of several rules have, to be said once; or nothing."""
    messages = {test.message for test in question.tests}
    is_place = any(place.page_in(message) is not None for message in messages)
    return messages.pop() if len(messages) == 1 < len(question.tests) and not is_place else ""


def _test(test: RuleResult) -> str:
    word = _RIGHT if test.passed else _WRONG
    message = f"<div class='found'>{text(test.message)}</div>" if test.message else ""
    pfn = None if test.passed else place.page_in(test.message)
    if pfn is not None:
        message += place.drawing(pfn)
    got = test.points if test.passed else 0
    return (
        f"<tr><td>{word}</td><td>{text(test.title)}{message}</td>"
        f"<td class='points'>{got} of {test.points}</td></tr>"
    )


def text(given: str) -> str:
    """Return a text of anybody's as HTML; control characters, which browsers may act on, are spelt out."""
    shown = "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in given)
    return escape(shown, quote=True)
