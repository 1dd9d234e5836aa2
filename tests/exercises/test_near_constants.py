"""Every assignment: an answer that needs no thought earns next to nothing.

A constant earns nothing at all (``test_seeds.py``). These here look at what was asked, but only a little:
they give back an argument or a simple function of one, one of two constants by one test, the answer of the
public example, or what an earlier question wants. The constants are those that are right most often, and the
tests of an argument those that divide best. Nobody knows these who has solved nothing, so it is more than
such answers could earn.
"""

import itertools
import json
from collections import Counter
from functools import partial

import pytest

import memsim.grading
from memsim.grading.assignment.assignment import Assignment, fresh
from memsim.grading.assignment.course import code_of, load, solution_copy, source_of
from memsim.grading.assignment.values import problem
from memsim.grading.run.judge import Judging, _run, put
from memsim.grading.sandbox.conversation import Failure

from .test_seeds import PLAIN, every_assignment

SMALL = 1 / 5
"""The share that they may earn: one point of five, for a rule that says when nothing happens or is found.

A right answer to that rule is one of two, so a choice between two has it; everything else asks for more.
"""
OF_ONE = {
    "x": lambda x: x,
    "len(x)": len,
    "sum(x)": sum,
    "max(x)": max,
    "min(x)": min,
    "sorted(x)": sorted,
    "x[::-1]": lambda x: x[::-1],
    "x[0]": lambda x: x[0],
    "x[-1]": lambda x: x[-1],
    "x[1:]": lambda x: x[1:],
    "x[:-1]": lambda x: x[:-1],
    "[x]": lambda x: [x],
    "not x": lambda x: not x,
    "bool(x)": bool,
    "-x": lambda x: -x,
    "x + 1": lambda x: x + 1,
    "x - 1": lambda x: x - 1,
    "str(x)": str,
    "first of each": lambda x: [item[0] for item in x],
    "last of each": lambda x: [item[-1] for item in x],
    "True for each": lambda x: [True] * len(x),
    "False for each": lambda x: [False] * len(x),
    "0 for each": lambda x: [0] * len(x),
}
OF_TWO = {
    "x + y": lambda x, y: x + y,
    "x - y": lambda x, y: x - y,
    "y - x": lambda x, y: y - x,
    "x * y": lambda x, y: x * y,
    "x // y": lambda x, y: x // y,
    "x % y": lambda x, y: x % y,
    "x == y": lambda x, y: x == y,
    "x < y": lambda x, y: x < y,
    "x in y": lambda x, y: x in y,
}
OTHER_NUMBERS = ("a first key", "a second key", "a third key")
"""From these come the constants: what is right for one number alone does not help with the next."""
CHOICES = 40
"""The tests of an argument by which two constants are right most often."""


def copied(value):
    return json.loads(json.dumps(value))


def key(value):
    return json.dumps(value, sort_keys=True, default=repr)


def parts(arguments):
    """Return what can be seen at once in arguments: each of them, and what has a name or place in it."""
    seen = {}
    for place, argument in enumerate(arguments):
        seen[f"x{place}"] = argument
        if isinstance(argument, dict):
            seen |= {f"x{place}[{name!r}]": value for name, value in argument.items()}
        if isinstance(argument, list) and len(argument) < 4:
            seen |= {f"x{place}[{at}]": value for at, value in enumerate(argument)}
    return seen


def part(name, arguments):
    return parts(arguments)[name]


