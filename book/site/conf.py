"""Sphinx's settings for the book's web site. ``make site`` builds it."""

from importlib.metadata import version as version_of
from typing import Any

project = "memsim"
author = "The memsim authors"
project_copyright = "The memsim authors, CC BY 4.0"
version = release = version_of("memsim")
language = "en"
root_doc = "index"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_typehints = "none"  # the signature is enough, and half of the types are imported for checking only
autodoc_preserve_defaults = True
napoleon_google_docstring = False
nb_execution_mode = "off"  # what a reader sees is what is stored, and was tested
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # nothing from other hosts; no live widgets are stored
myst_enable_extensions: list[str] = []
myst_heading_anchors = 3
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

html_theme = "furo"
html_title = "memsim"
html_copy_source = False
html_show_sourcelink = False
html_css_files = ["explorer.css", "widgets.css", "site.css"]
html_js_files = [(name, {"defer": "defer"}) for name in ("player.js", "widgets.js", "live.js")]
html_search_language = "en"


def setup(app: Any) -> None:
    """Mend the contents after Furo has made them: Sphinx makes headings of captions, but of no level."""
    app.connect("html-page-context", _give_captions_a_level, priority=900)


def _give_captions_a_level(
    _app: Any, _page: str, _template: str, context: dict[str, Any], _tree: Any
) -> None:
    contents = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = contents.replace('role="heading"', 'role="heading" aria-level="2"')
