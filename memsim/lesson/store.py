"""What a reader predicted earlier: in memory, and in one JSON file on the reader's own machine.

The file lies in the user's data directory, or where MEMSIM_PREDICTIONS says; set to nothing, it switches
the file off. Nothing is ever sent anywhere, and deleting the file forgets everything. A file that cannot
be written costs nothing but the memory of it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memsim.lesson.fields import Value

FORMAT = "memsim-predictions/1"
VARIABLE = "MEMSIM_PREDICTIONS"
_memory: dict[tuple[str, ...], Value] = {}


def recall(question: str, options: tuple[str, ...]) -> Value | None:
    """Return what was predicted last for this question with these options, or None."""
    key = (question, *options)
    return _memory.get(key, _load().get(key))


def remember(question: str, options: tuple[str, ...], predicted: Value) -> None:
    """Keep a prediction, in the file too if that is possible."""
    _memory[question, *options] = predicted
    path = path_of_store()
    if path is None or (path.exists() and _read(path) is None):
        return  # switched off, or another program's file
    records = [
        {"question": key[0], "options": key[1:], "predicted": value}
        for key, value in (_load() | _memory).items()
    ]
    _write(path, {"format": FORMAT, "predictions": records})


def path_of_store() -> Path | None:
    """Return where predictions are kept on this platform, or None if they are not to be."""
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    try:
        return _data_directory() / "memsim" / "predictions.json"
    except RuntimeError:  # a user without a home
        return None


def _data_directory() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def _load() -> dict[tuple[str, ...], Value]:
    path = path_of_store()
    records = (_read(path) if path else None) or []
    return {(record["question"], *record["options"]): record["predicted"] for record in records}


def _read(path: Path) -> list[dict[str, Any]] | None:
    """Return the records of a file of ours; None if it cannot be read or is not ours."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    records = document.get("predictions")
    return [r for r in records if _is_record(r)] if isinstance(records, list) else []


def _is_record(record: object) -> bool:
    return (
        isinstance(record, dict)
        and isinstance(record.get("question"), str)
        and isinstance(record.get("options"), list)
        and all(isinstance(option, str) for option in record["options"])
        and isinstance(record.get("predicted"), (str, int, float))
    )


def _write(path: Path, document: dict[str, Any]) -> None:
    """Replace the file as a whole, so that no other kernel ever reads half of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError:
        return
