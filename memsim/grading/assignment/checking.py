"""Public checks: what a student runs in the notebook.

The function runs as it does when it is graded: in a process of its own, in which all that the notebook has
executed so far is executed again, behind the strongest fence that this machine has. So what works here works
there.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.grading.assignment.assignment import Limits
from memsim.grading.assignment.values import MayRaise, Raised, close, is_loose, received, shown
from memsim.grading.sandbox.conversation import Conversation, Failure
from memsim.grading.sandbox.fences import Fence, available
from memsim.grading.sandbox.guest.answer import cannot_travel, plain
from memsim.grading.sandbox.worker import Submitted, Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Example = tuple[list[Any], Any, str]


_SMALL = 0xFFFF
_FORM_OK = "  form ok, not judged"
_LATER = "The tests that give the points run when it is graded."
_VALIDATING = "NBGRADER_VALIDATING"
_NEITHER = "No check failed; Validate lists the cell because it was not judged."


class CheckError(MemsimError):
    """A public check failed; the text says which, and names the rule."""

    def _render_traceback_(self) -> list[str]:
        """Show the text only: where it was raised is of no use to a student."""
        return str(self).split("\n")


def check(
    name: str,
    *,
    returns: Any,
    examples: Sequence[Example],
    memsim: bool = False,
    limits: Limits | None = None,
    cells: list[str] | None = None,
    tolerance: float = 0.0,
) -> None:
    """Check a question on examples.

    Parameters
    ----------
    name
        The function's name.
    returns
        The type of an answer, as in :class:`memsim.grading.assignment.assignment.Question`.
    examples
        (arguments, wanted, rule): what is wanted is a value, the class of an exception, or a function of
        (arguments..., answer) that returns None or what is wrong; a function made by :func:`form` looks at
        the form only.
    tolerance
        By how much, relative to them, floats may differ from what is wanted.
    cells
        The code of the notebook; without it, what this IPython session has executed.

    Raises
    ------
    CheckError
        Not all examples are right. Or nbgrader's Validate runs the notebook, which would show
        "Success! Your notebook passes all the tests", and the form only was looked at.
    """
    executed = _executed() if cells is None else cells
    submitted = Submitted(_student(executed), executed)
    calls = [MayRaise(asked) if _is_exception(wanted) else asked for asked, wanted, _ in examples]
    answers, problems = _answers(name, returns, calls, submitted, memsim=memsim, limits=limits or Limits())
    lines = [
        _line(name, arguments, value, _Wanted(wanted, tolerance), rule)
        for (arguments, wanted, rule), value in zip(examples, answers, strict=True)
    ]
    formed = sum(line.startswith(_FORM_OK) for line in lines)
    right = sum(line.startswith("  right") for line in lines)
    judged = len(lines) - sum(isinstance(wanted, Form) for _, wanted, _ in examples)
    counted = f"{right} of {judged} examples right" if judged else "not judged"
    text = "\n".join([f"{name}: {counted}{_only_form(len(lines) - judged)}.", *lines])
    if not submitted.student.strip() and any("variant(" in cell for cell in executed):
        text += "\nSTUDENT is empty: type your id there, or the numbers are not yours."
    if right + formed == len(lines):
        if formed and os.environ.get(_VALIDATING):
            text += f"\n{_LATER}\n{_NEITHER}"
            raise CheckError(text)
        print(f"{text}\n{_LATER}")  # noqa: T201 (for the student)
        return
    if problems:
        text += "\nCells that could not be executed:\n" + "\n".join(f"  {problem}" for problem in problems)
    raise CheckError(text)


def _answers(
    name: str, returns: Any, calls: list[list[Any]], submitted: Submitted, *, memsim: bool, limits: Limits
) -> tuple[list[Any], list[str]]:
    """Return what the function returns for each list of arguments, and what is wrong with the notebook."""
    if not hasattr(os, "fork") or sys.platform == "emscripten":
        return [_here(name, arguments, returns) for arguments in calls], []
    gone = Failure("ended", "the process that answers was ended from inside")
    values: list[Any] = []
    problems: list[str] = []
    try:
        with (
            Worker(_strongest(), submitted, memsim=memsim) as worker,
            Conversation(worker, name, limits) as conversation,
        ):
            problems = conversation.problems
            values += [conversation.call(arguments, returns) for arguments in calls]
    except WorkerError:
        pass
    return values or [gone] * len(calls), problems


class Form:
    """A look at the form of an answer, which does not say whether the answer is right."""

    def __init__(self, look: Callable[..., str | None]) -> None:
        """``look`` takes what a function of an example takes, and returns what is wrong with the form."""
        self.look = look


def form(look: Callable[..., str | None]) -> Form:
    """Return what an example wants that must not give its answer away: only the form is looked at.

    >>> check("f", returns=int, cells=["def f(): return 7"],
    ...       examples=[([], form(lambda answer: None), "A number.")])
    f: not judged; form only: 1.
      form ok, not judged  f(): A number.
    The tests that give the points run when it is graded.
    """
    return Form(look)


def _only_form(count: int) -> str:
    return f"; form only: {count}" if count else ""


def _is_exception(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, BaseException)


@dataclass(frozen=True)
class _Wanted:
    """What an example wants, and how near floats must come."""

    value: Any
    tolerance: float

    def message(self, arguments: list[Any], answer: Any) -> str | None:
        """Return what is wrong with an answer, or None."""
        wanted = self.value
        if _is_exception(wanted):
            if isinstance(answer, Raised):
                return (
                    None if answer.is_a(wanted) else f"It raises {answer.name}; right is {wanted.__name__}."
                )
            return f"It returns {shown(answer)}; right is to raise {wanted.__name__}."
        if callable(wanted):
            judge: Callable[..., str | None] = wanted
            return judge(*arguments, answer)
        right = close(answer, wanted, relative=self.tolerance) if self.tolerance else same(answer, wanted)
        return None if right else f"It returns {shown(answer)}; right is {shown(wanted)}."


def _here(name: str, arguments: list[Any], returns: Any) -> Any:
    """Call the function in this process, where systems have no processes to fork: Windows, and browsers."""
    function = getattr(_shell(), "user_ns", {}).get(name)
    if not callable(function):
        return Failure("missing", f"there is no function {name}() in the notebook")
    try:
        value = function(*arguments)
        value = plain(value) if is_loose(returns) and value is not ... else value
    except Exception as problem_:  # noqa: BLE001 (whatever the student's function raises)
        if isinstance(arguments, MayRaise):
            kinds = tuple(kind.__name__ for kind in type(problem_).__mro__)
            return Raised(type(problem_).__name__, kinds, str(problem_))
        return Failure("raised", f"it raised {type(problem_).__name__}: {problem_}")
    if value is ...:
        return Failure("unanswered", "it is not answered yet: it still returns the dots of the starter")
    wrong = cannot_travel(value)
    value, other = received(value, returns) if not wrong else (value, None)
    told = wrong or other
    return Failure("type", f"it returns another type: {told}") if told else value


def _line(name: str, arguments: list[Any], value: Any, wanted: _Wanted, rule: str) -> str:
    """Return how one example went, in one line."""
    asked = f"{name}({', '.join(_argument(argument) for argument in arguments)})"
    if isinstance(value, Failure):
        return f"  wrong  {asked}: {value.told}. {rule}"
    if isinstance(wanted.value, Form):
        message = wanted.value.look(*arguments, value)
        return f"  wrong  {asked}: {message} {rule}" if message else f"{_FORM_OK}  {asked}: {rule}"
    message = wanted.message(arguments, value)
    return f"  wrong  {asked}: {message} {rule}" if message else f"  right  {asked}: {rule}"


def _argument(value: object) -> str:
    """Return an argument as the kernel would print it: large numbers are pfns."""
    return f"{value:#x}" if type(value) is int and value > _SMALL else shown(value)


def same(one: object, other: object) -> bool:
    """Return whether two JSON values are equal in type and value.

    >>> same([1, True], [1, 1]), same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    (False, True)
    """
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _shell() -> Any:
    """Return the IPython session, or None."""
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


def _executed() -> list[str]:
    """Return the code that this IPython session has executed."""
    shell = _shell()
    if shell is None:
        msg = "check() needs a notebook: it looks at the cells that were executed"
        raise MemsimError(msg)
    return [str(cell) for cell in shell.user_ns["In"][1:]]


def _student(cells: list[str]) -> str:
    """Return the id that the student has typed."""
    shell = _shell()
    return str(shell.user_ns.get("STUDENT", "")) if shell and cells else ""


@functools.cache
def _strongest() -> Fence:
    for fence in available():
        try:
            Worker(fence, Submitted("", [])).end()
        except (WorkerError, OSError):
            continue
        return fence
    msg = "this machine cannot start a process to check the answer in"
    raise MemsimError(msg)
