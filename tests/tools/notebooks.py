"""Notebooks that are made by a program: the generated appendices, and chapters that a tool changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What memsim.lesson.kernel says: otherwise a notebook that is only opened would be a changed one.
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": "3",
}


def prose(name: str, text: str) -> dict[str, Any]:
    """Return a Markdown cell with an id."""
    return {
        "cell_type": "markdown",
        "id": name,
        "metadata": {},
        "source": text.strip().splitlines(keepends=True),
    }


def notebook_of(*cells: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook made of cells."""
    return {
        "cells": list(cells),
        "metadata": {"kernelspec": KERNELSPEC, "language_info": LANGUAGE},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def dumps(notebook: dict[str, Any]) -> str:
    """Return a notebook as nbformat writes it, so that an executed one does not differ."""
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def write(path: Path, notebook: dict[str, Any]) -> None:
    """Write a notebook."""
    path.write_text(dumps(notebook), encoding="utf-8", newline="\n")
