"""Print how the models of kernel functions and the imports of memsim are laid out.

    python -m tests.tools.structure

A table with a line for each file of the kernel whose functions are known: how many functions it has in Linux
6.12, how many of those have a model under their name in their place, how many are left out with a reason, and
how many have neither. Another for all files that a model names: how many models name it, and how many of
those stand in its place. The tests in tests/unit/test_kernel_files.py and test_imports.py hold the limits.
"""

from __future__ import annotations

import sys
from collections import Counter
from graphlib import CycleError
from statistics import median

from tests.unit.test_imports import FLOORS, test_there_are_no_import_circles
from tests.unit.test_kernel_files import (
    KERNEL_FILES,
    KERNEL_FUNCTIONS,
    TEXTS,
    code_lines,
    function_sizes,
    is_in_place,
    left_out_of,
    models_of,
)


def table() -> list[str]:
    """Return the table as lines of Markdown."""
    lines = ["| kernel file | functions | modelled in place | left out with a reason | neither |"]
    lines.append("|---|---|---|---|---|")
    sums = [0, 0, 0, 0]
    for file, names in KERNEL_FUNCTIONS.items():
        known = set(names)
        modelled, left_out = known & models_of(file), known & set(left_out_of(file))
        row = [len(known), len(modelled), len(left_out), len(known - modelled - left_out)]
        sums = [total + number for total, number in zip(sums, row, strict=True)]
        lines.append(f"| {file} | {' | '.join(map(str, row))} |")
    return [*lines, f"| **together** | {' | '.join(map(str, sums))} |"]


def places() -> list[str]:
    """Return the table of the files that models name."""
    named = Counter(KERNEL_FILES.values())
    placed = Counter(file for name, file in KERNEL_FILES.items() if is_in_place(name, file))
    lines = ["| kernel file | models that name it | in its place |", "|---|---|---|"]
    lines += [f"| {file} | {number} | {placed[file]} |" for file, number in sorted(named.items())]
    return [*lines, f"| **together** | {named.total()} | {placed.total()} |"]


def circles() -> str:
    """Return the modules of an import circle, or that there is none."""
    try:
        test_there_are_no_import_circles()
    except CycleError as error:
        return " -> ".join(error.args[1])
    return "none"


def figures() -> list[str]:
    """Return the sizes, and what is known of the imports."""
    sizes = [size for text in TEXTS.values() for size in function_sizes(text).values()]
    return [
        f"lines of code in memsim/linux: {sum(len(code_lines(text)) for text in TEXTS.values())}",
        f"largest function there: {max(sizes)} lines; median of {len(sizes)} functions: {median(sizes):g}",
        f"floors of imports: {len(FLOORS)}; import circles: {circles()}",
    ]


if __name__ == "__main__":
    sys.stdout.write("\n".join([*table(), "", *places(), "", *figures(), ""]))
