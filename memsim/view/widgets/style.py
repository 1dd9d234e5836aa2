"""The style sheet that the labs share.

It uses the variables of JupyterLab's themes, so that light and dark both work.
"""

STYLE = """<style>
.memsim-explorer { overflow: visible; color: var(--jp-ui-font-color1, #212121); max-width: 1660px; }
.memsim-explorer .widget-html-content { line-height: 1.35; }
.memsim-explorer .widget-label { min-width: max-content; }
.memsim-explorer.memsim-explorer :focus-visible { /* twice: ipywidgets takes it from text fields */
  outline: 3px solid var(--jp-brand-color1, #1976d2) !important; outline-offset: 2px;
}
/* The arrow of a list to choose from: ipywidgets has a dark one in dark themes, too. */
.memsim-explorer {
  --jp-widgets-dropdown-arrow: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
viewBox='-2 -2 13 13'%3E%3Cpath d='M2 3l3 3 3-3' fill='none' stroke='%23808080'/%3E%3C/svg%3E");
}
.memsim-sides { display: flex; flex-wrap: wrap; gap: 16px; }
.memsim-sides > div { flex: 1 1 380px; min-width: 0; }
.memsim-sides h4 { margin: 4px 0; font-size: 1.05em; }
.memsim-sides p { margin: 4px 0; }
.memsim-tables { display: flex; flex-wrap: wrap; gap: 0 32px; }
.memsim-tables > div { max-width: 100%; overflow-x: auto; }
.memsim-explorer pre.memsim-twin {
  white-space: pre-wrap; word-break: normal; overflow-wrap: break-word;
  margin: 0; padding: 8px; line-height: 1.35;
  font-family: var(--jp-code-font-family, monospace); font-size: 0.85em;
  color: inherit; background: transparent; border: 1px solid var(--jp-border-color1, #8a8a8a);
}
</style>"""
