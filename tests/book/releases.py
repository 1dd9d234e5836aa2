"""What only some of the modelled releases have, or have in their own way, as the simulator's data say it."""

from __future__ import annotations

import ast
import inspect
import re

from memsim import release
from memsim.linux.include.page_flags import PageType
from memsim.release import RELEASES
from memsim.walkers import WALKERS

# What the data have no field for.
NAMED_BY_HAND = {
    *("__rmqueue_claim", "__rmqueue_steal", "__rmqueue_fallback", "split_large_buddy"),
    *("kvm_refcounted", "NOPAGE", "EHWPOISON", "page checks", "inverted bits"),
    *("MEMBLOCK_RSRV_NOINIT", "memmap_on_memory=force", "arch_xen_unpopulated_init"),
}
# What a text says of one release in words of every day: the rule of Release that makes it false of another.
SAYINGS = {
    "hv_falls_back": r"outside (?:of )?(?:all|any|every|its|the) (?:\w+ )?regions?",
    "isolation_is_a_bit": r"(?:are|back as|ends? up|is|pageblocks?) MOVABLE",
    "freeing_forgives_type_of_head": r"freed while (?:it is|they are) Offline",
}
CALLED = re.compile(r"(\w+)\(\)")
CONSTANT = re.compile(r"\b(?!ZONE_|MIGRATE_)[A-Z]+_\w*[A-Z]\b|\bvm\.\w+")


def of_some_releases() -> set[str]:
    """Return all names, words and numbers of which a text must say the release."""
    return NAMED_BY_HAND | actions() | type_words() | names_in_rules() | renamed()


def actions() -> set[str]:
    """Return the notifier actions that some release does not have."""
    of_each = [set(each.actions) for each in RELEASES.values()]
    return set.union(*of_each) - set.intersection(*of_each)


def type_words() -> set[str]:
    """Return what page_type holds for each type where releases do not agree, also as a signed number."""
    encodings = [each.encoding for each in RELEASES.values()]
    words = {
        encoding.page_type(encoding.code(kind))
        for kind in PageType
        for encoding in encodings
        if len({each.page_type(each.code(kind)) for each in encodings}) > 1
    }
    return {
        text
        for word in words
        for size in [(1 << 32) - word]
        for text in (f"{word:#010x}", f"-{size}", f"-{size:,}", f"\N{MINUS SIGN}{size}")
    }


def names_in_rules() -> set[str]:
    """Return the constants and settings that the rules of Release name: each differs between releases."""
    (rules,) = [
        node
        for node in ast.parse(inspect.getsource(release)).body
        if isinstance(node, ast.ClassDef) and node.name == "Release"
    ]
    texts = [
        node.value.value
        for node in rules.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return {name for text in texts for name in CONSTANT.findall(str(text))}


def renamed() -> set[str]:
    """Return the names of functions that go through struct pages under one name in 6.1 and another later."""
    return {
        name
        for each in WALKERS.values()
        if "(6.1: " in each.function
        for name in CALLED.findall(each.function)
    }
