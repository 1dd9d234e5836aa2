"""Where the models of kernel functions stand: under the path of the kernel's file."""

from __future__ import annotations

import ast
import functools
import io
import json
import tokenize
import tomllib
from importlib import import_module
from pathlib import Path
from statistics import median

import pytest

import memsim.linux
from memsim.state.trace import FUNCTIONS, KERNEL_FILES

LINUX = Path(memsim.linux.__file__).parent
LEFT_OUT = tomllib.loads((LINUX / "left_out.toml").read_text(encoding="utf-8"))
# The functions of these files in Linux 6.12: `ctags -x --c-kinds=f --_xformat=%N <file>`, sorted.
KERNEL_FUNCTIONS = json.loads(
    (Path(__file__).parents[1] / "material" / "kernel_functions.json").read_text(encoding="utf-8")
)
MOST_LINES, LONGEST_FUNCTION, MEDIAN_FUNCTION = 4000, 25, 6
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


@functools.cache
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


# ---- every function has its model in its place, or the reason why not ------------------------------


def models_of(file):
    """Return the names of the functions in the modules that stand for a kernel file."""
    return {
        node.name
        for path in MODULES.values()
        if kernel_file_of(path) == file.replace("-", "_")
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef)
    }


@functools.cache
def tree_of(path):
    """Return a module, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def left_out_of(file):
    """Return the names that are listed with a reason."""
    return [name for names in LEFT_OUT[file].values() for name in names]


def test_the_list_is_of_the_files_whose_functions_are_known():
    assert LEFT_OUT.keys() == KERNEL_FUNCTIONS.keys()


@pytest.mark.parametrize("file", KERNEL_FUNCTIONS)
def test_each_function_has_a_model_in_its_place_or_a_reason_why_not(file):
    known, models, left_out = set(KERNEL_FUNCTIONS[file]), models_of(file), left_out_of(file)
    assert known - models - set(left_out) == set()
    assert models & set(left_out) == set()
    assert set(left_out) - known == set()
    assert len(left_out) == len(set(left_out))


@pytest.mark.parametrize("file", KERNEL_FUNCTIONS)
def test_no_model_of_its_functions_stands_elsewhere(file):
    names = set(KERNEL_FUNCTIONS[file]) - models_of(file)
    others = {name for other in KERNEL_FUNCTIONS if other != file for name in KERNEL_FUNCTIONS[other]}
    elsewhere = {
        f"{module}.{node.name}"
        for module, path in MODULES.items()
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef) and node.name in names - others
    }
    assert elsewhere == set()


@pytest.mark.parametrize("file", [file for file in KERNEL_FUNCTIONS if (LINUX / file[:-2]).is_dir()])
def test_a_package_that_stands_for_a_file_has_all_its_functions(file):
    package = import_module("memsim.linux." + file[:-2].replace("/", "."))
    functions = models_of(file)
    assert functions <= set(dir(package))
    assert {getattr(package, name).__name__ for name in functions} == functions
    with pytest.raises(AttributeError, match="has no attribute 'kswapd'"):
        _ = package.kswapd


@pytest.mark.parametrize("file", LEFT_OUT)
def test_a_reason_is_a_sentence(file):
    assert [reason for reason in LEFT_OUT[file] if not reason.endswith(".") or len(reason.split()) < 2] == []


# ---- size ------------------------------------------------------------------------------------------


def docstrings_of(tree):
    """Return the lines that docstrings and other bare strings take."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        for each in node.body
        if isinstance(each, ast.Expr)
        and isinstance(each.value, ast.Constant)
        and isinstance(each.value.value, str)
        for line in range(each.lineno, each.end_lineno + 1)
    }


def code_lines(text):
    """Return the numbers of the lines of code: not blank, no comment, no docstring."""
    empty = (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    )
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in empty
        for line in range(token.start[0], token.end[0] + 1)
    }
    return lines - docstrings_of(ast.parse(text))


def function_sizes(text):
    """Return the lines of code in the body of each function, by name."""
    lines = code_lines(text)
    return {
        node.name: len(lines & set(range(node.body[0].lineno, node.end_lineno + 1)))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }


TEXTS = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}


def test_lines_are_counted_without_blanks_comments_and_docstrings():
    text = '"""D."""\n\n# c\ndef f():\n    """D.\n\n    E.\n    """\n    x = 1  # c\n\n    return x\n'
    assert (len(code_lines(text)), function_sizes(text)) == (3, {"f": 2})


def test_the_model_is_small():
    size = sum(len(code_lines(text)) for text in TEXTS.values())
    assert size <= MOST_LINES, f"memsim/linux/: {size - MOST_LINES} lines too many: simplify a model"


def test_its_functions_are_short():
    sizes = [
        (size, f"{name}.{function}")
        for name, text in TEXTS.items()
        for function, size in function_sizes(text).items()
    ]
    assert [each for each in sizes if each[0] > LONGEST_FUNCTION] == []
    assert median(size for size, _ in sizes) <= MEDIAN_FUNCTION
