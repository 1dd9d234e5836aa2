"""The system calls that a worker and the code of a student may use; the kernel refuses every other one.

A namespace hides files, processes and networks, but not every object of the kernel: keyrings, file locks,
inotify, System V memory and message queues carry notes from one submission to the next. A list of what is
forbidden would have to grow with every kernel, so this is a list of what is allowed.
"""

from __future__ import annotations

import errno
import importlib
import os
import struct
from typing import Any, NamedTuple

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
"""Offsets in ``struct seccomp_data``."""
_X32 = 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_FILTER = 38, 22, 2
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The audit architecture, and the column below that numbers its system calls."""

_ALLOWED = """
access:21, arch_prctl:158, brk:12,214 capget:125,90 chdir:80,49 clock_getres:229,114 clock_gettime:228,113
clock_nanosleep:230,115 close:3,57 close_range:436,436 dup:32,23 dup2:33, dup3:292,24 epoll_create1:291,20
epoll_ctl:233,21 epoll_pwait:281,22 epoll_wait:232, eventfd2:290,19 execve:59,221 exit:60,93
exit_group:231,94 faccessat:269,48 faccessat2:439,439 fchdir:81,50 fork:57, fstat:5,80 get_mempolicy:239,236
get_robust_list:274,100 getcpu:309,168 getcwd:79,17 getdents:78, getdents64:217,61 getegid:108,177
geteuid:107,175 getgid:104,176 getgroups:115,158 getitimer:36,102 getpeername:52,205 getpgid:121,155
getpgrp:111, getpid:39,172 getppid:110,173 getpriority:140,141 getrandom:318,278 getresgid:120,150
getresuid:118,148 getrlimit:97,163 getrusage:98,165 getsid:124,156 getsockname:51,204 getsockopt:55,209
gettid:186,178 gettimeofday:96,169 getuid:102,174 kill:62,129 lseek:8,62 lstat:6, membarrier:324,283
mprotect:10,226 mremap:25,216 msync:26,227 munmap:11,215 nanosleep:35,101 newfstatat:262,79 open:2,
openat:257,56 pause:34, pipe:22, pipe2:293,59 poll:7, ppoll:271,73 pread64:17,67 pselect6:270,72
pwrite64:18,68 read:0,63 readlink:89, readlinkat:267,78 readv:19,65 recvfrom:45,207 recvmsg:47,212
restart_syscall:219,128 rseq:334,293 rt_sigaction:13,134 rt_sigpending:127,136 rt_sigprocmask:14,135
rt_sigreturn:15,139 rt_sigsuspend:130,133 rt_sigtimedwait:128,137 sched_getaffinity:204,123
sched_getparam:143,121 sched_getscheduler:145,120 sched_yield:24,124 select:23, sendmsg:46,211 sendto:44,206
set_tid_address:218,96 setitimer:38,103 setpgid:109,154 setrlimit:160,164 setsid:112,157 shutdown:48,210
sigaltstack:131,132 stat:4, statx:332,291 tgkill:234,131 time:201, times:100,153 umask:95,166 uname:63,160
vfork:58, wait4:61,260 waitid:247,95 write:1,64 writev:20,66 alarm:37, landlock_restrict_self:446,446
"""
"""``name:x86-64,arm64``, from ``asm/unistd_64.h`` and ``asm-generic/unistd.h``; empty where there is none.

``landlock_restrict_self`` can only take rights away, by rules that were made before."""

_REFUSED = {
    errno.EACCES: "socket:41,198",
    errno.EROFS: """
chmod:90, fchmod:91,52 ftruncate:77,46 link:86, linkat:265,37 memfd_create:319,279 mkdir:83, mkdirat:258,34
rename:82, renameat:264,38 renameat2:316,276 rmdir:84, symlink:88, symlinkat:266,36 truncate:76,45 unlink:87,
unlinkat:263,35
""",
}
"""What would be refused in any case, with the error that tells a student why; the rest is ENOSYS."""


class _Condition(NamedTuple):
    """A system call that is allowed only with some values of one argument."""

    numbers: tuple[int, int]
    argument: int
    values: tuple[int, ...]
    refusal: int


_BETWEEN_PROCESSES = "pipe:22, pipe2:293,59 socketpair:53,199 sendmsg:46,211"
_FUTEX, _PRIVATE = (202, 98), 0x80
_WAITING = (0, 9, 0x100, 0x109)
"""FUTEX_WAIT and FUTEX_WAIT_BITSET, with any clock: joining a thread waits on memory that may be shared."""
_CONDITIONS = (
    # madvise: no pages put together (MADV_COLLAPSE, MERGEABLE, HUGEPAGE) or put out of memory (PAGEOUT): it
    # is seen by others who read the same file, or write the same bytes
    _Condition((28, 233), 2, (0, 1, 2, 4, 8, 10, 11, 15, 16, 17, 18, 19), errno.EINVAL),
    # prctl: names, dumpable, death signal, capabilities, own filters; no scheduling, no merged memory
    _Condition((157, 167), 0, (1, 2, 3, 4, 15, 16, 21, 22, 23, 27, 38, 39, 0x53564D41), errno.EINVAL),
    # fcntl: copies of descriptors and their flags; no locks, leases, notifications or write hints
    _Condition((72, 25), 1, (0, 1, 2, 3, 4, 1030, 1032), errno.ENOLCK),
    # prlimit64: limits of the calling process only
    _Condition((302, 261), 0, (0,), errno.EPERM),
    # ioctl: what isatty(), set_blocking() and set_inheritable() ask
    _Condition((16, 29), 1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x540F), errno.ENOTTY),
)
_SOCKETPAIR, _AF_UNIX = (53, 199), 1
"""No datagrams, which could be sent to sockets with names; socket() itself is not allowed at all."""
_PAIRED = tuple(kind | flags for kind in (1, 5) for flags in (0, 0x800, 0x80000, 0x80800))
"""SOCK_STREAM and SOCK_SEQPACKET, with SOCK_NONBLOCK and SOCK_CLOEXEC."""
_CLONE, _NEW_NAMESPACES = (56, 220), 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET; clone3() is refused, as a filter
cannot read its flags, and libraries go on with clone()."""
_MMAP, _MAP_HUGETLB = (9, 222), 0x40000
"""Huge pages that the administrator has set aside belong to the whole machine."""


