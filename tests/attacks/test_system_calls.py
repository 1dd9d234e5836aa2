"""The list of system calls, on both kinds of processor: the filter is executed here as a kernel does.

libseccomp knows the numbers of other processors than this one, so arm64 is compared without one.
"""

import ctypes
import errno
import re
from types import SimpleNamespace

import pytest

from memsim.grading.sandbox.guest import seccomp
from memsim.grading.sandbox.guest.seccomp import program

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMNS = list(MACHINES)
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
NO_SUCH_CALL = -1


def verdict(machine, number, *arguments, architecture=None):
    """Return what the filter says: "allowed", "killed", or the name of an errno."""
    words = {0: number, 4: MACHINES[machine] if architecture is None else architecture}
    for place in range(6):
        words[16 + 8 * place] = arguments[place] & 0xFFFFFFFF if place < len(arguments) else 0
    code, at, held = program(machine), 0, 0
    while True:
        instruction, if_true, if_false, operand = code[at]
        at += 1
        if instruction == LOAD:
            held = words[operand]
        elif instruction == RETURN:
            named = {ALLOWED: "allowed", KILLED: "killed"}
            return named.get(operand) or errno.errorcode[operand & 0xFFFF]
        else:
            holds = {
                EQUAL: held == operand,
                AT_LEAST: held >= operand,
                ANY_BIT: bool(held & operand),
            }[instruction]
            at += if_true if holds else if_false


@pytest.fixture(scope="module")
def number():
    """Return what gives the number of a system call by its name."""
    library = ctypes.CDLL("libseccomp.so.2")  # Debian's package libseccomp2, which apt itself needs

    def resolve(machine, name):
        return library.seccomp_syscall_resolve_name_arch(ctypes.c_uint32(MACHINES[machine]), name.encode())

    return resolve


def tables():
    """Return the name and the two numbers of each entry of our tables of text."""
    texts = [seccomp._ALLOWED, *seccomp._REFUSED.values(), seccomp._BETWEEN_PROCESSES]  # noqa: SLF001
    return [
        (name, int(x86), int(arm) if arm else None)
        for text in texts
        for name, x86, arm in re.findall(r"(\w+):(\d+),(\d*)", text)
    ]


def test_every_number_is_that_of_its_name_on_both_processors(number):
    assert len(tables()) > 120
    for name, x86, arm in tables():
        assert number("x86_64", name) == x86, name
        assert (number("aarch64", name) if arm is not None else None) == arm, name
        if arm is None:
            assert number("aarch64", name) < 0, name  # arm64 has no such call


