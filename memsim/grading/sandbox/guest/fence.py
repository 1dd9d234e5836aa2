"""What a worker does to itself before it reads anything of a student: it gives up what it could do.

Behind every fence it joins an empty keyring, closes its memory to other processes and keeps only the system
calls of :mod:`memsim.grading.sandbox.guest.seccomp`; as root it also becomes a user of its own. Without
bubblewrap it also gives up, by Landlock, every file that is not listed and the right to write any; and each
process that answers gives up signals to the worker (:func:`leave_others_alone`).
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
from typing import Any, NamedTuple

from memsim.grading.sandbox.guest import seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _SIGKILL = 1, 4, 38, 9
_KEYCTL, _JOIN_SESSION_KEYRING = {"x86_64": 250, "aarch64": 219}, 1
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULES_VERSION = 1
_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_RIGHTS = 16
"""Rights on files of version 5, and all that this version has."""
_SCOPES, _SCOPES_VERSION = 0b11, 6
"""Abstract sockets and signals, since Linux 6.12."""


class Scope(NamedTuple):
    """What a process that answers has to give up, besides what its worker has."""

    fenced: bool
    ruleset: int | None = None
    """Landlock's rules for signals, without a namespace for processes."""


def fence_in(setting: dict[str, Any]) -> Scope:
    """Give up all that ``setting`` tells to give up; return what :func:`leave_others_alone` takes.

    Raises
    ------
    OSError
        The system does not let it. Then there is no fence, and nothing of a student may run.
    """
    ruleset = None
    if not setting["fenced"]:
        return Scope(fenced=False)
    libc = _libc()
    _empty_keyring(libc)
    if "uid" in setting:
        become(setting["uid"])
    _die_with_parent(libc)  # only now: a change of user forgets it
    if "readable" in setting:
        _checked(libc, libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        ruleset = _landlock(libc, setting["readable"])
    _checked(libc, libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    seccomp.load(libc)
    return Scope(fenced=True, ruleset=ruleset)


def leave_others_alone(scope: Scope, *, processes: int) -> None:
    """Give up signals to all but the own processes, and what only several processes need if there is one."""
    if not scope.fenced:
        return
    libc = _libc()
    if scope.ruleset is not None:
        _checked(libc, libc.syscall(_RESTRICT_SELF, scope.ruleset, 0))
        os.close(scope.ruleset)
    if not processes:
        seccomp.load_for_one_process(libc)


def _empty_keyring(libc: Any) -> None:
    """Leave the keys of the account that runs the grader; where the system refuses, the filter has to do."""
    number = _KEYCTL.get(os.uname().machine)
    if number:
        libc.syscall(number, _JOIN_SESSION_KEYRING, None)


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


def _landlock(libc: Any, readable: list[str]) -> int:
    """Leave only these files and folders readable, and nothing writable; return a ruleset for signals."""
    version = libc.syscall(_CREATE_RULESET, None, 0, _RULES_VERSION)
    if version < _SCOPES_VERSION:
        msg = "Landlock has no scope for signals: that needs Linux 6.12"
        raise OSError(errno.ENOSYS, msg)
    handled = ((1 << _RIGHTS) - 1).to_bytes(8, "little")
    rules = _checked(libc, libc.syscall(_CREATE_RULESET, handled, 8, 0))
    for name in readable:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            fd = os.open(name, os.O_PATH | os.O_CLOEXEC)
            rights = _EXECUTE | _READ_FILE | (_READ_DIR if os.path.isdir(name) else 0)
            rule = rights.to_bytes(8, "little") + fd.to_bytes(4, "little")
            _checked(libc, libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0))
            os.close(fd)
    _checked(libc, libc.syscall(_RESTRICT_SELF, rules, 0))
    os.close(rules)
    scoped = bytes(16) + _SCOPES.to_bytes(8, "little")
    return _checked(libc, libc.syscall(_CREATE_RULESET, scoped, len(scoped), 0))
