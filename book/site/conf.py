"""Sphinx's settings for the book's web site. ``make site`` builds it."""

import os
import re
from html import escape, unescape
from importlib.metadata import version as version_of
from typing import Any

from docutils import nodes

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
napoleon_use_ivar = True  # attributes stand once: as autodoc finds them or as the docstring lists them
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
html_js_files = [(name, {"defer": "defer"}) for name in ("explorer.js", "site.js", "widgets.js", "live.js")]
html_favicon = "static/favicon.svg"
html_baseurl = os.environ.get("MEMSIM_SITE", "")
"""Where the site will be, such as https://example.org/memsim/: shared links need the whole address."""
html_search_language = "en"
html_domain_indices = False  # the list of modules is in the reference


def setup(app: Any) -> None:
    """Mend the contents after Furo has made them, and say what a page is to those who share its link."""
    app.connect("html-page-context", _give_captions_a_level, priority=900)
    app.connect("html-page-context", _describe)


def _give_captions_a_level(
    _app: Any, _page: str, _template: str, context: dict[str, Any], _tree: Any
) -> None:
    """Give captions the level of a heading, which Sphinx leaves out."""
    contents = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = contents.replace('role="heading"', 'role="heading" aria-level="2"')


def _describe(_app: Any, page: str, _template: str, context: dict[str, Any], tree: Any) -> None:
    """Add the title, the first paragraph and a picture of a page, as Open Graph wants them."""
    paragraphs = [each.astext() for each in tree.findall(nodes.paragraph)] if tree is not None else []
    words = " ".join(next((text for text in paragraphs if len(text) > MOST_OF_A_TITLE), "").split())
    title = unescape(re.sub(r"<.*?>", "", context.get("title", project)))
    tags = {"og:site_name": project, "og:type": "article", "og:title": title}
    tags |= {"og:description": words} if words else {}
    tags |= {"og:image": f"{html_baseurl}_static/preview.png", "og:image:alt": PREVIEW}
    tags |= {"og:url": f"{html_baseurl}{page}.html"} if html_baseurl else {}
    made = [f'<meta property="{name}" content="{escape(text)}">' for name, text in tags.items()]
    made += [f'<meta name="description" content="{escape(words)}">'] if words else []
    made.append('<meta name="twitter:card" content="summary_large_image">')
    context["metatags"] = context.get("metatags", "") + "\n".join(made)


MOST_OF_A_TITLE = 40
PREVIEW = (
    "A memory block comes online on two kernels: reserved pages before the patch, Offline pages after it."
)
