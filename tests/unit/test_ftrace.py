"""Traces of the kernel's page allocator: what is read, what is replayed, and what is survived."""

from __future__ import annotations

import io
import re
import tracemalloc

import pytest

from memsim.cli import main
from memsim.ftrace.events import LONGEST_LINE, BadLineError, Event, lines, parse
from memsim.ftrace.replay import BAD_LINES_SHOWN, Replay
from memsim.machine.machine import Machine

ALLOC = "mm_page_alloc: page=00000000a8f3c5b1 pfn={:#x} order={} migratetype={} gfp_flags=GFP_KERNEL"
FREE = "mm_page_free: page=00000000a8f3c5b1 pfn={:#x} order={}"
BATCHED = "mm_page_free_batched: page=00000000a8f3c5b1 pfn={:#x} order=0"


def ftrace(text, *values):
    """Return an event as the file ``trace`` shows it."""
    return f"     kworker/u8:3-1187    [003] d..2.  2617.401927: {text.format(*values)}"


def perf(text, *values):
    """Return an event as ``perf script`` prints it."""
    return f"kworker/u8:3-ev  1187 [003]  2617.401927:           kmem:{text.format(*values)}"


def replayed(*texts, pages=4096):
    """Replay lines on a machine of 16 MiB; returns the replay."""
    replay = Replay(Machine([(0x100000, pages)]))
    replay.run(io.BytesIO("\n".join(texts).encode()))
    return replay


# ---- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", [ftrace, perf])
def test_the_events_of_both_tools_are_read(tool):
    assert parse(tool(ALLOC, 0x1159C0, 3, 1).encode()) == Event(b"alloc", 0x1159C0, 3, 1)
    assert parse(tool(FREE, 0x1159C0, 3).encode()) == Event(b"free", 0x1159C0, 3, 0)
    assert parse(tool(BATCHED, 0x1159C0).encode()) == Event(b"free_batched", 0x1159C0, 0, 0)


def test_pfns_of_old_kernels_are_decimal():
    line = b"perf  6429 [000]    22.498450: kmem:mm_page_free: page=0x176a17 pfn=1534487 order=0"
    assert parse(line) == Event(b"free", 1534487, 0, 0)


@pytest.mark.parametrize(
    "line",
    [
        "# tracer: nop",
        "",
        "          <idle>-0       [001] d.h1.  2617.401: sched_waking: comm=x pid=1 prio=120",
        "bash  1187 [003]  2617.401927: kmem:kmalloc: call_site=__alloc+0x1 ptr=0x2",
        ftrace("mm_page_alloc_zone_locked: page=0x1 pfn=0x1 order=0 migratetype=1 percpu_refill=1"),
        ftrace("mm_page_pcpu_drain: page=0x1 pfn=0x1 order=0 migratetype=1"),
        "\tffffffffbe23e32e __alloc_pages_nodemask+0x22e (/lib/modules/vmlinux)",
        "CPU:3 [LOST 1207 EVENTS]",
        "cpus=8",
        "CPU 1 is empty",
        "version = 6",
        "             app-4242 [004] ...1 77212.233934: <stack trace>",
        " => trace_event_raw_event_mm_page_free",
        "=> free_unref_page_list (ffffffff8128b1c0)",
        "  app-4242 [004] 2319.000857: kernel_stack:         <stack trace >",
        " 1)   0.123 us    |    free_unref_page();",
        " 0)               |  __alloc_pages() {",
        " 0)   bash-4242   =>   app-77   ",
        " ------------------------------------------",
        "  bash-4242    [000] d..1.  2617.401: free_unref_page <-__put_page",
    ],
)
def test_what_else_a_trace_holds_is_passed_over(line):
    assert parse(line.encode()) is None


def test_events_under_the_names_that_they_had_up_to_3_2():
    """include/trace/events/kmem.h: renamed in 3.3, with the same fields."""
    free, batched = (
        FREE.replace("page_free", "page_free_direct"),
        BATCHED.replace("page_free_batched", "pagevec_free"),
    )
    assert parse(ftrace(free, 0x1000, 2).encode()) == Event(b"free", 0x1000, 2, 0)
    assert parse(ftrace(batched, 0x1000).encode()) == Event(b"free_batched", 0x1000, 0, 0)
    counts = replayed(ftrace(ALLOC, 0x1000, 0, 0), ftrace(free, 0x1000, 0)).counts
    assert (counts.allocated, counts.freed, counts.pages) == (1, 1, 0)


