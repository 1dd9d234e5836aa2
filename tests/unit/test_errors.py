"""Errnos and the messages of errors."""

from __future__ import annotations

import pytest

from memsim.errors import KernelError, MemsimError, errno_number


@pytest.mark.parametrize(
    ("name", "number"),
    [("EPERM", 1), ("ENOENT", 2), ("EINTR", 4), ("ENOMEM", 12), ("EBUSY", 16), ("EINVAL", 22)],
)
def test_an_errno_has_the_number_that_posix_systems_share(name, number):
    assert errno_number(name) == number


@pytest.mark.parametrize(
    ("name", "number"),
    [("EHWPOISON", 133), ("ENOTSUPP", 524)],
)
def test_an_errno_has_the_number_that_linux_alone_gives_it(name, number):
    assert errno_number(name) == number


def test_a_word_that_is_no_errno_is_refused_by_name():
    with pytest.raises(MemsimError, match="'EWRONG' is not the name of an errno"):
        errno_number("EWRONG")


def test_a_kernel_error_tells_errno_function_and_rule():
    error = KernelError("EBUSY", "offline_pages", "page 0x100000 is unmovable")
    assert (error.name, error.errno, error.stage) == ("EBUSY", 16, "offline_pages")
    assert str(error) == "-EBUSY from offline_pages(): page 0x100000 is unmovable"
