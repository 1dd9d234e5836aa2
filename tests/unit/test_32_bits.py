"""What must hold where an index is 32 bits wide, as it is on Python in a web browser (Pyodide).

``make test-32`` runs the tests of views and of the simulator on a 32-bit Debian. These tests refuse, on any
machine, the mistakes that broke every explorer and every errno there.
"""

import ast
import errno
from pathlib import Path

import memsim
from memsim.errors import KernelError, errno_number
from memsim.linux.include.errno import ERRNO, NAMES
from memsim.linux.include.notifier import NOTIFY_BAD, notifier_to_errno

SOURCES = sorted(Path(memsim.__file__).parent.rglob("*.py"))


def trees_with(word):
    """Yield (path, module) of each module in whose text a word stands."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if word in text:
            yield path, ast.parse(text)


def calls_of(tree, name):
    """Return the calls ``np.<name>(...)`` of a module."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"np.{name}", f"numpy.{name}"}
    ]


def test_bincount_is_given_indices():
    # It casts what it counts to intp and refuses an int64 array where intp is 32 bits wide.
    wrong = [
        f"{path}:{call.lineno}"
        for path, tree in trees_with("bincount")
        for call in calls_of(tree, "bincount")
        if ".astype(np.intp" not in ast.unparse(call.args[0])
    ]
    assert not wrong


def test_nothing_asks_python_for_the_numbers_of_kernel_errors():
    # grading talks to the operating system it runs on, which is where Python's numbers belong.
    asking = [
        str(path)
        for path, tree in trees_with("errno")
        if "grading" not in path.parts
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and any(alias.name == "errno" for alias in node.names)
    ]
    assert not asking


def test_numbers_are_those_of_linux_whatever_python_thinks(monkeypatch):
    for name in ("EPERM", "EBUSY", "EINVAL", "ENOMEM"):
        monkeypatch.setattr(errno, name, 63)
    assert [errno_number(name) for name in ("EPERM", "EINTR", "EBUSY", "EINVAL", "ENOSPC")] == [
        1,
        4,
        16,
        22,
        28,
    ]
    assert [errno_number(name) for name in ("ETXTBSY", "EHWPOISON", "ENOTSUPP")] == [26, 133, 524]
    assert KernelError("EBUSY", "f", "m").errno == 16
    assert (notifier_to_errno(NOTIFY_BAD), NAMES[1], NAMES[133]) == (1, "EPERM", "EHWPOISON")


def test_the_table_agrees_with_python_on_linux():
    for number, name in errno.errorcode.items():
        assert ERRNO.get(name, number) == number
        assert number in NAMES