def looks(asked):
    """Return tests of one part of the arguments, of those that are asked."""
    found = {}

    def add(told, name, look):
        found[told] = lambda arguments: look(parts(arguments).get(name))

    for name in dict.fromkeys(name for arguments in asked for name in parts(arguments)):
        values = [parts(arguments)[name] for arguments in asked if name in parts(arguments)]
        add(name, name, bool)
        plain = {key(value): value for value in values if isinstance(value, (str, int, bool))}
        if len(plain) <= 12:
            for value in plain.values():
                add(f"{name} == {value!r}", name, partial(lambda wanted, seen: seen == wanted, value))
        numbers = sorted({value for value in values if type(value) is int})
        for limit in numbers[:: max(1, len(numbers) // 4)]:
            add(f"{name} < {limit}", name, partial(lambda at, seen: type(seen) is int and seen < at, limit))
        words = {word for value in values[:20] if isinstance(value, str) for word in value.split()}
        for word in sorted(words)[:40]:
            add(
                f"{word!r} in {name}",
                name,
                partial(lambda w, seen: isinstance(seen, str) and w in seen, word),
            )
        lengths = sorted({len(value) for value in values if isinstance(value, list)})
        for limit in lengths[1:4]:
            add(
                f"len({name}) < {limit}",
                name,
                partial(lambda at, seen: isinstance(seen, list) and len(seen) < at, limit),
            )
    return found


def choices(pairs):
    """Return answers that are one of two constants by one test, those first that are right most often."""
    ranked = []
    for told, look in looks([arguments for arguments, _ in pairs]).items():
        sides = {True: Counter(), False: Counter()}
        for arguments, right in pairs:
            sides[bool(look(arguments))][key(right)] += 1
        for (one, ones), (other, others) in itertools.product(
            sides[True].most_common(2), sides[False].most_common(2)
        ):
            if one != other:
                answer = partial(
                    lambda look, one, other, *arguments: one if look(list(arguments)) else other,
                    *(look, json.loads(one), json.loads(other)),
                )
                ranked.append((ones + others, f"{one:.40} if {told} else {other:.40}", answer))
    ranked.sort(key=lambda row: -row[0])
    return {told: answer for _, told, answer in ranked[:CHOICES]}


def simple(asked):
    """Return simple functions of one or two parts of the arguments."""
    names = list(dict.fromkeys(name for arguments in asked for name in parts(arguments)))[:14]
    found = {
        f"{told} of {name}": partial(lambda name, of, *arguments: of(part(name, arguments)), name, of)
        for name in names
        for told, of in OF_ONE.items()
    }
    for one, other in itertools.permutations(names[:6], 2):
        for told, of in OF_TWO.items():
            found[f"{told} of {one}, {other}"] = partial(
                lambda one, other, of, *arguments: of(part(one, arguments), part(other, arguments)),
                *(one, other, of),
            )
    return found


def examples_only(examples):
    """Return the answers of the public examples, and the first of them for everything else."""
    table = {key(arguments): wanted for arguments, wanted, _ in examples if not callable(wanted)}
    if not table:
        return {}
    first = next(iter(table.values()))
    return {"the public examples": lambda *arguments: table.get(key(list(arguments)), first)}


class Bench:
    """An assignment of ours with its solutions, in this process."""

    def __init__(self, grading, monkeypatch):
        self.examples = {}
        monkeypatch.setattr(
            memsim.grading, "check", lambda name, examples, **_: self.examples.update({name: examples})
        )
        self.assignment = Assignment.load(grading)
        source = "\n".join(code_of(solution_copy(load(source_of(grading)))))
        self.names = {"__name__": "notebook"}
        exec(compile(source.replace('STUDENT = ""', "STUDENT = 'ada'"), "n", "exec"), self.names)  # noqa: S102 (ours)

    def asked(self, question, test, numbers="a key"):
        """Return what a test asks, with the right answers."""
        pairs = []

        def call(arguments):
            pairs.append((arguments, copied(self.names[question.name](*copied(arguments)))))
            return pairs[-1][1]

        rng = fresh(numbers, self.assignment.name, question.name, test, "ada")
        _run(test, question.name, call, rng, question.variant_of("ada"), Judging())
        return pairs

    def answers(self, question, asked):
        """Return every answer that needs no thought and could earn too much."""
        pairs = [
            pair
            for numbers in OTHER_NUMBERS
            for test in question.tests
            for pair in self.asked(question, test, numbers)
        ]
        before = itertools.takewhile(lambda one: one is not question, self.assignment.questions)
        found = {f"{one.name}()": self.names[one.name] for one in before}
        found |= simple([arguments for arguments, _ in pairs])
        found |= examples_only(self.examples.get(question.name, ()))
        firsts = [of_a_test[0][0] for of_a_test in asked]
        found = {
            told: answer
            for told, answer in found.items()
            if not all(isinstance(given(answer, question, first), Failure) for first in firsts)
        }
        chosen = choices(pairs)
        if question.pattern == "design":  # there more than one answer is right
            found |= dict(itertools.islice(chosen.items(), CHOICES // 4))
        else:
            found |= {told: one for told, one in chosen.items() if right_for(one, question, asked) > SMALL}
        found |= {f"always {value!r}": partial(lambda value, *_: value, value) for value in PLAIN}
        calls = [arguments for of_a_test in asked for arguments, _ in of_a_test]
        said = {told: key([given(answer, question, one) for one in calls]) for told, answer in found.items()}
        return {told: found[told] for told in {each: told for told, each in said.items()}.values()}

    def earned(self, question, answer):
        """Return the points of an answer."""
        results = put(question, partial(given, answer, question), self.assignment.name, "ada", "a key")
        return sum(result.points for result in results if result.passed)


def right_for(answer, question, asked):
    """Return for which share of the points an answer gives what the right one gives."""
    same = [
        all(key(given(answer, question, arguments)) == key(right) for arguments, right in of_a_test)
        for of_a_test in asked
    ]
    return sum(itertools.compress(question.tests.values(), same)) / question.points


def given(answer, question, arguments):
    """Return what an answer gives, as the grader hears it."""
    try:
        value = answer(*copied(arguments))
        wrong = problem(value, question.returns)
    except Exception:  # noqa: BLE001 (it was made for other arguments)
        return Failure("raised", "it raised an exception")
    return Failure("answer", f"the answer {wrong}") if wrong else value


@pytest.mark.slow  # some minutes
@every_assignment
def test_an_answer_that_needs_no_thought_earns_next_to_nothing(grading, monkeypatch):
    bench = Bench(grading, monkeypatch)
    tried, more = 0, []
    for question in bench.assignment.questions:
        asked = [bench.asked(question, test) for test in question.tests]
        if not any(arguments for of_a_test in asked for arguments, _ in of_a_test):
            continue  # the student's own numbers: there is nothing to look at
        for told, answer in bench.answers(question, asked).items():
            tried += 1
            earned = bench.earned(question, answer)
            if earned > SMALL * question.points:
                more.append((question.name, told, earned, question.points))
    assert not more, "\n".join(map(str, more))
    assert tried > len(PLAIN)
