"""plotly's figures as a notebook that nobody trusts shows them: no style sheet of ours reaches them."""

from __future__ import annotations

import json

import pytest

from memsim.view.charts import Bars, Line, Lines
from memsim.view.charts.chart import PLOTLY

from .notebook import write_notebook

pytestmark = pytest.mark.browser

POINTS = ("boot", "one", "two", "three")
SERIES = (Line("managed", (0, 0, 1024, 1024)), Line("free", (5, 5, 5, 5), "dot"))
CHARTS = (
    Lines("Marks", POINTS, SERIES, marks=(1, 2)),
    Lines("Numbers", POINTS, SERIES),
    Bars("Bars", ("a", "b"), {"before": (1, 2000), "after": (0, 3)}),
)
WORDS = {
    "Marks",
    "Numbers",
    "Bars",
    "managed",
    "free",
    "two",
    "0: boot … 3: three",
    "pages",
    "before",
    "a",
    "0",
    "2,000",
}
CONTRASTS = """() => {
  const numbers = (colour) => { // red, green, blue and how opaque
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const paper = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = numbers(getComputedStyle(at).backgroundColor);
      if (found[3] === 1) return found;
    }
    return [255, 255, 255, 1];
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const texts = [...document.querySelectorAll(".js-plotly-plot .main-svg :is(text, tspan)")];
  return texts.filter((each) => each.textContent && !each.childElementCount).map((each) => {
    const under = paper(each),
      [r, g, b, a] = numbers(getComputedStyle(each).fill);
    const seen = [r, g, b].map((part, n) => a * part + (1 - a) * under[n]);
    const both = [light(seen), light(under)];
    return [each.textContent, Math.max(...both) / Math.min(...both)];
  });
}"""
"""Each text of the figures, and its contrast as WCAG 2 computes it."""


@pytest.fixture
def stored_charts(tmp_path):
    """A notebook that stores the figures as a chapter does."""
    path = write_notebook(tmp_path / "charts" / "charts.ipynb", *("None" for _ in CHARTS))
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell, chart in zip(notebook["cells"], CHARTS, strict=True):
        data = {PLOTLY: chart.plotly(), "text/plain": chart.text}
        cell["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def test_every_text_of_a_figure_is_legible_in_both_themes(stored_charts, open_notebook, page):
    """4.5:1, as WCAG 2 AA asks for text of this size."""
    notebook = open_notebook(stored_charts)
    plots = page.locator(".js-plotly-plot .main-svg .xtick text")
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
        )
        page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
        notebook.wait_until(plots.count, bool, "no figure is shown")
        shown = notebook.wait_until(
            lambda: page.evaluate(CONTRASTS),
            lambda now: {text for text, _ in now} >= WORDS,
            f"not all words are shown: {WORDS}",
        )
        notebook.wait_until(
            lambda: [each for each in page.evaluate(CONTRASTS) if each[1] < 4.5],
            lambda now: not now,
            f"{theme}: faint text among {shown}",
        )
