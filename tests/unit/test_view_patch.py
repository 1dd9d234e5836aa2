"""The reader's own kernel tree beside the models; hunks as HTML."""

from __future__ import annotations

import subprocess
import tarfile

import html5lib
import pytest

from memsim import Hunk, MemsimError
from memsim.cli import main
from memsim.source.linux_tree import NoTreeError, function_in, tree_of, versions_of
from memsim.view.patch import NO_TREE, show_patch, show_source

# Invented: a file of that name with a function of that name, and nothing of the kernel's text.
BEFORE = """/* {{{ a comment with brackets */
static void hold(struct page *page);

static void __meminit memmap_init_range(unsigned long pfn,
\t\t\t\tunsigned long count)
{
\tchar bracket = '}'; /* } */
\twhile (count--)
\t\told_mark(pfn++, "}");
}

int other(void) { return memmap_init_range(1, 2); }
"""
AFTER = BEFORE.replace("old_mark", "new_mark")
MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 3\nEXTRAVERSION =\n"


def write_tree(folder, text):
    """Write a tree that has what makes one: mm/ and a Makefile."""
    (folder / "mm").mkdir(parents=True, exist_ok=True)
    (folder / "mm" / "mm_init.c").write_text(text, encoding="utf-8")
    (folder / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    return folder


def git(folder, *arguments):
    """Run git in a folder, as nobody in particular."""
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, "-C", str(folder), *arguments], check=True, capture_output=True)  # noqa: S603, S607 (ours)


@pytest.fixture(autouse=True)
def no_tree_of_the_user(monkeypatch):
    monkeypatch.delenv("MEMSIM_LINUX", raising=False)


def test_function_in__finds_the_definition_and_its_end():
    found = function_in(BEFORE, "memmap_init_range")
    assert found.startswith("static void __meminit memmap_init_range(unsigned long pfn,\n")
    assert found.endswith('old_mark(pfn++, "}");\n}')
    assert function_in(BEFORE, "hold") is None  # declared only
    assert function_in(BEFORE, "old_mark") is None  # called only
    assert function_in(BEFORE, "other") == "int other(void) { return memmap_init_range(1, 2); }"


def test_function_in__ends_at_the_end_of_the_file_when_brackets_do_not_match():
    assert function_in("int f(void)\n{\n\tif (1) {\n", "f").startswith("int f(void)")


def test_show_source__without_a_tree_shows_the_model_and_says_how_to_name_one():
    shown = show_source("memmap_init_range()")
    assert "model, memsim/linux/mm/mm_init.py: memmap_init_range()" in repr(shown)
    assert "def first_state(" in repr(shown)  # its helper, in which the patch acts
    assert repr(shown).endswith(NO_TREE)


