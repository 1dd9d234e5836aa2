"""The atlas: it has every model of a kernel function, and says what the sources say now."""

from __future__ import annotations

from importlib import import_module

from memsim.state.trace import FUNCTIONS
from tests.tools import atlas as tool
from tests.tools.notebooks import dumps


def test_the_atlas_is_what_make_book_makes_of_the_sources():
    assert tool.PATH.read_text(encoding="utf-8") == dumps(tool.atlas(tool.entries()))


def test_every_model_of_a_kernel_function_is_in_it():
    """The simulator itself keeps a register of them, by the modules that were imported."""
    models = [each for each in tool.models() if each.marked]
    for each in models:
        import_module(each.module.removesuffix(".py").replace("/", "."))
    assert {each.function for each in models} == set(FUNCTIONS)
    assert {each.function for each in tool.entries()} >= set(FUNCTIONS)


def test_what_only_code_of_the_book_calls_is_no_kernel_function():
    assert {each.function for each in tool.entries()}.isdisjoint({"boot", "make", "disagreeing"})


def test_it_finds_what_is_there():
    (found,) = [each for each in tool.entries() if each.function == "memmap_init_range"]
    assert found.module == "memsim/linux/mm/mm_init.py"
    assert "01-one-block-comes-online.ipynb" in found.chapters
    assert "test_mm_init" in found.tests


def test_a_row_leads_to_the_chapters():
    entry = tool.Entry("f", "memsim/linux/mm/x.py", True, ("05-the-buddy-allocator.ipynb",), ())  # noqa: FBT003 (a record)
    assert tool.row(entry) == "| `f()` | [5](05-the-buddy-allocator.ipynb) | none |"
