"""One question: the notebook is executed, and its function is called as often as the grader asks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from memsim.grading.sandbox.guest.frames import encode, receive
from memsim.grading.sandbox.guest.program import Program, lend_modules, told

if TYPE_CHECKING:
    import _socket
    from types import TracebackType

    from memsim.grading.sandbox.guest.program import Script

_DEEPEST = 50
_LARGEST = 1 << 63


def answer(channel: _socket.socket, question: Any, submission: Any, script: Script) -> None:
    """Say what the notebook is like, then answer calls until the channel ends."""
    name = question["question"]
    lend_modules(memsim=question["memsim"])
    program = Program(script, submission["notes"], submission["student"], name)
    function = program.names.get(name)
    state = {"found": callable(function), "problems": program.problems}
    channel.sendall(encode(state))
    while True:
        call = receive(channel)
        if call is None:
            return
        channel.sendall(_reply(function, call["call"], loose=call.get("loose", False)))


def _reply(function: Any, arguments: list[Any], *, loose: bool) -> bytes:
    """Call the function and return the frame to send."""
    try:
        value = function(*arguments)
        if loose and value is not ...:
            value = plain(value)
        wrong = "" if value is ... else cannot_travel(value)
        if value is ...:
            return encode({"unanswered": True})
        if wrong:
            return encode({"cannot_travel": wrong})
        return encode({"value": value})
    except BaseException as problem:  # noqa: BLE001 (SystemExit and KeyboardInterrupt too: a call that failed)
        kinds = [kind.__name__ for kind in type(problem).__mro__ if kind.__module__ == "builtins"]
        name = type(problem).__name__
        kinds = list(dict.fromkeys([name, *kinds]))
        return encode({"raised": told(problem), "at": _place(problem.__traceback__), "kinds": kinds})


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value with lists for tuples and arrays, and Python's numbers for numpy's.

    >>> plain((1, [2.5, (3,)]))
    [1, [2.5, [3]]]
    """
    if depth > _DEEPEST:
        return value
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if type(value) in (list, tuple):
        return [plain(item, depth + 1) for item in value]
    if type(value) is dict:
        return {name: plain(item, depth + 1) for name, item in value.items()}
    return value


def _place(trace: TracebackType | None) -> str:
    """Return the innermost line of the notebook that was running."""
    place = ""
    while trace:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith("<cell "):
            place = f"{file.strip('<>')}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def cannot_travel(value: object, where: str = "it", depth: int = 0) -> str:
    """Return why a value cannot be sent to the grader, or nothing.

    >>> cannot_travel({"a": [1, None, "b", True, 0.5]})
    ''
    >>> cannot_travel([1, (2, 3)])
    'item 1 is a tuple; it must be an int, float, str, bool, None, list or dict'
    """
    kind = type(value)
    if depth > _DEEPEST:
        return f"it is nested deeper than {_DEEPEST} levels"
    if kind not in (list, dict):
        return _scalar_cannot_travel(value, where)
    if isinstance(value, dict):
        strange = [key for key in value if type(key) is not str]
        if strange:
            return f"{where} is a dict with a key of type {type(strange[0]).__name__}; keys must be str"
    parts = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, item in parts:
        if type(item) not in (list, dict) and not _scalar_cannot_travel(item, ""):
            continue
        place = f"the value of {key[:40]!r}" if isinstance(key, str) else f"item {key}"
        wrong = cannot_travel(item, place if where == "it" else f"{where}, {place}", depth + 1)
        if wrong:
            return wrong
    return ""


def _scalar_cannot_travel(value: object, where: str) -> str:
    """Return why a value that holds no others cannot be sent, or nothing."""
    kind = type(value)
    if kind not in (int, float, str, bool, type(None)):
        return f"{where} is a {kind.__name__}; it must be an int, float, str, bool, None, list or dict"
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        return f"{where} is an int of more than 64 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{where} is {value}, which is not a number"
    return ""
