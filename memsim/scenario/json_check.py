"""Reading and checking JSON files: one checker for scenarios and recordings.

Every rule that a file breaks is one clear line: where, and what must be. A :class:`Checker` raises the error
of its format. What a format allows is said beside its reader (:mod:`memsim.scenario.scenario`,
:mod:`memsim.recordings.schema`).
"""

from __future__ import annotations

import json
import stat
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from memsim.errors import errno_number

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from memsim.errors import MemsimError


def why_unread(path: str | Path, problem: OSError) -> str:
    """Say why a file cannot be read, and which files beside it have a similar name if it is not there."""
    near = ""
    if isinstance(problem, FileNotFoundError):
        try:
            names = [each.name for each in Path(path).parent.iterdir()]
        except OSError:
            names = []
        similar = get_close_matches(Path(path).name, names, 3, 0.7)
        near = f"; similar names there: {', '.join(similar)}" if similar else ""
    return f"{path}: cannot be read: {problem.strerror}{near}"


def read_json(path: str | Path, error: type[MemsimError]) -> object:
    """Read a JSON file; what cannot be read raises ``error`` with one clear line."""
    try:
        refuse_device(path)
        return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as problem:
        msg = why_unread(path, problem)
        raise error(msg) from None
    except UnicodeDecodeError:
        msg = f"{path}: is not UTF-8 text"
        raise error(msg) from None
    except json.JSONDecodeError as problem:
        msg = f"{path}: is not JSON: {problem.msg} in line {problem.lineno}"
        raise error(msg) from None
    except ValueError as problem:  # such as a number with too many digits
        msg = f"{path}: is not JSON that can be read: {problem}"
        raise error(msg) from None
    except RecursionError:
        msg = f"{path}: is not JSON that can be read: nested too deeply"
        raise error(msg) from None
    except MemoryError:
        msg = f"{path}: is not JSON that can be read: this machine has not enough memory for it"
        raise error(msg) from None


def refuse_device(path: str | Path) -> None:
    """Raise OSError for a device, which may have no end; a terminal has one."""
    mode = Path(path).stat().st_mode
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not _is_terminal(path)):
        raise OSError(errno_number("EINVAL"), "it is a device, not a file", str(path))


def _is_terminal(path: str | Path) -> bool:
    with Path(path).open("rb", buffering=0) as file:
        return file.isatty()


def _no_number(constant: str) -> None:
    """Refuse what Python reads and JSON does not have."""
    msg = f"{constant} is not a number in JSON"
    raise ValueError(msg)


def is_number(value: object) -> bool:
    """Return whether a JSON value is a whole number.

    >>> is_number(-1), is_number(True), is_number(1.0)
    (True, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool)


def is_bool(value: object) -> bool:
    """Return whether a JSON value is true or false."""
    return isinstance(value, bool)


def is_text(value: object) -> bool:
    """Return whether a JSON value is a string."""
    return isinstance(value, str)


def is_pair(value: object) -> bool:
    """Return whether a JSON value is a list of two values."""
    return isinstance(value, list) and len(value) == 2  # noqa: PLR2004 (a pair)


def is_list_of(fits: Callable[[Any], bool]) -> Callable[[object], bool]:
    """Return a test for lists whose parts all pass a test."""
    return lambda value: isinstance(value, list) and all(map(fits, value))


class Checker:
    """Checks parts of a JSON document, and raises the error of its format.

    >>> from memsim.errors import BadScenario
    >>> Checker(BadScenario).only_keys({"stepp": 1}, {"step"}, "x.json")
    Traceback (most recent call last):
    memsim.errors.BadScenario: x.json: unknown key 'stepp'; known are step
    """

    def __init__(self, error: type[MemsimError]) -> None:
        """Take the error to raise."""
        self.error = error

    def fail(self, where: str, rule: str) -> NoReturn:
        """Refuse the file."""
        msg = f"{where} {rule}"
        raise self.error(msg)

    def mapping(self, value: object, where: str) -> dict[str, Any]:
        """Return a JSON object; anything else is refused."""
        if not isinstance(value, dict):
            self.fail(where, "must be a JSON object")
        return value

    def only_keys(self, mapping: dict[str, Any], allowed: Collection[str], where: str) -> None:
        """Refuse keys that the format does not know."""
        unknown = sorted(set(mapping) - set(allowed))
        if unknown:
            self.fail(f"{where}:", f"unknown key {unknown[0]!r}; known are {', '.join(sorted(allowed))}")

    def must(self, fits: bool, where: str, key: str, rule: str) -> None:  # noqa: FBT001 (what is tested comes first)
        """Refuse a value that does not fit."""
        if not fits:
            self.fail(f"{where}: {key!r}", rule)

    def need(self, mapping: object, keys: dict[str, Callable[[Any], bool]], where: str) -> None:
        """Refuse what is not an object, or lacks a key, or has a value of another kind there."""
        found = self.mapping(mapping, where)
        for key, fits in keys.items():
            good = key in found and fits(found[key])
            self.must(good, where, key, f"is missing or wrong: {found.get(key)!r}")
