"""What a worker does to itself before it reads anything of a student: it gives up what it could do.

Behind every fence it joins an empty keyring, closes its memory to other processes and keeps only the system
calls of :mod:`memsim.grading.sandbox.guest.seccomp`; as root it also becomes a user of its own. Without
bubblewrap it leaves the network as well, and, by Landlock (Linux 5.13 and later), the sight of all files that
are not listed and the right to write any.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import Any

from memsim.grading.sandbox.guest import seccomp

_CLONE_NEWNET, _CLONE_NEWIPC, _CLONE_NEWPID = 0x40000000, 0x08000000, 0x20000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _SIGKILL = 1, 4, 38, 9
_KEYCTL, _JOIN_SESSION_KEYRING = {"x86_64": 250, "aarch64": 219}, 1
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULES_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_RIGHTS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_RIGHTS = 16

# Read before the door is closed: the separate user may not be able to reach Python's own folder.
_TAKEN_ALONG = (
    "abc",
    "ast",
    "bisect",
    "collections.abc",
    "contextlib",
    "copy",
    "ctypes",
    "dataclasses",
    "datetime",
    "decimal",
    "encodings.idna",
    "enum",
    "fcntl",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "numpy",
    "operator",
    "queue",
    "random",
    "re",
    "resource",
    "socket",
    "statistics",
    "string",
    "struct",
    "tempfile",
    "textwrap",
    "threading",
    "typing",
)


def fence_in(setting: dict[str, Any]) -> None:
    """Give up all that ``setting`` tells to give up.

    Raises
    ------
    OSError
        The system does not let it. Then there is no fence, and nothing of a student may run.
    """
    if not setting["fenced"]:
        return
    libc = _libc()
    if "readable" in setting:
        for name in _TAKEN_ALONG:
            importlib.import_module(name)
        _die_with_parent(libc)
        if setting.get("namespaces", True):
            _checked(libc, libc.unshare(_CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWPID))
            _be_the_first_process()
    _empty_keyring(libc)
    if "uid" in setting:
        become(setting["uid"])
    _die_with_parent(libc)  # only now: a change of user forgets it
    if "readable" in setting:
        _checked(libc, libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _landlock(libc, setting["readable"])
    _checked(libc, libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    seccomp.load(libc)


def _empty_keyring(libc: Any) -> None:
    """Leave the keys of the account that runs the grader; where the system refuses, the filter has to do."""
    number = _KEYCTL.get(os.uname().machine)
    if number:
        libc.syscall(number, _JOIN_SESSION_KEYRING, None)


def _be_the_first_process() -> None:
    """Go on as process 1 of a namespace: nothing in it can end it, and all of it ends with it."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        os._exit(0)


def _die_with_parent(libc: Any) -> None:
    _checked(libc, libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0))


def become(uid: int) -> None:
    """Become a user who owns nothing, for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _libc() -> Any:
    ctypes = importlib.import_module("ctypes")
    return ctypes.CDLL(None, use_errno=True)


def _checked(libc: Any, result: int) -> int:
    if result < 0:
        number = importlib.import_module("ctypes").get_errno()
        raise OSError(number, os.strerror(number), str(libc))
    return result


def _landlock(libc: Any, readable: list[str]) -> None:
    """Leave only these files and folders readable, and nothing writable."""
    version = libc.syscall(_CREATE_RULESET, None, 0, _RULES_VERSION)
    if version < 1:
        return  # an older kernel: the probe finds out what is open
    handled = (1 << _RIGHTS_OF_VERSION.get(version, _NEWEST_RIGHTS)) - 1
    rules = _checked(libc, libc.syscall(_CREATE_RULESET, handled.to_bytes(8, "little"), 8, 0))
    for name in readable:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            fd = os.open(name, os.O_PATH | os.O_CLOEXEC)
            rights = _EXECUTE | _READ_FILE | (_READ_DIR if os.path.isdir(name) else 0)
            rule = rights.to_bytes(8, "little") + fd.to_bytes(4, "little")
            _checked(libc, libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0))
            os.close(fd)
    _checked(libc, libc.syscall(_RESTRICT_SELF, rules, 0))
    os.close(rules)
