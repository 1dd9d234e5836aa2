"""A package for pytest: a Chromium, and JupyterLab loaded in it, serve all tests of this folder."""
