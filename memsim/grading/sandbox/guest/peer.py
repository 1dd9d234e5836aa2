"""One of two processes that work on each other's objects through the grader.

In the one the student's notebook has been executed, in the other the test cells of the teacher are. Values
travel as copies of exact built-in types; everything else stays where it is, and the other side holds a
handle. A handle can be called, and its attributes and items can be asked for. What a call prints comes back
with its value, and what the test does to a name of the student's is done there before the next call.

An object of the student's cannot be compared, nor computed with: the student's code would decide that, and
would be given what was expected. Then the test says that it cannot be judged safely. What an object of a
class that the solution defines says of itself, and of which class it is, are values like others.

The text of this file is executed by a cell, so it imports nothing of memsim.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import io
import math
import numbers
import queue
import sys
import sysconfig
import threading
import types
import zlib
from typing import Any

_DEEPEST = 40
_DTYPES = "biufc"
_TEXT = 500
_LARGEST, _MOST_BITS = 1 << 63, 1 << 16
"""Of ints that travel as they are, and of others: more decimal digits than JSON may have take too long."""
_MOST_PRINTED, _MOST_SHOWN = 1 << 16, 4000
"""Letters that are printed in one call and travel with its value; and that the grader is shown of all."""
_MOST_HEARD = 400
"""Of the questions that a report tells of."""
_MISSING = object()
_BUILTINS = """
abs all any ascii bin bool bytes callable chr complex dict divmod filter float frozenset hash hex int len list
map max min oct ord pow print range repr reversed round set sorted str sum tuple zip
"""
_OPERATORS = """
abs add and_ concat contains countOf eq floordiv ge gt index indexOf inv invert is_ is_not le lshift lt matmul
mod mul ne neg not_ or_ pos pow rshift sub truediv truth xor
"""
_ARRAYS = "argmax argmin cumsum dot max mean median min prod sort std sum var"
_GIVEN = {"builtins": _BUILTINS.split(), "_operator": _OPERATORS.split(), "numpy": _ARRAYS.split()}
"""What a test may give to the student's side: functions that compute, and reach nothing else."""
_GIVEN_MODULES = frozenset({"math", "cmath", "statistics", "_statistics"})
_PLAIN = frozenset({list, dict, set, str, bytes, int, float})
_CONTAINERS = frozenset({list, tuple, set, frozenset, dict, bytes})
_FORMATS = frozenset({"format", "format_map"})
"""A template of the student's would look into what it formats."""
_ENDS_LOOPS = (StopIteration, StopAsyncIteration)
"""A loop over ``map(function, ...)`` takes these for its end."""


def _large(text: str) -> int:
    """Return an int that was written in hexadecimal digits."""
    if len(text) > _MOST_BITS // 4 + 2:
        msg = "an int without end"
        raise ValueError(msg)
    return int(text, 16)


_FROM_TEXT: dict[str, Any] = {"int": _large, "float": float, "complex": complex, "bytes": bytes.fromhex}


_EXECUTING = frozenset({"code.__new__", "compile", "marshal.loads", "pickle.find_class"})
"""What Python says that it does before it executes what was sent."""
_MAY_BE_TEXT = frozenset({"bytes", "int", "list", "tuple", "dict", "array"})
"""Values that ``bytes()``, ``to_bytes()`` or ``"".join()`` makes a text of."""
_OWN_TEXTS = frozenset(
    f"{sysconfig.get_path('stdlib')}/{name}.py" for name in ("ast", "collections/__init__", "dataclasses")
)
"""Parts of Python's library that execute texts which they have put together, or only parse one."""
_TIMEIT = f"{sysconfig.get_path('stdlib')}/timeit.py"
_TIMED = frozenset({"pass", "_stmt()", "_setup()"})
"""What it has for nothing, and for a function that it is given."""
_SAFE_SQUARE = 1e154
"""Of greater numbers the square is infinite, and the difference of two squares is no number."""
_COARSE = 1e5
"""Numbers of 16 bits end below: what is compared with one is rounded to three digits first."""
_MUTABLE = (list, dict, set)


class _Printed(io.StringIO):
    """What a call prints, cut: the rest is read and forgotten, so that it takes no memory."""

    def write(self, text: str) -> int:
        """Take what is printed."""
        super().write(text[: max(0, _MOST_PRINTED - self.tell())])
        return len(text)


