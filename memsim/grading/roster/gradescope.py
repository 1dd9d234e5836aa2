"""Who has handed in what, by an export of Gradescope's: ``submission_metadata.yml`` beside the folders.

The folders are called ``submission_4711``, and only this file says whose they are and when they came. It is
YAML, its names are symbols of Ruby's: ``:submitters``, each with ``:name``, ``:sid`` and ``:email``, and
``:created_at``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

from memsim.grading.roster.people import RosterError

if TYPE_CHECKING:
    from pathlib import Path

METADATA = "submission_metadata.yml"


@dataclass(frozen=True)
class Submission:
    """A folder of an export."""

    submitters: tuple[tuple[str, ...], ...]
    """The names of each student, those first that tell most: number, address, name."""
    time: datetime | None = None


def read_export(path: Path) -> dict[str, Submission]:
    """Return what an export says of each of its folders.

    Raises
    ------
    RosterError
        It cannot be read, or does not say who has handed in.
    """
    try:
        document = import_module("yaml").safe_load(path.read_text(encoding="utf-8"))
        made = {str(name): _submission(entry) for name, entry in document.items()}
    except ImportError:
        msg = f"{path}: PyYAML, which reads it, is not installed: pip install pyyaml"
        raise RosterError(msg) from None
    except Exception as error:  # noqa: BLE001 (whatever YAML makes of a damaged file)
        msg = f"{path}: it does not say who has handed in ({type(error).__name__})"
        raise RosterError(msg) from None
    return made


def _submission(entry: dict[str, Any]) -> Submission:
    who = [
        tuple(str(one[name]) for name in (":sid", ":email", ":name") if one.get(name))
        for one in entry[":submitters"]
    ]
    time = entry.get(":created_at")
    if isinstance(time, datetime) and time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return Submission(tuple(filter(None, who)), time if isinstance(time, datetime) else None)
