"""Page maps as SVG: every class has a letter and a pattern of its own, and every page its place."""

from __future__ import annotations

import base64
import re
from itertools import combinations
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from memsim.view.draw import SIZE, data_uri, legend_html, map_image, map_svg, swatch
from memsim.view.model.page_class import CLASSES, PageClass

SVG = "{http://www.w3.org/2000/svg}"
NO_HEADS = np.full(32768, -1, np.int8)


def drawn(classes, heads=NO_HEADS):
    """Return the rectangles of a map, without those of patterns: fill, x, y, width, height."""
    root = ET.fromstring(map_svg(classes, heads[: len(classes)]))  # noqa: S314 (our own)
    tiles = [each for each in root if each.tag == f"{SVG}rect" and each.get("fill").startswith("url")]
    return [(t.get("fill"), *(float(t.get(name)) for name in ("x", "y", "width", "height"))) for t in tiles]


def fill(kind):
    return f"url(#p{int(kind)})"


def block(kind):
    return np.full(32768, kind, np.uint8)


def test_a_block_of_128_mib_has_8_x_8_tiles_in_the_order_of_their_pfns():
    tiles = drawn(block(PageClass.OFFLINE))
    assert len(tiles) == 64
    assert [tile[1:3] for tile in tiles[:2]] == [(0, 0), (49, 0)]
    assert tiles[8][1:3] == (0, SIZE / 8)
    one = block(PageClass.OFFLINE)
    one[9 * 512 : 10 * 512] = PageClass.RESERVED
    (reserved,) = [tile for tile in drawn(one) if tile[0] == fill(PageClass.RESERVED)]
    assert reserved[1:3] == (49, SIZE / 8)


def test_a_page_that_is_unlike_the_others_of_its_pageblock_is_drawn_in_its_place():
    classes = block(PageClass.OFFLINE)
    classes[17] = PageClass.ALLOCATED  # a row has 16 pages
    (page,) = [tile for tile in drawn(classes) if tile[0] == fill(PageClass.ALLOCATED)]
    width, height = 48 / 16, 32 / 32
    assert page[1:] == pytest.approx((width, height, width, height))


def test_the_largest_free_block_is_two_tiles_that_have_grown_together():
    heads = NO_HEADS.copy()
    heads[0] = 10
    first, second = drawn(block(PageClass.FREE), heads)[:2]
    assert first[1] + first[3] == second[1]
    apart = drawn(block(PageClass.FREE), NO_HEADS)[:2]
    assert apart[0][1] + apart[0][3] < apart[1][1]


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not PageClass.ABSENT])
def test_every_class_has_its_letter_on_its_tiles(kind):
    assert f">{kind.letter}</text>" in map_svg(block(kind), NO_HEADS)


def test_no_two_classes_have_the_same_pattern_and_colour_or_the_same_letter():
    """Colour is never the only sign: without colours the patterns, without both the letters differ."""
    strip = re.compile(r'fill="#\w+"|id="\w+"|<text.*?</text>|url\(#\w+\)|stroke="#fff"')
    motifs = {kind: strip.sub("", swatch(kind)) for kind in CLASSES}
    plain = {PageClass.ABSENT, PageClass.FREE}  # the empty one, and the one that most pages end as
    for one, other in combinations(CLASSES, 2):
        assert one.letter != other.letter
        assert one.colour != other.colour
        assert motifs[one] != motifs[other] or {one, other} == plain


def test_parts_of_pageblocks_are_refused():
    for pages in (0, 511, 513):
        with pytest.raises(ValueError, match=f"whole pageblocks of 512 pages, not {pages} pages"):
            map_svg(np.zeros(pages, np.uint8), NO_HEADS)


def test_a_picture_is_in_its_address_and_asks_nobody():
    image = map_image(block(PageClass.FREE), NO_HEADS, 'says "hi" & more')
    assert image.startswith('<img alt="says &quot;hi&quot; &amp; more" src="data:image/svg+xml;base64,')
    picture = base64.b64decode(re.search(r"base64,([^\"]*)", image)[1]).decode()
    assert picture == map_svg(block(PageClass.FREE), NO_HEADS)
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


def test_the_legend():
    html = legend_html()
    for kind in CLASSES:
        assert f"<b>{kind.letter}</b> {kind.label}" in html
        assert f'<img alt="{kind.pattern}" src="{data_uri(swatch(kind))}"' in html
    assert legend_html([PageClass.FREE]).count("<img") == 1