class Unsafe(BaseException):
    """A test needs a live object of the student's: nothing that ``except Exception`` may swallow."""


def _is_hollow(value: Any) -> bool:
    """Return whether a value that has travelled is empty, no number, or so large that its square is none.

    The value is looked at, and not how it was written: ``NAN`` and ``nan`` are one.
    """
    kind = type(value)
    if kind is str:
        return not value.strip()
    if kind in (int, float):
        return not abs(value) <= _SAFE_SQUARE
    if kind is complex:
        return _is_hollow(value.real) or _is_hollow(value.imag)
    if kind in _CONTAINERS:
        return not value
    if kind.__module__ != "numpy" or not hasattr(value, "dtype"):
        return False
    return not value.size or _is_coarse(value)


def _is_coarse(array: Any) -> bool:
    """Return whether numbers of numpy's have three digits only, squares too large for their type, or no sign.

    Of two numbers without a sign the difference is never less than 0, so that any order of them rises.
    """
    numpy = sys.modules["numpy"]
    kind, dtype = array.dtype.kind, array.dtype
    if kind == "b":
        return False
    if kind in "fc":
        most = numpy.finfo(dtype).max
        return bool(most < _COARSE) or not bool((numpy.abs(array) <= numpy.sqrt(most)).all())
    most = math.isqrt(int(numpy.iinfo(dtype).max))
    return kind == "u" or int(array.max()) > most or int(array.min()) < -most


def _is_mutable(value: Any) -> bool:
    return type(value) in _MUTABLE or type(value).__name__ == "ndarray"


def _become(mine: Any, theirs: Any) -> None:
    """Give a list, a dict, a set or an array of the test's the value of another one of its type."""
    if type(mine) is not type(theirs) or not _is_mutable(mine):
        return
    if type(mine) in (dict, set):
        mine.clear()
        mine.update(theirs)
    elif type(mine) is list or mine.shape == theirs.shape:
        mine[:] = theirs


class StudentError(Exception):
    """An exception of the student's that is of no built-in kind."""


class Handle:
    """An object of the other side."""

    def __init__(self, peer: Peer, number: int, kind: str) -> None:
        """Stand for the object of this number."""
        self.__dict__.update(_peer=peer, _number=number, _kind=kind, _named="")

    def __getattr__(self, name: str) -> Any:
        """Ask for an attribute; one that only Python asks for is not there."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = self._peer.ask({"op": "get", "object": self._number, "name": name})
        return self._counted(found) if self._kind not in self._peer.classes else found

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute there."""
        self._peer.ask({"op": "set", "object": self._number, "name": name, "value": self._peer.pack(value)})

    def __getitem__(self, key: Any) -> Any:
        """Ask for an item."""
        return self._peer.ask({"op": "item", "object": self._number, "key": self._peer.pack(key)})

    def __len__(self) -> int:
        """Ask for the length."""
        return int(self._counted(self._peer.ask({"op": "len", "object": self._number})))

    def _counted(self, size: Any) -> Any:
        """Note a size of nothing or less: a loop over as many items looks at none."""
        self._peer.hollow += type(size) is int and size <= 0
        return size

    def __iter__(self) -> Any:
        """Ask for all items at once."""
        return iter(self._peer.ask({"op": "list", "object": self._number}))

    def __repr__(self) -> str:
        """Return what it is, without asking it."""
        return f"<{self._kind} of the student's>"

    def __str__(self) -> str:
        """Return what an object of the solution's classes says of itself; of others what they are."""
        return self._peer.text_of(self) if self._kind in self._peer.classes else repr(self)

    def _refuse(self, *_: object) -> Any:
        self._peer.refuse(f"it compares an object of the class {self._kind}")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __contains__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = __abs__ = _refuse
    __float__ = __int__ = __index__ = _refuse

    def __hash__(self) -> int:
        """Refuse: a dict compares what has one hash."""
        self._refuse()
        return 0


class FunctionHandle(Handle):
    """A function or a class of the other side."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call it there."""
        pack = self._peer.pack
        packed = {name: pack(value) for name, value in named.items()}
        asked = {"op": "call", "object": self._number, "args": [pack(arg) for arg in args], "named": packed}
        return self._peer.ask(asked, [*args, *named.values()], self._named)