def test_show_source__of_an_unpacked_tree_shows_the_function(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMSIM_LINUX", str(write_tree(tmp_path, AFTER)))
    shown = repr(show_source("memmap_init_range"))
    assert "kernel v6.12.3, mm/mm_init.c: memmap_init_range()" in shown
    assert 'new_mark(pfn++, "}");' in shown
    assert "what changed" not in shown
    assert NO_TREE not in shown


def test_show_source__of_a_checkout_shows_both_sides_and_the_difference(tmp_path):
    tree = write_tree(tmp_path, BEFORE)
    git(tree, "init", "-q")
    for text, tag in ((BEFORE, "v6.10"), (AFTER, "v6.11")):
        write_tree(tree, text)
        git(tree, "add", ".")
        git(tree, "commit", "-qm", tag)
        git(tree, "tag", tag)
    shown = repr(show_source("memmap_init_range", tree))
    assert shown.index("kernel v6.10, ") < shown.index("kernel v6.11, ") < shown.index("what changed")
    assert '    -\t\told_mark(pfn++, "}");\n    +\t\tnew_mark(pfn++, "}");' in shown


def test_show_source__of_a_checkout_without_the_tags_shows_the_tree(tmp_path):
    tree = write_tree(tmp_path, AFTER)
    git(tree, "init", "-q")
    assert list(versions_of(tree, "mm/mm_init.c")) == ["v6.12.3"]


def test_show_source__of_an_archive(tmp_path):
    tree = write_tree(tmp_path / "linux-source-6.12", AFTER)
    archive = tmp_path / "linux-source-6.12.tar.xz"
    with tarfile.open(archive, "w:xz") as packed:
        packed.add(tree, arcname=tree.name)
    assert list(versions_of(tree_of(archive), "mm/mm_init.c")) == ["v6.12.3"]
    assert "new_mark" in repr(show_source("memmap_init_range", archive))


def test_show_source__says_what_is_missing(tmp_path):
    tree = write_tree(tmp_path, "int nothing;\n")
    assert repr(show_source("memmap_init_range", tree)).endswith(
        f"{tree} does not define memmap_init_range() in mm/mm_init.c."
    )
    assert repr(show_source("online_pages", tree)).endswith("in mm/memory_hotplug.c.")  # no such file
    with pytest.raises(NoTreeError, match="is not the source of a kernel: name a checkout"):
        show_source("memmap_init_range", tmp_path / "mm")
    with pytest.raises(
        MemsimError, match=r"memmap_init_rang\(\) has no model in memsim; similar names .*memmap_init_range"
    ):
        show_source("memmap_init_rang")


@pytest.mark.parametrize(
    ("function", "file"),
    [
        ("walk_memory_blocks", "drivers/base/memory.c"),  # not marked: no probe point
        ("__alloc_contig_migrate_range", "mm/page_alloc.c"),
        ("check_memblock_offlined_cb", "mm/memory_hotplug.c"),
    ],
)
def test_show_source__knows_models_that_are_no_probe_points(function, file):
    shown = show_source(function)
    assert shown.kernel_file == file
    assert f"def {function}(" in repr(shown)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("mem_hotplug_begin", "mm/memory_hotplug.c has no model in memsim: The model does not lock"),
        ("read_kcore_iter", r"only reads struct pages: memsim.walkers.WALKERS\['kcore'\]"),
    ],
)
def test_show_source__says_why_there_is_no_model(function, why):
    with pytest.raises(MemsimError, match=why):
        show_source(function)


def test_memsim_source__says_how_to_name_a_tree_where_one_is(capsys):
    assert main(["source", "memmap_init_range"]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    assert "--linux DIR" in told
    assert "show_source()" not in told
    assert "show_source()" in NO_TREE
    assert "--linux" not in NO_TREE


def test_memsim_patch__begins_with_the_commit_the_files_and_the_functions_of_every_hunk(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["patch"]) == 0
    title, *lines = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert title == "The series, in Linux 6.11"
    assert [line.split()[2] for line in lines] == [hunk.name for hunk in Hunk]
    assert lines[1].split() == ["2/3", "503b158fc30f", "MM_INIT", "mm/mm_init.c:", "memmap_init_range()"]
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["patch"]) == 0
    assert all(len(line) <= 80 for line in capsys.readouterr().out.partition("\n\n")[0].splitlines())
    assert main(["patch", "MM_INIT"]) == 0
    assert capsys.readouterr().out.startswith("MM_INIT (patch 2/3)")


def test_memsim_source__prints_and_refuses(tmp_path, capsys):
    assert main(["source", "memmap_init_range", "--linux", str(write_tree(tmp_path, AFTER))]) == 0
    assert "new_mark" in capsys.readouterr().out
    assert main(["source", "memmap_init_range", "--linux", str(tmp_path / "none")]) == 2
    assert "is not the source of a kernel" in capsys.readouterr().err


@pytest.mark.parametrize("hunk", Hunk)
def test_show_patch__html_and_text_say_the_same(hunk):
    shown = show_patch(hunk)
    page = html5lib.parse(shown._repr_html_(), treebuilder="etree", namespaceHTMLElements=False)
    for tag, sign in (("del", "-"), ("ins", "+")):
        lines = [line.text.removeprefix(f"{sign} ").strip() for line in page.iter(tag)]
        assert all(any(text.strip().endswith(line) for text in repr(shown).splitlines()) for line in lines)
    signs = [text.strip()[0] for text in repr(shown).splitlines() if text.startswith(("    - ", "    + "))]
    assert len(list(page.iter("del"))) == signs.count("-")
    assert len(list(page.iter("ins"))) == signs.count("+")


def test_show_patch__shows_the_whole_patch_or_the_hunks_that_are_named():
    assert show_patch().hunks == tuple(Hunk)
    assert show_patch("XEN_BALLOON", "mm_init").hunks == (Hunk.MM_INIT, Hunk.XEN_BALLOON)
    with pytest.raises(MemsimError, match="'MM_EXIT' is not a hunk"):
        show_patch("MM_EXIT")
