"""Modules that import each other as one that imports nothing, which is what a notebook loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memsim.view.modules import joined

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "memsim").rglob("static/*.js"))


def test_what_is_imported_stands_before_what_needs_it_and_once(tmp_path):
    (tmp_path / "more").mkdir()
    imports = 'import { one } from "./more/one.js";\nimport * as two from "./two.js";\n'
    (tmp_path / "main.js").write_text(f"{imports}export default one + two.two;\n")
    (tmp_path / "two.js").write_text('import { one } from "./more/one.js";\nexport const two = 2 * one;\n')
    (tmp_path / "more" / "one.js").write_text("export const one = 1;\n")
    text = joined(tmp_path / "main.js")
    assert "import " not in text
    parts = ("const $one = ", "const $two = ", "const { one } = $one;", "export default")
    places = [text.index(part) for part in parts]
    assert text.count("const one = 1") == 1
    assert places == sorted(places)
    assert "return { two };" in text
    assert "const two = $two;\nexport default one + two.two;" in text


def test_two_modules_that_need_each_other_are_refused(tmp_path):
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = b;\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = a;\n')
    with pytest.raises(ValueError, match="a needs b needs a"):
        joined(tmp_path / "a.js")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_no_script_of_a_widget_is_left_with_an_import(path):
    assert not re.search(r"^import ", joined(path), re.MULTILINE)
    assert path.stem == "make" or "function make(" not in path.read_text(encoding="utf-8")
