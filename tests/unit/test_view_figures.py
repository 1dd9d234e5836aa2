"""Page maps as pictures, and figures made of them."""

from __future__ import annotations

import itertools
import json
import re
import struct
import zlib

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim import Scenario, compare
from memsim.view.draw.figures import (
    alt_text,
    block_figure,
    block_png,
    counters_figure,
    legend_html,
    static_html,
)
from memsim.view.draw.glyphs import GLYPHS, LIGHT_INK, PATTERNS, PERIOD, dots, pattern, stamp
from memsim.view.draw.page_map import block_image, grid
from memsim.view.draw.png import SIGNATURE, png
from memsim.view.model.page_class import CLASSES, PageClass

PAGES = 32768
GREY = np.array([0.299, 0.587, 0.114])
"""What red, green and blue weigh in greyscale (ITU-R BT.601)."""


@pytest.fixture(scope="module")
def mixed():
    """Return ten pageblocks of one class each, and free ones with one allocated page in the last."""
    classes = np.full(PAGES, PageClass.FREE, np.uint8)
    classes[: 512 * len(CLASSES)] = np.repeat(np.arange(len(CLASSES)), 512)
    classes[-1] = PageClass.ALLOCATED
    return classes


@pytest.fixture(scope="module")
def both():
    steps = [
        {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": PAGES},
        {"do": "online", "block": 32, "type": "online_movable"},
    ]
    machine = {"ram": [[0, 131072]]}
    return compare(Scenario.parse({"format": "memsim-scenario/1", "machine": machine, "steps": steps}))


def decode(file):
    """Return width, height and the pixels (red, green, blue) of a PNG file with a palette."""
    assert file.startswith(SIGNATURE)
    chunks, at = {}, len(SIGNATURE)
    while at < len(file):
        (size,) = struct.unpack_from(">I", file, at)
        name, content = file[at + 4 : at + 8], file[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", file, at + 8 + size) == (zlib.crc32(name + content),)
        chunks[name] = content
        at += size + 12
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height, depth, kind, *_ = struct.unpack(">II5B", chunks[b"IHDR"])
    assert (depth, kind) == (8, 3)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    return width, height, palette[rows[:, 1:]]


# ---- the picture -----------------------------------------------------------------------------------


def test_a_block_of_128_mib_has_8_x_8_tiles_of_32_x_16_pages(mixed):
    width, height, pixels = decode(block_png(mixed))
    # Three pixels a page, four between tiles and around them.
    assert (width, height) == (8 * (32 * 3 + 4) + 4, 8 * (16 * 3 + 4) + 4)
    # A corner of each tile, where no letter is, has the colour of its class or the ink over it.
    for kind in CLASSES:
        top, left = 4 + (kind // 8) * 52, 4 + (kind % 8) * 100
        seen = {tuple(colour) for colour in pixels[top : top + 12, left : left + 12].reshape(-1, 3).tolist()}
        colour = tuple(bytes.fromhex(kind.colour[1:]))
        assert colour in seen
        assert seen <= {colour, (255, 255, 255) if kind in LIGHT_INK else (0, 0, 0)}


def test_pages_stand_in_the_order_of_their_pfns():
    plain = np.full(PAGES, PageClass.FREE, np.uint8)
    for pfn, (row, column) in {0: (4, 4), 31: (4, 97), 32: (7, 4), 512 * 9 + 1: (56, 107)}.items():
        changed = plain.copy()
        changed[pfn] = PageClass.POISONED
        rows, columns = np.nonzero(block_image(changed) != block_image(plain))
        edge = pfn // 512 // 8 * 52 + 4, pfn // 512 % 8 * 100 + 4
        assert (row, column) == (edge[0] + pfn % 512 // 32 * 3, edge[1] + pfn % 32 * 3)
        # Three by three pixels, and the letters in the middle of the tile, which are two now.
        assert {(row + i, column + j) for i in range(3) for j in range(3)} <= set(
            zip(rows.tolist(), columns.tolist(), strict=True)
        )
        assert (rows // 52 == row // 52).all()
        assert (columns // 100 == column // 100).all()


def test_heads_of_free_blocks_are_dark():
    classes = np.full(PAGES, PageClass.FREE, np.uint8)
    heads = np.full(PAGES, -1, np.int8)
    heads[::1024] = 10
    light, dark = decode(block_png(classes))[2] @ GREY, decode(block_png(classes, heads))[2] @ GREY
    differs = light != dark
    assert differs.sum() == 32 * 9
    assert (dark[differs] < light[differs] / 2).all()
    assert differs[4:7, 4:7].all()
    assert not differs[4:52, 104:200].any()


def test_every_tile_has_its_letter(mixed):
    image = decode(block_png(mixed))[2]
    for kind in CLASSES:
        ink, rim = stamp(kind.letter, 48, 96)
        tile = image[4 + (kind // 8) * 52 :, 4 + (kind % 8) * 100 :][:48, :96]
        assert (tile[ink] == 0).all()
        assert (tile[rim] == 255).all()
    ink, _ = stamp("BA", 48, 96)
    assert (image[-52:-4, -100:-4][ink] == 0).all()


def test_letters_differ_much_and_are_large():
    shapes = [dots(GLYPHS[kind.letter]) for kind in CLASSES]
    assert min((a != b).sum() for a, b in itertools.combinations(shapes, 2)) >= 3
    ink, rim = stamp("R", 48, 96)
    assert np.ptp(np.nonzero(ink)[0]) + 1 == 28
    assert not (ink & rim).any()


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(CLASSES, 2)])
def test_patterns_differ_in_shape_however_they_are_shifted(one, other):
    """Not one of 144 shifts makes a pattern another one, so that they differ without any colour."""
    a, b = (pattern(kind, PERIOD, PERIOD) for kind in (one, other))
    shifts = itertools.product(range(PERIOD), repeat=2)
    closest = min((np.roll(a, shift, (0, 1)) != b).mean() for shift in shifts)
    assert closest >= 0.02


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind != PageClass.FREE])
def test_patterns_show_in_greyscale(kind):
    """W3C asks for a contrast of 3 to 1 between parts of a picture that one has to tell apart."""
    ground = luminance(kind.colour)
    ink = 1.0 if kind in LIGHT_INK else 0.0
    assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 3


def luminance(colour):
    parts = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_every_pattern_fits_the_period():
    for drawing in PATTERNS.values():
        height, width = dots(drawing).shape
        assert PERIOD % height == PERIOD % width == 0


@pytest.mark.parametrize(("nr_tiles", "size"), [(1, (56, 104)), (64, (420, 804)), (1024, (578, 1090))])
def test_ranges_of_other_sizes(nr_tiles, size):
    image = block_image(np.full(512 * nr_tiles, PageClass.OFFLINE, np.uint8))
    assert image.shape == size


def test_a_row_that_is_not_full():
    assert grid(65) == (16, 2)
    image = block_image(np.zeros(512 * 65, np.uint8))
    assert image.shape == (5 * 35 + 3, 16 * 67 + 3)


def test_parts_of_pageblocks_are_refused():
    for nr_pages in (0, 100, 513):
        with pytest.raises(ValueError, match=f"not {nr_pages} pages"):
            block_png(np.zeros(nr_pages, np.uint8))


# ---- the compressor --------------------------------------------------------------------------------


def test_reproducible_pictures_are_the_same_pictures(mixed):
    heads = np.full(PAGES, -1, np.int8)
    heads[512 * len(CLASSES) :: 512] = 9
    quick, same_everywhere = (block_png(mixed, heads, reproducible=flag) for flag in (False, True))
    assert (decode(quick)[2] == decode(same_everywhere)[2]).all()
    assert len(same_everywhere) < 2 * len(quick)


def test_reproducible_pictures_do_not_depend_on_the_version_of_zlib(mixed, monkeypatch):
    """What zlib makes of the same data is not defined and differs; CRC-32 and Adler-32 are defined."""
    monkeypatch.delattr(zlib, "compress")
    monkeypatch.delattr(zlib, "compressobj")
    assert block_png(mixed, reproducible=True)


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=40),
    st.integers(1, 600),
    st.lists(st.sampled_from([1, 2, 7, 40, 258, 300, 5000, 40000]), min_size=1, max_size=4),
)
def test_any_picture_comes_back(some, times, look_back):
    image = np.tile(np.array(some, np.uint8), (times, 1))
    palette = bytes(range(256)) * 3
    file = png(image, palette, tuple(look_back))
    back = decode(file)
    assert back[:2] == image.shape[::-1]
    assert (back[2] == np.frombuffer(palette, np.uint8).reshape(-1, 3)[image]).all()


# ---- figures ---------------------------------------------------------------------------------------


def test_the_block_figure(mixed):
    plain = np.full(PAGES, PageClass.FREE, np.uint8)
    figure = block_figure({"before": mixed, "after": plain})
    assert [trace.type for trace in figure.data].count("image") == 2
    assert {note.text for note in figure.layout.annotations} == {"before", "after"}
    names = [trace.name for trace in figure.data if trace.type == "scatter"]
    assert [name[0] for name in names] == [kind.letter for kind in CLASSES]
    assert len({trace.marker.symbol for trace in figure.data if trace.type == "scatter"}) == len(CLASSES)
    assert figure.layout.meta["alt"] == alt_text({"before": mixed, "after": plain})
    assert "after: 32768 pages free (B); pageblocks 0-63 B." in figure.layout.meta["alt"]
    # No lists of pages, and no other address than of the pictures in it.
    text = figure.to_json()
    assert len(text) < 60_000
    assert "http" not in text
    assert figure.to_json() == block_figure({"before": mixed, "after": plain}).to_json()


def test_the_counters_figure(both):
    figure = counters_figure(both, "Movable")
    lines = {trace.name: trace for trace in figure.data}
    assert set(lines) == {f"{c}, {s}" for c in ("managed", "present", "nr_free") for s in ("before", "after")}
    for counter in ("managed", "present", "nr_free"):
        one, other = lines[f"{counter}, before"], lines[f"{counter}, after"]
        assert one.line.dash != other.line.dash
        assert one.marker.symbol != other.marker.symbol
        assert one.line.shape == other.line.shape == "hv"
        # The patch does not change when pages are counted.
        assert (one.y == other.y).all()
    assert len({trace.marker.symbol for trace in figure.data}) == 6
    managed = lines["managed, after"].y
    # One chunk of 1024 pages after the other (__free_pages_core), from none to all.
    assert set(np.diff(managed).tolist()) == {0, 1024}
    assert (managed[0], managed[-1]) == (0, PAGES)
    assert set(np.diff(lines["present, after"].y).tolist()) == {0, PAGES}
    assert "managed before the patch from 0 to 32768" in figure.layout.meta["alt"]
    assert isinstance(figure, go.Figure)


def test_the_legend():
    html = legend_html()
    for kind in CLASSES:
        assert f"<b>{kind.letter}</b> {kind.label}" in html
        assert f'alt="{kind.pattern}"' in html
    assert legend_html([PageClass.FREE]).count("<img") == 1


def test_the_static_figure(mixed):
    html = static_html({"a < b": (mixed, None, 'says "hi" & more')}, "twin <of> it", "Title", "Last & least")
    assert '<img alt="says &quot;hi&quot; &amp; more" src="data:image/png;base64,' in html
    assert "<b>a &lt; b</b>" in html
    assert "twin &lt;of&gt; it</pre>" in html
    assert html.endswith("<p>Last &amp; least</p></figure>")
    assert all(address.startswith("data:") for address in re.findall(r'(?:src|href)="([^"]*)', html))
    assert "http" not in html
    assert json.dumps(html) == json.dumps(
        static_html({"a < b": (mixed, None, 'says "hi" & more')}, "twin <of> it", "Title", "Last & least")
    )
