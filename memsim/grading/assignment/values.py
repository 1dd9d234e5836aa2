"""The values that travel between grader and worker: exact built-in types that JSON knows.

A value that only looks like one, a subclass with an ``__eq__`` of its own for instance, does not
travel. Nothing is compared before its type has been checked.
"""

from __future__ import annotations

import math
import types
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = Union[int, float, str, bool, None, list["Json"], dict[str, "Json"]]  # noqa: UP007 (recursive)


class MayRaise(list[Any]):
    """The arguments of a call that may raise: ``answer = yield MayRaise([0])``.

    The test is sent a :class:`Raised` if it does. Any other call that raises fails its test.
    """


@dataclass(frozen=True)
class Raised:
    """What a call raised, instead of a value."""

    name: str
    kinds: tuple[str, ...]
    """The names of its class and of the built-in classes that this is derived from."""
    text: str

    def is_a(self, kind: type[BaseException]) -> bool:
        """Return whether an ``except`` clause for a built-in exception would have caught it.

        >>> Raised("KeyError", ("KeyError", "LookupError", "Exception"), "'x'").is_a(LookupError)
        True
        """
        return kind.__name__ in self.kinds


@dataclass(frozen=True)
class Like:
    """A type, and all that is like it: ``returns=Like(list[float])``.

    Tuples and arrays of numpy's count as lists, its numbers as Python's, and an int as a float where a float
    is wanted. The test is sent what the type says.
    """

    kind: Any


_SHOWN = 120
_SIMPLE = (int, str, bool)
_EXACT = 1 << 53
_UNIONS = (Union, types.UnionType)


def is_loose(wanted: Any) -> bool:
    """Return whether a value must be put into the form that JSON has before it travels."""
    return isinstance(wanted, Like) or "tuple[" in str(wanted)


def received(value: object, wanted: Any) -> tuple[Any, str | None]:
    """Return a value that has travelled as what is wanted, and what keeps it from being that.

    >>> received([1.5, 2.0], tuple[float, float])
    ((1.5, 2.0), None)
    >>> received([1, 2], Like(list[float]))
    ([1.0, 2.0], None)
    """
    if not is_loose(wanted):
        return value, problem(value, wanted)
    kind = wanted.kind if isinstance(wanted, Like) else wanted
    value = _shaped(value, kind, like=isinstance(wanted, Like))
    return value, problem(value, kind)


def _shaped(value: object, kind: Any, *, like: bool) -> Any:
    """Return a value with tuples where tuples are wanted, and floats where floats are."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in _UNIONS:
        tried = [(one, _shaped(value, one, like=like)) for one in inner]
        return next((made for one, made in tried if problem(made, one) is None), value)
    if kind is float and like and type(value) is int:
        return float(value) if abs(value) < _EXACT else value
    if origin is tuple and type(value) is list:
        kinds = (inner[0],) * len(value) if inner[1:] == (...,) else inner
        pairs = zip(value, kinds, strict=False) if len(kinds) == len(value) else ()
        return tuple(_shaped(item, one, like=like) for item, one in pairs) or tuple(value)
    if origin is list and type(value) is list:
        return [_shaped(item, inner[0], like=like) for item in value]
    if origin is dict and type(value) is dict:
        return {name: _shaped(item, inner[1], like=like) for name, item in value.items()}
    return value


def close(one: object, other: object, *, relative: float = 1e-9, absolute: float = 0.0) -> bool:
    """Return whether two values differ in their floats only, and in these by no more than a tolerance.

    >>> close([1.0, {"a": 0.3}], [1.0, {"a": 0.1 + 0.2}]), close([1.0], [1.0, 1.0])
    (True, False)
    """
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        same = type(one) is type(other) and len(one) == len(other)
        return same and all(
            close(a, b, relative=relative, absolute=absolute) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            close(value, other[name], relative=relative, absolute=absolute) for name, value in one.items()
        )
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=relative, abs_tol=absolute)
    return type(one) is type(other) and one == other


def problem(value: object, wanted: Any, depth: int = 0) -> str | None:
    """Return what keeps ``value`` from being of the type ``wanted``, or None.

    >>> problem([10, 10], list[int]) is None
    True
    >>> problem([True], list[int])
    'item 0 is a bool (True), not an int'
    >>> problem({"free": None}, dict[str, int | None]) is None
    True
    >>> problem(float("nan"), float)
    'is nan, not a number'
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
    """Look at the items of a list or tuple, or the entries of a dict."""
    if isinstance(value, list | dict) and inner and _all_are(value, inner):
        return None
    if isinstance(value, tuple) and inner and inner[1:] != (...,) and len(inner) != len(value):
        return f"has {len(value)} items, not {len(inner)}"
    for where, item, kind in _parts(value, inner):
        wrong = problem(item, kind, depth + 1)
        if wrong:
            return _within(where(), wrong)
    return None


def _parts(value: object, inner: tuple[Any, ...]) -> Iterator[tuple[Callable[[], str], object, Any]]:
    """Return where each part of a value is, the part, and its type."""
    if isinstance(value, list | tuple) and inner:
        each = isinstance(value, list) or inner[1:] == (...,)
        for number, item in enumerate(value):
            yield partial("item {}".format, number), item, inner[0 if each else number]
    elif isinstance(value, dict) and inner:
        for key, item in value.items():
            yield partial(_named, "the key {}", key), key, inner[0]
            yield partial(_named, "the value of {}", key), item, inner[1]


def _named(text: str, key: object) -> str:
    return text.format(shown(key))


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
        text = repr(_beginning(value))
    except (ValueError, RecursionError, MemoryError):  # an int of more digits than Python prints
        text = f"a {type(value).__name__} too large to be shown"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."


def _beginning(value: object) -> object:
    """Return as much of a value as is shown: an answer may be a list of all pages of a machine.

    >>> len(_beginning([0] * 100_000)), _beginning({"free": [1, 2]})
    (120, {'free': [1, 2]})
    """
    if type(value) is str or type(value) is bytes:
        return value[:_SHOWN]
    if type(value) is list or type(value) is tuple:
        return type(value)(map(_beginning, value[:_SHOWN]))
    if type(value) is dict:
        return {key: _beginning(item) for key, item in islice(value.items(), _SHOWN)}
    return value


def _a(noun: str) -> str:
    """Return a noun with its article."""
    if noun in ("None", "NoneType"):
        return "None"
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
