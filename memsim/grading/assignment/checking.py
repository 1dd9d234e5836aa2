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
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.grading.assignment.assignment import Limits
from memsim.grading.assignment.values import problem, shown
from memsim.grading.sandbox.conversation import Conversation, Failure
from memsim.grading.sandbox.fences import Fence, available
from memsim.grading.sandbox.guest.answer import cannot_travel
from memsim.grading.sandbox.worker import Submitted, Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Example = tuple[list[Any], Any, str]


_SMALL = 0xFFFF


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
) -> None:
    """Check a question on examples.

    Parameters
    ----------
    name
        The function's name.
    returns
        The type of an answer, as in :class:`memsim.grading.assignment.assignment.Question`.
    examples
        (arguments, wanted, rule): what is wanted is a value, or a function of (arguments..., answer) that
        returns None or what is wrong.
    cells
        The code of the notebook; without it, what this IPython session has executed.

    Raises
    ------
    CheckError
        Not all examples are right.
    """
    executed = _executed() if cells is None else cells
    submitted = Submitted(_student(executed), executed)
    calls = [arguments for arguments, _, _ in examples]
    answers, problems = _answers(name, returns, calls, submitted, memsim=memsim, limits=limits or Limits())
    lines = [
        _line(name, arguments, value, wanted, rule)
        for (arguments, wanted, rule), value in zip(examples, answers, strict=True)
    ]
    right = sum(line.startswith("  right") for line in lines)
    text = "\n".join([f"{name}: {right} of {len(lines)} examples right.", *lines])
    if not submitted.student.strip() and any("variant(" in cell for cell in executed):
        text += "\nSTUDENT is empty: type your id there, or the numbers are not yours."
    if right == len(lines):
        print(f"{text}\nThe tests that give the points run when it is graded.")  # noqa: T201 (for the student)
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


def _here(name: str, arguments: list[Any], returns: Any) -> Any:
    """Call the function in this process, where systems have no processes to fork: Windows, and browsers."""
    function = getattr(_shell(), "user_ns", {}).get(name)
    if not callable(function):
        return Failure("missing", f"there is no function {name}() in the notebook")
    try:
        value = function(*arguments)
    except Exception as problem_:  # noqa: BLE001 (whatever the student's function raises)
        return Failure("raised", f"it raised {type(problem_).__name__}: {problem_}")
    if value is ...:
        return Failure("unanswered", "it is not answered yet: it still returns the dots of the starter")
    wrong = cannot_travel(value) or problem(value, returns)
    return Failure("type", f"it returns another type: {wrong}") if wrong else value


def _line(name: str, arguments: list[Any], value: Any, wanted: Any, rule: str) -> str:
    """Return how one example went, in one line."""
    asked = f"{name}({', '.join(_argument(argument) for argument in arguments)})"
    if isinstance(value, Failure):
        return f"  wrong  {asked}: {value.told}. {rule}"
    if callable(wanted):
        judge: Callable[..., str | None] = wanted
        message = judge(*arguments, value)
    else:
        message = None if same(value, wanted) else f"It returns {shown(value)}; right is {shown(wanted)}."
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
