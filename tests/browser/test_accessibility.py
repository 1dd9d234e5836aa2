"""Every widget on one page, alive and as it is stored: axe-core finds nothing that keeps anybody out.

The page around the outputs is JupyterLab's.
"""

from __future__ import annotations

import json
import shutil

import nbformat
import pytest

from tests.book.reading import BOOK
from tests.tiers import breadth
from tests.tools.execute_book import execute, tidy

from .notebook import STATIC, write_notebook
from .test_export import violations

pytestmark = pytest.mark.browser

CELLS = (
    "from memsim import Scenario, compare; scenario = Scenario.load('scenarios/one-block.json')",
    "from memsim.lesson import *",
    "from memsim.view.explorer.explorer import explore\nexplore(compare(scenario), block=32)",
    "from memsim.view.half_patch.widget import half_patch\nhalf_patch(scenario)",
    "half_patch()",
    "from memsim.view.buddy_lab.widget import buddy_lab\nbuddy_lab()",
    "from memsim.view.driver_lab.widget import driver_lab\ndriver_lab('virtio-mem')",
    "driver_lab('hv-balloon')",
    "driver_lab('xen-balloon')",
    "from memsim.view.decode import decode_page\ndecode_page(0xf1000000)",
    "predict('How many?', 'number', answer=1, explain='One.')",
    "predict('Why?', 'words', answer='Because.', explain='So.')",
    "predict('Which?', ['this', 'that'], answer='this', explain={'this': 'Yes.', 'that': 'No.'})",
    "quiz('Who?', {'I': 'Yes.', 'You': 'No.'}, correct='I')",
    "ask('side', seed=1)",
    "answer('side', seed=1)",
    "solution(1, 'Two `pages`.', rubric=('one', 'two', 'three'))",
    "solution(2, 'Two.', lines={'pages': lambda: 2})",
    "claim('a.b', 'So.', 'f(), 6.12', lambda: len(scenario.steps) > 0, lambda: not scenario.steps)",
    "on_a_real_kernel('See it.', 'cat /proc/zoneinfo', 'Node 0')",
)
WIDGETS = 14
OUTPUTS = "{ include: [['.jp-OutputArea-output']] }"


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A notebook with all there is, executed and stored as the book is."""
    path = write_notebook(tmp_path_factory.mktemp("all") / "all" / "all.ipynb", *CELLS)
    shutil.copytree(BOOK / "scenarios", path.parent / "scenarios")
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path.parent)
    tidy(notebook)
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize("theme", breadth(["JupyterLab Light", "JupyterLab Dark"]))
def test_all_widgets_and_all_static_forms(everything, page, open_notebook, theme):
    notebook = open_notebook(everything)
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    notebook.wait_until(page.locator(f".{STATIC}").count, lambda now: now >= 4, "no static forms are shown")
    page.wait_for_timeout(500)
    assert violations(page, OUTPUTS) == []
    notebook.run_all()
    assert notebook.errors() == []
    assert notebook.widgets() == WIDGETS
    notebook.wait_for_widgets(WIDGETS)
    for form in page.locator(".memsim-lesson").all():
        field = form.locator("input").first
        field.check() if field.get_attribute("type") == "radio" else field.fill("1")
        form.locator(".memsim-do").click()  # what is said then is part of the page
    page.wait_for_timeout(500)
    assert violations(page, OUTPUTS) == []


def test_the_page_holds_every_kind_of_cell(everything):
    stored = json.loads(everything.read_text(encoding="utf-8"))
    assert all(cell["outputs"] for cell in stored["cells"][2:])
