"""Messages from one submission to another that is graded beside or after it, through a file that both read.

Every worker maps the same C library and numpy. The kernel keeps some things by the page of a file, whoever
has mapped it, and no namespace divides those. Each way is first shown between two processes without a fence.
"""

import os
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from memsim.grading.assignment.assignment import Limits
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.fences import NONE, prepare
from memsim.grading.sandbox.worker import Submitted, Worker

from .stage import waited_for

FUTEX = """
import ctypes, os, struct
LIBC = ctypes.CDLL(None, use_errno=True)
NUMBER = {"x86_64": (202, 273), "aarch64": (98, 99)}[os.uname().machine]
WAIT, WAKE = 0, 1
def shared():
    # Eight bytes after its first, a library has a zero: no process can change it, and all map it.
    class Loaded(ctypes.Structure):
        _fields_ = [("address", ctypes.c_void_p), ("name", ctypes.c_char_p)]
    found = []
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Loaded), ctypes.c_size_t, ctypes.c_void_p)
    def see(info, size, data):
        if b"libc.so" in (info[0].name or b""):
            found.append(info[0].address + 8)
        return 0
    LIBC.dl_iterate_phdr(kind(see), None)
    return found[0]
def waits(seconds):
    until = struct.pack("qq", seconds, 0)
    return LIBC.syscall(NUMBER[0], ctypes.c_void_p(shared()), WAIT, 0, until, None, 0)
def wakes(_):
    return LIBC.syscall(NUMBER[0], ctypes.c_void_p(shared()), WAKE, 1, None, None, 0)
def dies(_):
    # The kernel wakes who waits for a lock of a process that ends: here a word of the library.
    robust = ctypes.create_string_buffer(24)
    here = ctypes.addressof(robust)
    robust.raw = struct.pack("QqQ", here, 0, shared())
    LIBC.syscall(NUMBER[1], ctypes.c_void_p(here), ctypes.c_size_t(24))
    os._exit(0)
"""
WOKEN, NOT_WOKEN = 0, -1


def first(fence, source, name, argument, kept, limits):
    """Ask a function, and keep what it answers."""
    with (
        Worker(fence, Submitted("mallory", [source])) as worker,
        Conversation(worker, name, limits) as conversation,
    ):
        kept.append(conversation.call([argument], int))


def woken(fence, how, processes=0):
    """Return whether a submission wakes another up; it tries as long as that waits."""
    answers, limits = [], Limits(processes=processes)
    waiter = Thread(target=first, args=(fence, FUTEX, "waits", 5, answers, limits))
    waiter.start()
    while waiter.is_alive():
        first(fence, FUTEX, how, 0, [], limits)
        time.sleep(0.1)
    waiter.join()
    return answers == [WOKEN]


@pytest.mark.parametrize("how", ["wakes", "dies"], ids=["own-174-it-is-woken", "own-175-by-a-death"])
def test_nobody_wakes_another_submission_that_waits(how, fence):
    assert not woken(fence, how)
    assert not woken(fence, how, processes=2)


@pytest.mark.parametrize("how", ["wakes", "dies"])
def test_without_a_fence_it_is_woken(how):
    assert waited_for(lambda: woken(NONE, how), bool)


HUGE = """
import ctypes, errno, os, resource
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
SIZE, COLLAPSE = 2 << 20, 25
def mapped(path, place):
    room = LIBC.mmap(None, 2 * SIZE, 0, 0x22, -1, 0)
    return LIBC.mmap(-(-room // SIZE) * SIZE, SIZE, 1, 0x11, os.open(path, os.O_RDONLY), place * SIZE)
def put_together(path, place):
    return LIBC.madvise(mapped(path, place), SIZE, COLLAPSE) and ctypes.get_errno()
def faults(path, place):
    at, before = mapped(path, place), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for offset in range(0, SIZE, 4096):
        ctypes.c_ubyte.from_address(at + offset).value
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""
EINVAL = 22


def largest(fence):
    """Return the path of the largest file that submissions share, here and behind the fence."""
    prepare()
    copy = Path(os.environ["MEMSIM_READABLE_COPY"])
    libraries = Path(np.__file__).parents[1] / "numpy.libs"
    inside = max(libraries.iterdir(), key=lambda path: path.stat().st_size)
    assert inside.stat().st_size > 4 << 21
    if fence.name == "bubblewrap":
        return f"/grading/site/numpy.libs/{inside.name}"
    return str(inside if fence.name == "container" else copy / inside.relative_to("/"))


def told_by_huge_pages(fence, place):
    """Return the error of putting pages together, and how many faults others have before and after."""
    path, answers = largest(fence), []
    for name in ("faults", "put_together", "faults"):
        with ExitStack() as stack:
            worker = stack.enter_context(Worker(fence, Submitted("mallory", [HUGE])))
            conversation = stack.enter_context(Conversation(worker, name, Limits()))
            answers.append(conversation.call([path, place], int))
    return answers


def test_own_176_pages_that_were_put_together_tell_nothing_to_the_next_submission(fence):
    before, error, after = told_by_huge_pages(fence, 1)
    assert error == EINVAL
    assert after > before // 2


def test_without_a_fence_the_next_one_sees_which_pages_were_put_together():
    before, error, after = told_by_huge_pages(NONE, 2)
    if error == EINVAL:  # a kernel without MADV_COLLAPSE, which is none of ours
        assert after > before // 2
    else:
        assert (error, after < before // 2) == (0, True)