def load(libc: Any) -> None:
    """Restrict this process and those that it starts to the allowed system calls, for good.

    Raises
    ------
    OSError
        The kernel has no seccomp, or the processor is neither x86-64 nor arm64.
    """
    _load(libc, program(os.uname().machine))


def load_for_one_process(libc: Any) -> None:
    """Take away what only several processes need: pipes, pairs of sockets, and shared futexes.

    The inodes of pipes are numbered by a counter of the whole kernel: a hundred thousand of them leave some
    bits for the next one to read. A futex that is not private belongs to a page of a file, in all processes
    that map it.
    """
    column = _MACHINES[os.uname().machine][1]
    code = [(_LOAD, 0, 0, _NUMBER_AT)]
    for number in _numbers(_BETWEEN_PROCESSES, column):
        code += _case(number, [_refuse(errno.EPERM)])
    private = [_argument(1), (_ANY_BIT, 1, 0, _PRIVATE), _refuse(errno.EPERM), _allow()]
    _load(libc, [*code, *_case(_FUTEX[column], private), _allow()])


def _load(libc: Any, instructions: list[tuple[int, int, int, int]]) -> None:
    ctypes = importlib.import_module("ctypes")
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    filters = struct.pack("HP", len(instructions), ctypes.addressof(buffer))
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _SECCOMP_FILTER, filters, 0, 0)):
        if libc.prctl(*arguments) < 0:
            number = ctypes.get_errno()
            msg = f"the kernel loads no seccomp filter: {os.strerror(number)}"
            raise OSError(number, msg)


def program(machine: str) -> list[tuple[int, int, int, int]]:
    """Return the filter as BPF instructions ``(code, jump if true, jump if false, operand)``.

    >>> program("x86_64")[-1] == (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    True
    >>> program("riscv64")
    Traceback (most recent call last):
    OSError: [Errno 38] no list of system calls for a riscv64 processor
    """
    if machine not in _MACHINES:
        msg = f"no list of system calls for a {machine} processor"
        raise OSError(errno.ENOSYS, msg)
    architecture, column = _MACHINES[machine]
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        _refuse(errno.ENOSYS),
    ]
    for call, argument, bits in ((_CLONE, 0, _NEW_NAMESPACES), (_MMAP, 3, _MAP_HUGETLB)):
        test = [_argument(argument), (_ANY_BIT, 0, 1, bits), _refuse(errno.EPERM), _allow()]
        code += _case(call[column], test)
    futex = [_argument(1), (_ANY_BIT, 0, 1, _PRIVATE), _allow()]
    for waiting in _WAITING:
        futex += _case(waiting, [_allow()])
    code += _case(_FUTEX[column], [*futex, _refuse(errno.EPERM)])
    pair = [_argument(0), (_EQUAL, 1, 0, _AF_UNIX), _refuse(errno.EACCES), _argument(1)]
    for kind in _PAIRED:
        pair += _case(kind, [_allow()])
    code += _case(_SOCKETPAIR[column], [*pair, _refuse(errno.EACCES)])
    for condition in _CONDITIONS:
        test = [_argument(condition.argument)]
        for value in condition.values:
            test += _case(value, [_allow()])
        code += _case(condition.numbers[column], [*test, _refuse(condition.refusal)])
    for number in _numbers(_ALLOWED, column):
        code += _case(number, [_allow()])
    for error, calls in _REFUSED.items():
        for number in _numbers(calls, column):
            code += _case(number, [_refuse(error)])
    return [*code, _refuse(errno.ENOSYS)]


def _numbers(calls: str, column: int) -> list[int]:
    entries = (entry.partition(":")[2].split(",") for entry in calls.split())
    return sorted(int(numbers[column]) for numbers in entries if numbers[column])


def _case(value: int, then: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    return [(_EQUAL, 0, len(then), value), *then]


def _argument(index: int) -> tuple[int, int, int, int]:
    """Load the low half of an argument; the high halves of those that are tested have no meaning."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index)


def _allow() -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ALLOW)


def _refuse(number: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _ERRNO | number)