# A system call, its arguments as far as they matter, and what the filter must say of it.
WITH_ARGUMENTS = [
    ("read", (), "allowed"),
    ("clone", (0x11,), "allowed"),
    ("clone", (0x11 | 0x10000000,), "EPERM"),  # CLONE_NEWUSER
    ("clone", (0x11 | 0x00020000,), "EPERM"),  # CLONE_NEWNS
    ("clone3", (), "ENOSYS"),
    ("mmap", (0, 4096, 3, 0x22), "allowed"),
    ("mmap", (0, 4096, 3, 0x40022), "EPERM"),  # MAP_HUGETLB
    ("madvise", (0, 4096, 4), "allowed"),  # MADV_DONTNEED
    ("madvise", (0, 4096, 12), "EINVAL"),  # MADV_MERGEABLE
    ("madvise", (0, 4096, 14), "EINVAL"),  # MADV_HUGEPAGE
    ("madvise", (0, 4096, 21), "EINVAL"),  # MADV_PAGEOUT
    ("madvise", (0, 4096, 25), "EINVAL"),  # MADV_COLLAPSE
    ("futex", (0, 0x81), "allowed"),  # FUTEX_WAKE_PRIVATE
    ("futex", (0, 0x80), "allowed"),
    ("futex", (0, 0), "allowed"),  # FUTEX_WAIT: joining a thread
    ("futex", (0, 0x109), "allowed"),  # FUTEX_WAIT_BITSET with a clock: the same
    ("futex", (0, 1), "EPERM"),  # FUTEX_WAKE
    ("futex", (0, 3), "EPERM"),  # FUTEX_REQUEUE
    ("futex", (0, 5), "EPERM"),  # FUTEX_WAKE_OP
    ("futex", (0, 10), "EPERM"),  # FUTEX_WAKE_BITSET
    ("prctl", (15,), "allowed"),  # PR_SET_NAME
    ("prctl", (62,), "EINVAL"),  # PR_SCHED_CORE
    ("prctl", (67,), "EINVAL"),  # PR_SET_MEMORY_MERGE
    ("fcntl", (0, 3), "allowed"),  # F_GETFL
    ("fcntl", (0, 6), "ENOLCK"),  # F_SETLK
    ("fcntl", (0, 1036), "ENOLCK"),  # F_SET_RW_HINT
    ("prlimit64", (0,), "allowed"),
    ("prlimit64", (1,), "EPERM"),
    ("ioctl", (0, 0x5401), "allowed"),  # TCGETS: isatty()
    ("ioctl", (0, 0x5412), "ENOTTY"),  # TIOCSTI
    ("socketpair", (1, 1), "allowed"),
    ("socketpair", (1, 0x80801), "allowed"),
    ("socketpair", (1, 2), "EACCES"),  # SOCK_DGRAM
    ("socketpair", (2, 1), "EACCES"),  # AF_INET
    ("socket", (1, 1), "EACCES"),
    ("unlinkat", (), "EROFS"),
]
# Each has been a way out of some sandbox, or a way to leave a note for somebody.
NEVER = """
acct add_key adjtimex bpf capset chroot clock_settime delete_module finit_module flock fanotify_init fsopen
fspick futex_requeue futex_waitv get_kernel_syms init_module inotify_init1 io_setup io_uring_enter
io_uring_setup kcmp kexec_load keyctl landlock_create_ruleset lookup_dcookie lsetxattr memfd_secret mincore
mlock mlockall mount mount_setattr move_mount move_pages mq_open msgget name_to_handle_at nfsservctl
open_by_handle_at open_tree perf_event_open personality pidfd_getfd pidfd_open pidfd_send_signal pivot_root
pkey_alloc process_madvise process_mrelease process_vm_readv process_vm_writev ptrace quotactl reboot
remap_file_pages request_key sched_setaffinity sched_setattr sched_setscheduler semget setdomainname setgid
setgroups sethostname setns setpriority setresgid setresuid settimeofday setuid setxattr shmget splice
set_robust_list swapon sync syncfs sysinfo syslog tee timer_create timerfd_create umount2 unshare userfaultfd
utimensat vhangup vmsplice
"""


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_allowed_with_some_arguments_only(machine, number):
    for name, given, wanted in WITH_ARGUMENTS:
        assert verdict(machine, number(machine, name), *given) == wanted, (name, given)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_never_allowed(machine, number):
    found = {name: number(machine, name) for name in NEVER.split()}
    known = {name: place for name, place in found.items() if place >= 0}
    assert len(known) > 85
    assert {name for name, place in known.items() if verdict(machine, place) == "allowed"} == set()


def test_the_two_processors_allow_the_same(number):
    """Every number that one of them has, with no arguments; only old calls are missing on arm64."""
    library = ctypes.CDLL("libseccomp.so.2")
    resolve = library.seccomp_syscall_resolve_num_arch
    resolve.restype = ctypes.c_char_p
    for place in range(470):
        name = resolve(ctypes.c_uint32(MACHINES["aarch64"]), place)
        there = number("x86_64", name.decode()) if name else NO_SUCH_CALL
        if there >= 0:
            assert verdict("aarch64", place) == verdict("x86_64", there), name


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_by_the_numbers_of_another_processor_ends_the_process(machine):
    assert verdict(machine, 0, architecture=0x40000003) == "killed"  # 32-bit code
    assert verdict("x86_64", 0x40000000 | 59) == "ENOSYS"  # x32


@pytest.mark.parametrize(("machine", "other"), [COLUMNS, COLUMNS[::-1]])
def test_what_is_loaded_is_made_for_the_processor_that_runs(machine, other, number, monkeypatch):
    """By the filter of another processor the kernel would end each worker: uname() says which one it is."""
    loaded = []
    monkeypatch.setattr(seccomp.os, "uname", lambda: SimpleNamespace(machine=machine))
    monkeypatch.setattr(seccomp, "_load", lambda _, instructions: loaded.append(instructions))
    seccomp.load(None)
    seccomp.load_for_one_process(None)
    whole, alone = loaded

    assert (EQUAL, 1, 0, MACHINES[machine]) in whole[:3]
    assert not [each for each in whole if each[3] == MACHINES[other]]
    tested = {operand for instruction, *_, operand in alone if instruction == EQUAL}
    assert {number(machine, name) for name in ("pipe2", "socketpair", "sendmsg", "futex")} <= tested


@pytest.mark.parametrize("machine", ["aarch64_be", "armv8l", "i686", "riscv64", "arm64", ""])
def test_no_filter_is_made_for_another_processor(machine, monkeypatch):
    """Then no worker starts, and the grader says that there is no fence."""
    monkeypatch.setattr(seccomp.os, "uname", lambda: SimpleNamespace(machine=machine))
    with pytest.raises(OSError, match="no list of system calls"):
        seccomp.load(None)