def test_skipped_lines_are_counted_by_kind():
    counts = replayed(
        "cpus=8",
        ftrace(ALLOC, 0x1000, 0, 0),
        ftrace("<stack trace>"),
        " => __alloc_pages",
        " => do_anonymous_page",
        " 1)   0.123 us    |    free_unref_page();",
        ftrace("sched_waking: comm=x pid=1"),
    ).counts
    assert counts.malformed == 0
    assert counts.skipped == {
        "headers and comments": 1,
        "lines of stack traces": 3,
        "lines of function tracers": 1,
        "other events": 1,
    }


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (ftrace(ALLOC, 0x1000, 11, 1), "order 11 is above 10"),
        (ftrace(ALLOC, 0x1000, 0, 7), "migratetype 7 is none"),
        (ftrace(ALLOC, 1 << 34, 0, 1), "pfn 0x400000000 is beyond 0x3ffffffff"),  # MAX_PHYSMEM_BITS is 46
        (ftrace("mm_page_alloc: page=0x1 pfn=0x1000 order=0"), "must have migratetype="),
        (ftrace("mm_page_free: page=0x1 pfn=0x10"), "must have page=, pfn= and order="),
        (ftrace(ALLOC, 0x1000, 0, 1)[:80], "must have page=, pfn= and order="),
        ("Lorem ipsum", "neither an event nor a comment"),
        ("\x00\x01\x02", "neither an event nor a comment"),
    ],
)
def test_a_malformed_line_is_refused_with_the_rule(line, rule):
    with pytest.raises(BadLineError, match=re.escape(rule)):
        parse(line.encode())


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_lines_do_not_depend_on_the_size_of_a_chunk(monkeypatch, size):
    monkeypatch.setattr("memsim.ftrace.events.CHUNK", size)
    assert list(lines(io.BytesIO(b"one\n\ntwo\r\nthree"))) == [b"one", b"", b"two\r", b"three"]


def test_a_line_without_an_end_is_not_kept_in_memory(monkeypatch):
    monkeypatch.setattr("memsim.ftrace.events.CHUNK", 1 << 16)
    got = list(lines(io.BytesIO(b"x" * (1 << 20) + b"\nnext\n")))
    assert [len(line) for line in got] == [LONGEST_LINE, 4]
    assert got[1] == b"next"


# ---- replaying -------------------------------------------------------------------------------------


def test_what_is_allocated_and_freed_again_leaves_the_machine_as_it_was():
    machine = Machine([(0x100000, 8192)])
    before = {order: machine.zone("Normal").nr_free(order) for order in range(11)}
    replay = Replay(machine)
    text = [ftrace(ALLOC, 512 * n, n % 10, n % 3) for n in range(1, 40)]
    text += [perf(FREE, 512 * n, n % 10) for n in range(1, 40)]
    replay.run(io.BytesIO("\n".join(text).encode()))
    counts = replay.counts
    assert (counts.allocated, counts.freed, counts.pages, counts.malformed) == (39, 39, 0, 0)
    assert counts.peak == sum(1 << n % 10 for n in range(1, 40))
    assert {order: machine.zone("Normal").nr_free(order) for order in range(11)} == before
    assert machine.check() == []


def test_the_simulated_machine_holds_what_the_trace_holds():
    replay = replayed(ftrace(ALLOC, 0x8000, 4, 1), ftrace(ALLOC, 0x9000, 0, 0), ftrace(FREE, 0x9000, 0))
    (here, order) = replay.held[0x8000]
    assert order == 4
    assert replay.kernel.memmap.refcount(here) == 1
    assert replay.kernel.zone(2).nr_free_pages == 4096 - 16


def test_a_page_that_the_trace_did_not_allocate_is_counted_when_it_is_freed():
    counts = replayed(ftrace(FREE, 0x77, 0), ftrace(ALLOC, 0x78, 0, 0), ftrace(FREE, 0x79, 0)).counts
    assert (counts.unknown, counts.freed, counts.pages) == (2, 0, 1)


def test_a_batched_free_is_told_twice_by_the_kernel_and_done_once():
    counts = replayed(ftrace(ALLOC, 0x78, 0, 0), ftrace(FREE, 0x78, 0), ftrace(BATCHED, 0x78)).counts
    assert (counts.freed, counts.echoes, counts.unknown) == (1, 1, 0)
    # A trace of mm_page_free_batched alone frees by it.
    assert replayed(ftrace(ALLOC, 0x78, 0, 0), ftrace(BATCHED, 0x78)).counts.freed == 1


def test_an_allocation_that_failed_in_the_kernel_is_not_made_here():
    line = ftrace("mm_page_alloc: page=0000000000000000 pfn=0x0 order=9 migratetype=1 gfp_flags=0")
    assert (replayed(line).counts.failed, replayed(line).counts.pages) == (1, 0)


def test_a_page_that_comes_again_without_a_free_is_given_back_first():
    counts = replayed(ftrace(ALLOC, 0x80, 3, 0), ftrace(ALLOC, 0x80, 1, 0)).counts
    assert (counts.repeated, counts.pages) == (1, 2)


