"""The values that travel between grader and worker: exact built-in types that JSON knows.

A value that only looks like one, a subclass with an ``__eq__`` of its own for instance, does not
travel. Nothing is compared before its type has been checked.
"""

from __future__ import annotations

import math
import types
from typing import Any, Union, get_args, get_origin

Json = Union[int, float, str, bool, None, list["Json"], dict[str, "Json"]]  # noqa: UP007 (recursive)

_SHOWN = 120
_SIMPLE = (int, str, bool)
_UNIONS = (Union, types.UnionType)


def problem(value: object, wanted: Any, depth: int = 0) -> str | None:
    """Return what keeps ``value`` from being of the type ``wanted``, or None.

    >>> problem([10, 10], list[int]) is None
    True
    >>> problem([True], list[int])
    'item 0 is a bool (True), not an int'
    >>> problem({"free": None}, dict[str, int | None]) is None
    True
    """
    if get_origin(wanted) in _UNIONS:
        return _problem_of_union(value, get_args(wanted), depth)
    kind = get_origin(wanted) or wanted
    if kind is None:
        kind = type(None)
    if type(value) is not kind:
        return _other_type(value, _a(name_of(wanted)), depth)
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {value}, not a number"
    return _problem_inside(value, get_args(wanted), depth)


def _problem_of_union(value: object, kinds: tuple[Any, ...], depth: int) -> str | None:
    """Return None if one of the kinds fits, else what is wrong for the one that is nearest."""
    problems = [problem(value, kind, depth) for kind in kinds]
    if None in problems:
        return None
    same = [p for p, kind in zip(problems, kinds, strict=True) if type(value) is (get_origin(kind) or kind)]
    if same:
        return same[0]
    wanted = " or ".join(_a(name_of(kind)) for kind in kinds)
    return _other_type(value, wanted, depth)


def _other_type(value: object, wanted: str, depth: int) -> str:
    return f"{'' if depth else 'it '}is {_a(type(value).__name__)} ({shown(value)}), not {wanted}"


def _problem_inside(value: object, inner: tuple[Any, ...], depth: int) -> str | None:
    """Look at the items of a list or the entries of a dict."""
    if isinstance(value, list | dict) and inner and _all_are(value, inner):
        return None
    if isinstance(value, list) and inner:
        for number, item in enumerate(value):
            wrong = problem(item, inner[0], depth + 1)
            if wrong:
                return _within(f"item {number}", wrong)
    elif isinstance(value, dict) and inner:
        for key, item in value.items():
            wrong = problem(key, inner[0], depth + 1)
            if wrong:
                return _within(f"the key {shown(key)}", wrong)
            wrong = problem(item, inner[1], depth + 1)
            if wrong:
                return _within(f"the value of {shown(key)}", wrong)
    return None


def _all_are(value: list[Any] | dict[Any, Any], inner: tuple[Any, ...]) -> bool:
    """Return whether all items are of one simple type, as they are in most answers; that is seen quickly."""
    parts = (
        ((value.keys(), inner[0]), (value.values(), inner[1]))
        if isinstance(value, dict)
        else ((value, inner[0]),)
    )
    return all(kind in _SIMPLE and set(map(type, items)) <= {kind} for items, kind in parts)


def _within(where: str, wrong: str) -> str:
    return f"{where}{'' if wrong.startswith('is') else ':'} {wrong}"


def name_of(wanted: Any) -> str:
    """Return a type as it is written.

    >>> name_of(list[int]), name_of(dict[str, int | None]), name_of(None)
    ('list[int]', 'dict[str, int | None]', 'None')
    """
    return wanted.__name__ if type(wanted) is type else str(wanted)


def shown(value: object) -> str:
    """Return a value as text that fits into a sentence and can be printed anywhere.

    >>> shown(list(range(100)))[:20], len(shown("x" * 1000)) <= 120
    ('[0, 1, 2, 3, 4, 5, 6', True)
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError, MemoryError):  # an int of more digits than Python prints
        text = f"a {type(value).__name__} too large to be shown"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."


def _a(noun: str) -> str:
    """Return a noun with its article."""
    if noun in ("None", "NoneType"):
        return "None"
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
