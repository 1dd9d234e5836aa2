"""Evidence that could not fail: what a claim's two checks look at, found in their code.

A check that names nothing but constants says the same in every world, and a check and its own copy cannot
disagree. Code does not show whether evidence is *good*: ``tests/book`` breaks the simulator on
purpose and checks which claims notice.
"""

from __future__ import annotations

import builtins
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from memsim.patch import Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def weakness(holds: Callable[[], object], contradicted_by: Callable[[], object]) -> str | None:
    """Return why two checks prove nothing, or None.

    >>> machine = {"pages": 3}
    >>> weakness(lambda: machine["pages"] == 3, lambda: machine["pages"] == 4)
    >>> weakness(lambda: machine["pages"] == 3, lambda: False)
    'contradicted_by looks at nothing that could be otherwise'
    >>> weakness(lambda: machine["pages"] == 3, lambda: machine["pages"] == 3)
    'holds and contradicted_by are the same check'
    """
    if same_code(holds, contradicted_by):
        return "holds and contradicted_by are the same check"
    for name, check in (("holds", holds), ("contradicted_by", contradicted_by)):
        if not looks_at_something(check):
            return f"{name} looks at nothing that could be otherwise"
    return None


def same_code(one: Callable[[], object], other: Callable[[], object]) -> bool:
    """Return whether two functions are the same, or written the same."""
    if one is other:
        return True
    pair = (getattr(one, "__code__", None), getattr(other, "__code__", None))
    return None not in pair and _skeleton(pair[0]) == _skeleton(pair[1])


def _skeleton(code: Any) -> object:  # noqa: ANN401 (a code object, or a constant in one)
    if not isinstance(code, CodeType):
        return (type(code), code)
    return (code.co_code, code.co_names, code.co_freevars, tuple(map(_skeleton, code.co_consts)))


def looks_at_something(check: Callable[[], object]) -> bool:
    """Return whether a check names anything but builtins and patches, which only choose a kernel.

    A function of the same module that it calls is no more than what that one names.
    """
    if not isinstance(check, FunctionType):
        return True
    todo, done = [check], set()
    while todo:
        function = todo.pop()
        done.add(function)
        for value in named(function):
            if isinstance(value, FunctionType) and value.__globals__ is check.__globals__:
                todo += [value] * (value not in done)
            elif not (isinstance(value, Patch) or value is _builtin(value)):
                return True
    return False


def _builtin(value: object) -> object:
    return getattr(builtins, str(getattr(value, "__name__", "")), None)


def named(function: FunctionType) -> Iterator[object]:
    """Yield the values of the global and free names in a function's code."""
    for cell in function.__closure__ or ():
        yield cell.cell_contents
    for name in names_in(function.__code__):
        if name in function.__globals__:
            value = function.__globals__[name]
            yield getattr(value, "__wrapped__", value)  # as it was before functools.cache


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the names that code, and the code inside it, looks up outside itself."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)