@pytest.mark.parametrize("freed", range(0x80, 0x88))
def test_a_part_of_a_block_may_be_freed_as_after_split_page(freed):
    replay = replayed(ftrace(ALLOC, 0x80, 3, 0), ftrace(FREE, freed, 0))
    assert (replay.counts.freed, replay.counts.pages, replay.counts.unknown) == (1, 7, 0)
    rest = [pfn for pfn in range(0x80, 0x88) if pfn != freed]
    for pfn in rest:
        replay.do(Event(b"free", pfn, 0, 0))
    assert replay.counts.pages == 0
    assert replay.held == {}
    assert replay.kernel.zone(2).nr_free(10) == 4


def test_the_second_of_two_pages_may_be_freed_first():
    counts = replayed(ftrace(ALLOC, 0x82, 1, 0), ftrace(FREE, 0x83, 0)).counts
    assert (counts.freed, counts.unknown, counts.pages) == (1, 0, 1)


def test_a_free_of_more_than_was_allocated_frees_what_was():
    counts = replayed(ftrace(ALLOC, 0x80, 1, 0), ftrace(FREE, 0x80, 3)).counts
    assert (counts.reordered, counts.freed, counts.pages) == (1, 1, 0)


def test_a_machine_that_is_too_small_goes_on():
    counts = replayed(*(ftrace(ALLOC, 1024 * n, 10, 1) for n in range(1, 7)), pages=4096).counts
    assert (counts.allocated, counts.no_memory) == (4, 2)


def test_malformed_lines_are_counted_and_the_first_ones_kept_with_their_number():
    counts = replayed("# tracer: nop", *["rubbish"] * 9, ftrace(ALLOC, 0x80, 0, 0)).counts
    assert (counts.malformed, counts.allocated) == (9, 1)
    assert [number for number, _, _ in counts.bad_lines] == list(range(2, 2 + BAD_LINES_SHOWN))


def test_events_that_ftrace_lost_are_counted():
    told = ["CPU:1 [LOST 30 EVENTS]", "# tracer: nop", "CPU:0 [LOST 12 EVENTS]"]
    assert replayed(*told).counts.lost == 42


class Endless(io.RawIOBase):
    """A trace of so many pairs of events that is made while it is read."""

    def __init__(self, pairs):
        self.pairs = pairs
        pair = f"{ftrace(ALLOC, 99, 0, 1)}\n{ftrace(FREE, 99, 0)}\n"
        self.block = pair.encode() * 2000

    def read(self, _=-1):
        self.pairs -= 2000
        return self.block if self.pairs >= 0 else b""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_trace():
    peaks = []
    for pairs in (4000, 40000):
        replay = Replay(Machine([(0x100000, 4096)]))
        tracemalloc.start()
        replay.run(Endless(pairs))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert replay.counts.events == 2 * pairs
    assert peaks[1] < 1.2 * peaks[0]


# ---- the command -----------------------------------------------------------------------------------


def test_the_command_shows_what_came_of_it_and_where_the_trace_is_wrong(capsys, tmp_path):
    path = tmp_path / "trace.txt"
    path.write_text(f"# tracer: nop\n{ftrace(ALLOC, 0x80, 2, 1)}\nrubbish\n{ftrace(FREE, 0x81, 9)}\n")

    assert main(["replay", str(path), "--memory", "1"]) == 0

    out, err = capsys.readouterr()
    assert re.search(r"^\s+1  blocks allocated$", out, re.MULTILINE)
    assert re.search(r"^\s+1  malformed lines$", out, re.MULTILINE)
    assert err == f"{path}: line 3: neither an event nor a comment: 'rubbish'\n"


def test_progress_goes_to_standard_error_with_an_estimate(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("memsim.cli.replay._SECONDS_BETWEEN", {False: 0, True: 0})
    path = tmp_path / "trace.txt"
    path.write_text(f"{ftrace(ALLOC, 0x80, 0, 1)}\n{ftrace(FREE, 0x80, 0)}\n" * 8192)

    main(["replay", str(path), "--memory", "1"])
    assert re.fullmatch(r"(?:[\d,]+ events, [\d,]+ a second, \d+%, \d+ s left\n)+", capsys.readouterr().err)
    main(["replay", str(path), "--memory", "1", "--quiet"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "options", "rule"),
    [
        (None, [], "cannot be read"),
        ("# nothing\n", [], "no event of the page allocator"),
        ("", [], "0 lines"),
        ("", ["--memory", "0"], "at least 1 GiB"),
    ],
)
def test_a_file_that_is_no_trace_gets_one_clear_line_and_status_2(capsys, tmp_path, content, options, rule):
    path = tmp_path / "trace.txt"
    if content is not None:
        path.write_text(content)

    assert main(["replay", str(path), *options]) == 2

    err = capsys.readouterr().err
    assert rule in err
    assert len(err.splitlines()) == 1
