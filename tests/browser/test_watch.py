"""What the browser tests look out for is noticed when it happens."""

from __future__ import annotations

import pytest

from .notebook import Notebook, Watch, write_notebook

pytestmark = pytest.mark.browser

SHOUTS = """\
from IPython.display import HTML, display
HTML('''<img alt="" src="http://images.example/map.png">
<script>console.error("shouted"); setTimeout(() => { throw new Error("thrown"); });</script>''')"""
# As in a notebook that is stored with the number of a widget.
GONE = "display({'application/vnd.jupyter.widget-view+json': {'model_id': 'gone'}}, raw=True)"
COMPLAINTS = (
    "request to another host: http://images.example",
    "console error: shouted",
    "page error: thrown",
)
ERRORS = ("ZeroDivisionError: integer division or modulo by zero", "Error displaying widget")


def test_what_goes_wrong_is_noticed(tab, page, lab, sheet, tmp_path):  # noqa: ARG001 (JupyterLab is loaded)
    if sheet:
        sheet.pop().close()
    watch = Watch(page, lab)
    path = write_notebook(tmp_path / "wrong" / "wrong.ipynb", SHOUTS, GONE, "1 // 0", "'never reached'")
    notebook = Notebook(page, lab, f"{lab.copy(path.parent)}/{path.name}")
    watch.assert_clean()  # so far
    notebook.run_all()
    notebook.wait_until(lambda: told(ERRORS, notebook.errors()), all, "not all errors are noticed")
    assert notebook.widgets() == 1
    assert notebook.unrun() == ["'never reached'"]
    notebook.wait_until(lambda: told(COMPLAINTS, watch.complaints), all, "not all complaints are noticed")
    with pytest.raises(AssertionError, match="the browser complained"):
        watch.assert_clean()
    watch.stop()
    notebook.close()
    lab.forget()


def told(wanted, found):
    return [any(text in line for line in found) for text in wanted]