class Peer:
    """The side that executes this file."""

    def __init__(self, names: dict[str, Any], *, judges: bool) -> None:
        """``judges`` is the teacher's side: the other one may only call what it was given."""
        self.names, self.judges = names, judges
        self.kept: list[Any] = []
        self.waiting: list[queue.Queue[Any]] = []
        self.foreign: list[Exception] = []
        self.out: queue.Queue[dict[str, Any]] = queue.Queue()
        self.unsafe = ""
        self.shown = _MOST_SHOWN
        """How many letters the grader is still shown of what is printed."""
        self.hollow = 0
        """How many values of the student's side were empty, or no numbers: there a test finds no fault."""
        self.full = 0
        """How many values of it were others; a list counts as what is in it."""
        self.heard: dict[str, list[int]] = {}
        """By what was asked of a function: how many values were hollow, how many were not, and how often."""
        self.quoted = False
        """Whether a text of the student's came: it may say what a test asked, so no message repeats it."""
        self.numbers: dict[int, int] = {}
        self.handles: dict[int, Handle] = {}
        self.seen: dict[str, Any] = {}
        self.raisable: dict[str, type[Exception]] = {}
        self.classes: frozenset[str] = frozenset()
        self.restores = True
        """Whether what a function of the student's has done to its arguments is done to the test's."""
        self.changed: dict[str, int] = {}
        """How often each argument of a function was changed."""
        self.worded = False
        """Whether a text of the student's came, or what could be made one, which a test may execute."""
        self.texts: frozenset[bytes] = frozenset()
        """What stands in the test as a text."""
        self.running = False
        """Whether the test is executed."""
        self.told: dict[str, Any] = {}
        """What an object of the student's has said since something was called last: it says so again."""

    def step(self, message: dict[str, Any]) -> dict[str, Any]:
        """Take a message of the grader's, and return what to do next."""
        if "do" in message:
            threading.Thread(target=self._run, args=(message["do"],), daemon=True).start()
        else:
            self.waiting.pop().put(message["answer"])
        return self.out.get()

    def ask(self, operation: dict[str, Any], given: list[Any] | None = None, name: str = "") -> Any:
        """Let the other side do something, and return what came of it.

        ``given`` are a call's arguments; ``name`` is what the test calls the function by, if it has a name.
        """
        question = repr(operation)
        mine: queue.Queue[Any] = queue.Queue()
        operation |= self._changes()
        self.waiting.append(mine)
        self.out.put({"ask": operation})
        answer = mine.get()
        if self.judges and type(answer.get("printed")) is str:
            self.quoted = self.worded = True
            sys.stdout.write(answer["printed"])
        if self.judges:
            self._compare(operation, question, answer)
            self._restore(given or [], answer.get("changed"), name)
        if "raised" in answer:
            raise self._exception(answer)
        hollow, full = self.hollow, self.full
        try:
            return self.unpack(answer["done"])
        finally:
            if name:  # what has none has only a number, which depends on what else that side has kept
                asked = repr([name, operation["args"], operation["named"]])
                self._hear(asked, self.hollow - hollow, self.full - full)

    def _hear(self, question: str, hollow: int, full: int) -> None:
        """Note how much there was in the answer to a question, and that it was asked once more."""
        short = f"{zlib.crc32(question.encode('utf-8', 'backslashreplace')):x}"
        if short in self.heard or len(self.heard) < _MOST_HEARD:
            before = self.heard.get(short, [0, 0, 0])
            self.heard[short] = [before[0] + hollow, before[1] + full, before[2] + 1]

    def _compare(self, operation: dict[str, Any], question: str, answer: dict[str, Any]) -> None:
        """Note where an object says now this and now that of itself, though nothing was called meanwhile.

        Where it has another length than items, a test that looks at both looks at the fewer.
        """
        kind, done = operation["op"], answer.get("done")
        if kind in ("call", "set"):
            self.told.clear()
        if kind in ("call", "set") or "done" not in answer:
            return
        self.hollow += self.told.setdefault(question, done) != done
        if kind in ("len", "list"):
            items = done.get("v") if type(done) is dict else done
            size = len(items) if type(items) is list else done
            self.hollow += self.told.setdefault(f"size {operation['object']}", size) != size

    def _restore(self, given: list[Any], changed: Any, name: str) -> None:
        """Do to the arguments of a call what the student's side has done to its copies of them."""
        for place, packed in changed if type(changed) is list else ():
            argument = f"{name} {int(place)}"
            self.changed[argument] = self.changed.get(argument, 0) + 1
            if self.restores:
                _become(given[place], self.unpack(packed))

    def refuse(self, why: str) -> None:
        """Give up: the test cannot be judged safely."""
        self.unsafe = self.unsafe or why
        raise Unsafe(why)

    def watch(self, event: str, args: tuple[Any, ...]) -> None:
        """Refuse that a test executes a text when it has heard one of the student's: it may be that one.

        A tree of syntax was a text, and bytes may have been numbers. What stands in the test may be executed.
        """
        if event not in _EXECUTING or not (self.worded and self.running):
            return
        source = args[0].encode("utf-8", "replace") if type(args[0]) is str else args[0]
        if type(source) is bytes and source in self.texts:
            return
        at: types.FrameType | None = sys._getframe(1)  # noqa: SLF001 (who executes it)
        if at is None or at.f_code.co_filename in _OWN_TEXTS or self._is_timed(at):
            return
        while at is not None:
            if at.f_code.co_filename.startswith("<frozen importlib"):  # a module is imported
                return
            at = at.f_back
        self.refuse("it executes a text or an object that may be the student's")

    def _is_timed(self, at: types.FrameType) -> bool:
        """Return whether ``timeit`` puts together a text of functions and of what stands in the test."""
        if at.f_code.co_filename != _TIMEIT:
            return False
        parts = [at.f_locals.get(name) for name in ("stmt", "setup")]
        return all(callable(part) or part in _TIMED or str(part).encode() in self.texts for part in parts)

    def _changes(self) -> dict[str, Any]:
        """Return what the test has done to the student's names since it asked last."""
        changed = {
            name: self.names.get(name, _MISSING)
            for name, value in self.seen.items()
            if self.names.get(name, _MISSING) is not value
        }
        self.seen |= changed
        return {"set": {name: self._packed_name(value) for name, value in changed.items()}} if changed else {}

    def _packed_name(self, value: Any) -> Any:
        return {"t": "missing"} if value is _MISSING else self.pack(value)

    def _take_changes(self, changes: dict[str, Any]) -> None:
        for name, packed in changes.items():
            if type(packed) is dict and packed.get("t") == "missing":
                self.names.pop(name, None)
            else:
                self.names[name] = self.unpack(packed)

    def _run(self, operation: dict[str, Any]) -> None:
        try:
            made = self._done(operation)
        except BaseException as problem:  # noqa: BLE001 (there may be no memory left)
            made = self._described(problem)
        self.out.put(made)  # step() waits for it

    def _done(self, operation: dict[str, Any]) -> dict[str, Any]:
        printed = _Printed()
        shown = sys.stdout
        is_test = operation["op"] == "test"
        try:
            with contextlib.nullcontext() if is_test else contextlib.redirect_stdout(printed):
                made = {"done": self._test(operation) if is_test else self._do(operation)}
        except BaseException as problem:  # noqa: BLE001 (whatever anybody's code raises)
            made = self._described(problem)
        if operation.get("changed"):
            made["changed"] = operation["changed"]
        text = printed.getvalue()
        if text:
            shown.write(text[: self.shown])
            self.shown -= len(text[: self.shown])
            made["printed"] = text
        return made

    def _described(self, problem: BaseException) -> dict[str, Any]:
        kinds = [kind.__name__ for kind in type(problem).__mro__ if kind.__module__ == "builtins"]
        try:
            text = str(problem)[:_TEXT]
        except BaseException:  # noqa: BLE001 (a __str__ of the student's)
            text = ""
        own = [kind.__name__ for kind in type(problem).__mro__ if kind.__module__ != "builtins"]
        return {"raised": [type(problem).__name__, *kinds], "text": text, "own": own}

    def _exception(self, answer: dict[str, Any]) -> Exception:
        """Return what the other side has raised, as the built-in exception that it is a kind of."""
        text = str(answer.get("text", ""))[:_TEXT]
        own = next((name for name in list(answer.get("own", ()))[:20] if name in self.raisable), None)
        if own is not None:
            with contextlib.suppress(TypeError):
                return self._theirs(self.raisable[own](text))
        for name in list(answer["raised"])[:20]:
            kind = getattr(builtins, str(name), None)
            if (
                isinstance(kind, type)
                and issubclass(kind, Exception)
                and kind not in (Exception, *_ENDS_LOOPS)
            ):
                with contextlib.suppress(TypeError):
                    return self._theirs(kind(text))
        return self._theirs(StudentError(f"{str(answer['raised'][0])[:80]}: {text}"))

    def _theirs(self, problem: Exception) -> Exception:
        """Note that an exception is the other side's: its text may hold what a hidden test has asked."""
        self.foreign.append(problem)
        self.worded = True
        return problem

    def _told(self, problem: BaseException) -> str:
        """Return what a student may read of an exception that ended a test: the teacher's texts only."""
        if any(problem is one for one in self.foreign):
            return f"It raised {type(problem).__name__}."
        return (
            str(problem)
            if isinstance(problem, AssertionError)
            else f"It ended with {type(problem).__name__}."
        )

    def _do(self, operation: dict[str, Any]) -> Any:  # noqa: PLR0911 (one for each operation)
        """Do what the other side asks for."""
        kind = operation["op"]
        if self.judges and kind != "call":
            msg = f"{kind} is not for the student's side"
            raise PermissionError(msg)
        if not self.judges:
            self._take_changes(operation.get("set", {}))
        if kind == "look":
            return self._look(operation["name"])
        target = self.kept[operation["object"]]
        if kind == "call":
            args = [self.unpack(arg) for arg in operation["args"]]
            named = {name: self.unpack(arg) for name, arg in operation["named"].items()}
            return self._called(operation, target, args, named)
        if kind == "str":
            return self.pack(str(target))
        if kind == "get":
            return self.pack(getattr(target, operation["name"]))
        if kind == "set":
            setattr(target, operation["name"], self.unpack(operation["value"]))
            return None
        if kind == "item":
            return self.pack(target[self.unpack(operation["key"])])
        return self.pack(len(target) if kind == "len" else list(target))

    def _called(self, operation: dict[str, Any], target: Any, args: list[Any], named: dict[str, Any]) -> Any:
        """Call a function, and note which of its arguments it has changed."""
        given = {} if self.judges else dict(enumerate([*args, *named.values()]))
        before = {place: self.pack(value) for place, value in given.items() if _is_mutable(value)}
        try:
            return self.pack(target(*args, **named))
        finally:
            after = ((place, self.pack(given[place])) for place in before)
            operation["changed"] = [[place, made] for place, made in after if made != before[place]]

    def _look(self, name: str) -> Any:
        """Return a name of the notebook."""
        if name not in self.names:
            return {"t": "missing"}
        value = self.names[name]
        if type(value) is type(sys):
            return {"t": "module", "v": value.__name__}
        packed = self.pack(value)
        if isinstance(value, type) and issubclass(value, Exception):
            packed["raises"] = [kind.__name__ for kind in value.__mro__ if kind.__module__ == "builtins"]
        return packed

    # ---- values ------------------------------------------------------------------------------

    def pack(self, value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 (one for each kind of value)
        """Return a value as JSON; what is no plain value is kept, and its number goes."""
        kind = type(value)
        if value is None or kind in (bool, str) or (kind is int and -_LARGEST <= value < _LARGEST):
            return value
        if kind is int and value.bit_length() <= _MOST_BITS:
            return {"t": "int", "v": f"{value:x}"}
        if kind is float:
            return value if math.isfinite(value) else {"t": "float", "v": str(value)}
        if isinstance(value, Handle):
            return {"t": "yours", "v": value._number}  # noqa: SLF001 (ours)
        if depth < _DEEPEST and kind in (list, tuple, set, frozenset):
            return {"t": kind.__name__, "v": [self.pack(item, depth + 1) for item in value]}
        if depth < _DEEPEST and kind is dict:
            return {
                "t": "dict",
                "v": [[self.pack(k, depth + 1), self.pack(v, depth + 1)] for k, v in value.items()],
            }
        if kind is complex:
            return {"t": "complex", "v": str(value)}
        if kind is bytes:
            return {"t": "bytes", "v": value.hex()}
        return self._packed_array(value) or self._keep(value)

    def _packed_array(self, value: Any) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is None or type(value).__module__ != "numpy":
            return None
        array = numpy.asarray(value)
        if array.dtype.kind not in _DTYPES or type(value) is not (
            numpy.ndarray if array.ndim else type(array[()])
        ):
            return None
        flat = [self.pack(item) for item in array.ravel().tolist()]
        single = type(value) is not numpy.ndarray
        return {
            "t": "array",
            "v": flat,
            "shape": list(array.shape),
            "dtype": array.dtype.str,
            "single": single,
        }

    def _keep(self, value: Any) -> Any:
        if self.judges and not callable(value):
            self.refuse(f"it gives an object of the class {type(value).__name__} to the student's code")
        if self.judges and not self._harmless(value):
            name = getattr(value, "__name__", type(value).__name__)
            self.refuse(f"it gives {name}() to the student's code")
        number = self.numbers.setdefault(id(value), len(self.kept))
        if number == len(self.kept):
            self.kept.append(value)
        kinds = [kind.__name__[:80] for kind in type(value).__mro__]
        return {
            "t": "object",
            "v": number,
            "class": kinds[0],
            "kinds": kinds,
            "callable": callable(value),
        }

    def _harmless(self, value: Any) -> bool:
        """Return whether the student's side may call a function: one of the teacher's, or one that computes.

        Every other one may read, import or execute something where the test is and its report.
        """
        module, name = str(getattr(value, "__module__", "")), str(getattr(value, "__name__", ""))
        function = getattr(value, "__func__", value)
        if type(function) is types.FunctionType and function.__globals__ is self.names:
            return True
        if isinstance(value, type):
            own = module == self.names.get("__name__")
            return own or name in _GIVEN["builtins"] or issubclass(value, BaseException)
        of = type(getattr(value, "__self__", None)), getattr(value, "__objclass__", None)
        if set(of) & _PLAIN:  # such as [].append or str.upper
            return not name.startswith("_") and name not in _FORMATS
        if type(value).__module__ == "numpy" and type(value).__name__ == "ufunc":
            return True
        return name in _GIVEN.get(module, ()) or module in _GIVEN_MODULES

    def unpack(self, packed: Any) -> Any:
        """Return the value that the other side has sent, and note how much there is in it."""
        value = self._unpacked(packed)
        if self.judges and not isinstance(value, Handle):
            is_hollow = _is_hollow(value)
            self.hollow += is_hollow
            # Numbers of numpy's were counted one by one.
            self.full += not is_hollow and type(value) not in _CONTAINERS and not hasattr(value, "dtype")
        return value

    def _unpacked(self, packed: Any) -> Any:  # noqa: PLR0911 (one for each kind of value)
        if type(packed) is not dict:
            self.worded |= type(packed) is str
            return packed
        kind = packed["t"]
        self.worded |= kind in _MAY_BE_TEXT
        value: Any = packed.get("v")
        plain = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
        if kind in plain:
            return plain[kind](self.unpack(item) for item in value)
        if kind == "dict":
            return {self.unpack(name): self.unpack(item) for name, item in value}
        if kind in _FROM_TEXT:
            return _FROM_TEXT[kind](value)
        if kind == "array":
            return self._array(packed)
        if kind == "module":
            self.refuse(f"only the student's notebook imports {str(value)[:80]}")
        if kind == "yours":
            return self.kept[value]
        if kind == "missing":
            raise NameError
        return self._handle(packed)

    def _handle(self, packed: dict[str, Any]) -> Handle:
        """Return what stands for an object of the other side: one handle for one object."""
        number = int(packed["v"])
        if number not in self.handles:
            handle = FunctionHandle if packed["callable"] is True else Handle
            self.handles[number] = handle(self, number, str(packed["class"]))
            lists = {f"_{name}": list(packed.get(name, ())) for name in ("kinds", "raises")}
            self.handles[number].__dict__.update(lists)
        return self.handles[number]

    def _array(self, packed: dict[str, Any]) -> Any:
        numpy = importlib.import_module("numpy")
        dtype = numpy.dtype(packed["dtype"])
        if dtype.kind not in _DTYPES:
            msg = f"an array of {dtype}"
            raise TypeError(msg)
        array = numpy.array([self.unpack(item) for item in packed["v"]], dtype=dtype).reshape(packed["shape"])
        return array[()] if packed["single"] else array

    # ---- tests -------------------------------------------------------------------------------

    def _test(self, operation: dict[str, Any]) -> dict[str, Any]:
        """Execute a test cell on what the student's side has."""
        names = self.names
        self.classes = frozenset(operation.get("classes", ()))
        self.restores = operation.get("restores", True)
        sys.addaudithook(self.watch)
        again = {name for name in operation.get("again", ()) if name in names}
        for name in [name for name in operation["names"] if name not in again]:
            with contextlib.suppress(NameError):
                names[name] = self.seen[name] = self._looked_up(name)
        names["isinstance"], names["type"] = self._isinstance, self._type
        try:
            made: dict[str, Any] = {"passed": True, "number": self._execute(operation["code"])}
        except AssertionError as wrong:
            made = {"passed": False, "message": "" if self.quoted else self._told(wrong)[:_TEXT]}
            made["computed"] = all(wrong is not one for one in self.foreign)
        except BaseException as problem:  # noqa: BLE001 (whatever a test raises)
            made = {"passed": False, "message": self._told(problem)[:_TEXT]}
            if "FunctionHandle" in str(problem) or "Handle'" in str(problem):
                self.unsafe = self.unsafe or "it looks into a function or an object of the student's"
            if isinstance(problem, NameError) and not self._is_asked_for(problem, operation):
                self.unsafe = self.unsafe or f"it uses {problem.name}, of which its text does not tell"
            if isinstance(problem, ModuleNotFoundError):
                self.unsafe = self.unsafe or f"it needs the module {problem.name}, which is not there"
        noted = {"hollow": self.hollow, "heard": self.heard, "changed": self.changed}
        return made | {"unsafe": self.unsafe} | noted

    def _is_asked_for(self, problem: NameError, operation: dict[str, Any]) -> bool:
        """Return whether a name that is missing is one that the student should have defined."""
        return problem.name in operation["names"] or any(problem is one for one in self.foreign)

    def _looked_up(self, name: str) -> Any:
        """Return what the student has under a name; for a class of exceptions one that can be caught here."""
        found = self.ask({"op": "look", "name": name})
        if not isinstance(found, Handle):
            return found
        found.__dict__["_named"] = name
        if not found._raises:  # noqa: SLF001 (ours)
            return found
        kinds = [getattr(builtins, str(kind), None) for kind in found._raises]  # noqa: SLF001
        base = next((k for k in kinds if isinstance(k, type) and issubclass(k, Exception)), Exception)
        self.raisable[name] = type(name, (StudentError,), {})
        if not issubclass(base, (StudentError, *_ENDS_LOOPS)) and base is not Exception:
            with contextlib.suppress(TypeError):  # two that cannot be one
                self.raisable[name] = type(name, (StudentError, base), {})
        return self.raisable[name]

    def _execute(self, code: str) -> float | None:
        """Execute the cell; a number at its end is what nbgrader gives partial credit by."""
        tree = ast.parse(code)
        texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        sources = [text.encode("utf-8", "replace") for text in texts if type(text) is str]
        self.texts = frozenset([*sources, *(text.lstrip(b" \t") for text in sources)])  # as eval() does
        last = tree.body[-1] if tree.body else None
        number = None
        if isinstance(last, ast.Expr):
            tree.body.pop()
            number = compile(ast.Expression(last.value), "<test>", "eval", dont_inherit=True)
        cell = compile(tree, "<test>", "exec", dont_inherit=True)
        self.running = True
        exec(cell, self.names)  # noqa: S102 (the teacher's cell, behind the fence)
        if number is None:
            return None
        value = eval(number, self.names)  # noqa: S307 (the same)
        if type(value) is bool or not isinstance(value, numbers.Real):
            return None
        return float(value)

    # ---- objects of the solution's classes -------------------------------------------------------

    def text_of(self, handle: Handle) -> str:
        """Return what an object says of itself, which is a value of the student's like any other."""
        self.quoted = True
        text = self.ask({"op": "str", "object": handle._number})  # noqa: SLF001 (ours)
        return text if type(text) is str else repr(handle)

    def _isinstance(self, value: Any, kinds: Any) -> bool:
        named = kinds._named if isinstance(kinds, Handle) else ""  # noqa: SLF001 (ours)
        if isinstance(value, Handle) and named in self.classes:
            return named in value._kinds  # noqa: SLF001 (the class that the student's side names)
        if named in self.classes:
            return False
        if isinstance(value, Handle) or isinstance(kinds, Handle):
            self.refuse("it asks for the class of an object of the student's")
        return isinstance(value, kinds)

    def _type(self, *args: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], Handle):
            self.refuse("it asks for the class of an object of the student's")
        return type(*args)
