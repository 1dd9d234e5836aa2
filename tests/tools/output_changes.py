"""Tell what an execution changed in the outputs that notebooks store, and which packages it was run with.

    python -m tests.tools.output_changes [COMMIT]

Compares the working tree with a commit (HEAD): the versions in requirements.lock, then cell by cell the
outputs of the book and of the instructor's guide. Text is shown as a diff, all else as its kind and size.
"""

from __future__ import annotations

import difflib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
MOST_LINES = 12
MOST_WIDTH = 160


def main(arguments: list[str]) -> int:
    """Print the changes since a commit."""
    commit = arguments[0] if arguments else "HEAD"
    print(f"Packages, since {commit}:")
    print(*(version_changes(*both("requirements.lock", commit)) or ["no version changed"]), sep="\n")
    changed = 0
    for path in [*sorted((ROOT / "book").glob("*.ipynb")), ROOT / "exercises" / "instructor-guide.ipynb"]:
        lines = notebook_changes(*both(path.relative_to(ROOT).as_posix(), commit))
        changed += bool(lines)
        print("", f"{path.name}:", *lines, sep="\n") if lines else None
    print(f"\nStored outputs changed in {changed} notebooks.")
    return 0


def both(name: str, commit: str) -> tuple[str, str]:
    """Return the text of a file in a commit ("" if it was not there) and now."""
    shown = subprocess.run(  # noqa: S603 (our own command)
        ["git", "show", f"{commit}:{name}"],  # noqa: S607 (git is where PATH says)
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    before = shown.stdout if shown.returncode == 0 else ""
    return before, (ROOT / name).read_text(encoding="utf-8")


def version_changes(before: str, after: str) -> list[str]:
    """Return a line for each package whose pinned version differs between two locks."""
    old, new = dict(PINNED.findall(before)), dict(PINNED.findall(after))
    return [
        f"  {name} {old.get(name, '(new)')} -> {new.get(name, '(gone)')}"
        for name in sorted(old | new)
        if old.get(name) != new.get(name)
    ]


def notebook_changes(before: str, after: str) -> list[str]:
    """Return what differs between the stored outputs of two versions of a notebook."""
    old, new = (_outputs(json.loads(text)) if text else {} for text in (before, after))
    lines = [f"  cell {name}: is gone" for name in old if name not in new]
    for name, outputs in new.items():
        if name not in old:
            lines.append(f"  cell {name}: is new")
            continue
        for kind in sorted(old[name] | outputs):
            lines += _changes_of(f"cell {name}, {kind}", old[name].get(kind), outputs.get(kind))
    return lines


def _outputs(notebook: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the outputs of each code cell, as text, by kind: a stream's name, "error", or a MIME type."""
    found = {}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            kinds = found.setdefault(str(cell.get("id", number)), {})
            for output in cell["outputs"]:
                for kind, value in _parts(output).items():
                    kinds[kind] = kinds.get(kind, "") + _text(value)
    return found


def _parts(output: dict[str, Any]) -> dict[str, Any]:
    if output["output_type"] == "stream":
        return {output["name"]: output["text"]}
    if output["output_type"] == "error":
        return {"error": f"{output['ename']}: {output['evalue']}\n"}
    return dict(output["data"])


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return json.dumps(value, sort_keys=True)


def _changes_of(where: str, before: str | None, after: str | None) -> list[str]:
    if before == after:
        return []
    if before is None or after is None:
        return [f"  {where}: is {'new' if before is None else 'gone'}"]
    kind = where.rpartition(", ")[2]
    if kind not in {"stdout", "stderr", "error"} and not kind.startswith("text/plain"):
        return [f"  {where}: {len(before):,} characters -> {len(after):,}"]
    diff = [*difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")][2:]
    shown = [f"    {line[:MOST_WIDTH]}" for line in diff if not line.startswith("@@")]
    more = [f"    ... and {len(shown) - MOST_LINES} lines more"] if len(shown) > MOST_LINES else []
    return [f"  {where}:", *shown[:MOST_LINES], *more]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
