"""JavaScript modules that import each other, joined to one that imports nothing.

They are plain ES modules, as a page of one's own may load them. anywidget cannot (it loads a module from
memory, where ``./other.js`` leads nowhere), nor can a page that is opened from a disk. So each module that
another one imports becomes a function, called in the order in which they need each other. An ``export`` of
theirs names one thing, and no two have one name.

Left out: everything a bundler does beyond that; the modules need nothing from elsewhere.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_IMPORT = re.compile(
    r'^import (?:\{(?P<names>[^}]*)\}|\* as (?P<whole>\w+)) from "(?P<path>\.[\w./-]+\.js)";\n', re.MULTILINE
)
_EXPORT = re.compile(
    r"^export (?:async )?(?:const|let|class|function\*?) (?P<names>\[[^\]]*\]|\w+)", re.MULTILINE
)


@lru_cache(maxsize=16)
def joined(main: Path) -> str:
    """Return a module with all that it needs before it; ``$<module>`` has what each of them exports.

    Raises
    ------
    ValueError
        Two modules need each other.
    """
    parts: dict[Path, str] = {}
    text = _added(main.resolve(), parts, ())
    return "\n".join([*parts.values(), text])


def _added(path: Path, parts: dict[Path, str], above: tuple[Path, ...]) -> str:
    """Return a module whose imports are constants, and add what it imports to the parts."""
    if path in above:
        ring = [each.stem for each in (*above[above.index(path) :], path)]
        msg = f"{' needs '.join(ring)}"
        raise ValueError(msg)

    def constant(found: re.Match[str]) -> str:
        needed = (path.parent / found["path"]).resolve()
        if needed not in parts:
            parts[needed] = _as_function(needed.stem, _added(needed, parts, (*above, path)))
        taken = found["whole"] or "{" + found["names"] + "}"
        return f"const {taken} = ${needed.stem};\n"

    return _IMPORT.sub(constant, path.read_text(encoding="utf-8"))


def _as_function(name: str, text: str) -> str:
    given = [each for found in _EXPORT.finditer(text) for each in re.findall(r"\w+", found["names"])]
    body = re.sub(r"^export ", "", text, flags=re.MULTILINE)
    return f"const ${name} = (() => {{\n{body}\nreturn {{ {', '.join(given)} }};\n}})();"
