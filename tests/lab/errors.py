"""The one error of the lab."""

from __future__ import annotations


class LabError(Exception):
    """What the lab cannot do here: the message names the file, the program or the limit."""
