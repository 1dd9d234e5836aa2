"""The student's notebook as a namespace: every top-level statement that works has been executed."""

from __future__ import annotations

import ast
import signal
import sys
import types
import warnings
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from memsim.grading.sandbox.guest.cells import Statement, statements
from memsim.grading.sandbox.guest.variants import variant

if TYPE_CHECKING:
    from collections.abc import Iterator

STUDENT = "STUDENT"
_STAND_INS = {"Limits": dict, "form": lambda look: look, "Like": lambda kind: kind, "MayRaise": list}
"""What else a first cell may import from memsim.grading; only checks use it."""
_CPU_SECONDS, _WALL_SECONDS = 0.5, 15.0
_TICK = 0.1
_PROBLEMS_TOLD = 8
_TEXT_TOLD = 300


class TooLong(BaseException):
    """A top-level statement does not end."""


class Step(NamedTuple):
    """One top-level statement, compiled."""

    cell: int
    line: int
    code: Any
    """A code object, or what compile() raised."""
    is_import: bool
    stands_for: str
    """The function that it defines, if that is an untouched one; or nothing."""

    def execute(self, names: dict[str, Any]) -> None:
        """Execute it, in the process in which the student's code runs."""
        if isinstance(self.code, BaseException):
            raise self.code
        exec(self.code, names)  # noqa: S102 (see above)


class Script(NamedTuple):
    """The cells of a notebook, read but not executed."""

    steps: list[Step]
    problems: list[str]
    functions: frozenset[str]
    """What is defined, answered or not."""


class Program:
    """What a notebook defines."""

    def __init__(self, script: Script, notes: list[str], student: str, name: str) -> None:
        """Execute a script; of ``notes`` only what defines the question ``name``.

        ``notes`` are cells that are no code cells; many an answer was lost in one of those.
        """
        self.names: dict[str, Any] = {"__name__": "__main__", STUDENT: student}
        self.problems = list(script.problems)
        steps = script.steps if name in script.functions else [*script.steps, *_hidden(notes, name)]
        waiting = [step for step in steps if not self._run(step)]
        for step in waiting:  # what used a name that a later cell defines
            self._run(step, last_time=True)
        self.problems = self.problems[:_PROBLEMS_TOLD]

    def _run(self, step: Step, *, last_time: bool = False) -> bool:
        """Execute a statement; False if it may work once everything else has been executed."""
        try:
            with _at_most(is_import=step.is_import):
                step.execute(self.names)
        except NameError as problem:
            if last_time:
                self._note(step, problem)
            return last_time
        except BaseException as problem:  # noqa: BLE001 (SystemExit too: the next statement may be fine)
            self._note(step, problem)
        return True

    def _note(self, step: Step, problem: BaseException) -> None:
        self.problems.append(f"cell {step.cell}, line {step.line}: {told(problem)}")


@contextmanager
def _unwarned() -> Iterator[None]:
    """Let Python not warn of what it reads: a worker's complaints are not looked at, a student's cost."""
    with warnings.catch_warnings(action="ignore"):
        yield


@_unwarned()
def read(cells: list[str]) -> Script:
    """Read the cells of a notebook. Nothing of them is executed.

    Untouched copies of functions that are answered elsewhere are left out, and so is what sets STUDENT, which
    is the grader's to know.
    """
    found, broken = statements(cells)
    steps = [_compiled(statement) for statement in found if not _sets_student(statement.node)]
    answered = {node.name for _, node in found if isinstance(node, ast.FunctionDef) and not is_stub(node)}
    return Script(
        steps=[step for step in steps if step.stands_for not in answered],
        problems=[f"cell {cell}, line {line}: {problem}" for cell, line, problem in broken],
        functions=frozenset(node.name for _, node in found if isinstance(node, ast.FunctionDef)),
    )


def _compiled(statement: Statement) -> Step:
    cell, node = statement
    code: Any
    try:
        code = compile(ast.Module([node], []), f"<cell {cell}>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        code = problem
    stub = node.name if isinstance(node, ast.FunctionDef) and is_stub(node) else ""
    return Step(cell, node.lineno, code, isinstance(node, ast.Import | ast.ImportFrom), stub)


def told(problem: BaseException) -> str:
    """Return an exception as text, which may itself raise."""
    try:
        text = f"{type(problem).__name__}: {problem}"
    except BaseException:  # noqa: BLE001 (a __str__ of the student's)
        text = "an exception that cannot be shown"
    return text[:_TEXT_TOLD]


@contextmanager
def _at_most(*, is_import: bool) -> Iterator[None]:
    """Interrupt a top-level statement that does not end; imports may be slow on a cold machine.

    A clock ticks as long as the statement waits. While the machine is stopped it is heard once.
    """
    if is_import or not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(*_: object) -> None:
        msg = "this statement does not end"
        raise TooLong(msg)

    def tick(*_: object) -> None:
        if next(ticks) * _TICK >= _WALL_SECONDS:
            interrupt()

    ticks = count(1)
    signal.signal(signal.SIGALRM, tick)
    signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
    signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)


@_unwarned()
def _hidden(notes: list[str], name: str) -> list[Step]:
    """Return the definition of an answer that stands in a text cell, perhaps in a Markdown fence."""
    texts = [
        "\n".join(line for line in note.split("\n") if not line.startswith("```"))
        if f"def {name}" in note
        else ""
        for note in notes
    ]
    return [
        _compiled(statement)
        for statement in statements(texts)[0]
        if isinstance(statement.node, ast.FunctionDef) and statement.node.name == name
    ]


def is_stub(node: ast.FunctionDef) -> bool:
    r"""Return whether a function is as the starter has it: ``return ...`` after a docstring.

    >>> is_stub(ast.parse("def f(x):\n    'What.'\n    return ...").body[0])
    True
    """
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return len(body) == 1 and isinstance(body[0], ast.Return | ast.Expr) and _is_dots(body[0].value)


def _is_dots(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is ...


def _sets_student(node: ast.stmt) -> bool:
    """Return whether a statement sets STUDENT, which is the grader's to know."""
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return any(isinstance(target, ast.Name) and target.id == STUDENT for target in targets)


def lend_modules(*, memsim: bool) -> None:
    """Put in place what the first cell of an assignment imports from memsim.

    ``check`` does nothing here: a check that is running does not check itself.
    """
    grading = types.ModuleType("memsim.grading")
    grading.__dict__.update(check=lambda *_, **__: None, variant=variant, **_STAND_INS)
    sys.modules["memsim.grading"] = grading
    del sys.modules["memsim"]  # until now it only held the worker's own modules
    if not memsim:
        package = types.ModuleType("memsim")
        package.__dict__.update(__path__=[], __getattr__=_not_there, grading=grading)
        sys.modules["memsim"] = package
        sys.meta_path.insert(0, _NotThere)


class _NotThere:
    """What Python asks first where a module is: nothing is below a memsim that is not there."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Refuse every module of memsim, and find no other."""
        if name.startswith("memsim."):
            _not_there(name)


def _not_there(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    msg = "memsim is not there when this question is answered: work it out without the simulator"
    raise ModuleNotFoundError(msg)
