"""Where the models of kernel functions stand: under the path of the kernel's file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import memsim.linux
from memsim.state.trace import FUNCTIONS, KERNEL_FILES

LINUX = Path(memsim.linux.__file__).parent
MODULES = {
    f"memsim.linux.{'.'.join(path.relative_to(LINUX).with_suffix('').parts)}": path
    for path in sorted(LINUX.rglob("*.py"))
    if path.name != "__init__.py"
}
for each in MODULES:
    import_module(each)


def kernel_file_of(path):
    """Return the path in the kernel of a module: of its package if that is split into modules.

    A kernel file is split if its package has no folder of the kernel's for a name: ``mm/`` is a folder of the
    kernel, ``mm/page_alloc/`` the pieces of ``mm/page_alloc.c``.
    """
    inside = path.relative_to(LINUX).with_suffix("")
    folder = inside.parent
    return f"{folder}.c" if is_split(LINUX / folder) else f"{inside}.c"


def is_split(folder):
    """Return whether a package stands for a file of the kernel: its docstring names that file."""
    name = f"{folder.relative_to(LINUX)}.c"
    return name in (folder / "__init__.py").read_text(encoding="utf-8").split('"""')[1]


def is_in_place(function, file):
    """Return whether a model stands where the kernel has it. Modules have _ where files have -."""
    return kernel_file_of(MODULES[FUNCTIONS[function].__module__]) == file.replace("-", "_")


def test_each_model_stands_under_the_path_of_the_file_that_it_names():
    elsewhere = {
        name: FUNCTIONS[name].__module__ for name, file in KERNEL_FILES.items() if not is_in_place(name, file)
    }
    assert elsewhere == {}


@pytest.mark.parametrize("file", ["mm/memory_hotplug.c", "drivers/base/memory.c", "mm/online.c"])
def test_a_model_that_names_another_file_is_noticed(file):
    assert not is_in_place("free_contig_range", file)


def test_a_split_file_is_told_from_a_folder_of_the_kernel():
    assert kernel_file_of(LINUX / "mm" / "page_alloc" / "buddy.py") == "mm/page_alloc.c"
    assert kernel_file_of(LINUX / "mm" / "mm_init.py") == "mm/mm_init.c"
    assert (
        kernel_file_of(LINUX / "drivers" / "virtio" / "virtio_mem" / "sbm.py")
        == "drivers/virtio/virtio_mem.c"
    )
