"""The explorer's modules as one script.

They are plain ES modules that import each other, as a page of one's own may load them. anywidget cannot (it
loads a module from memory, where ``./other.js`` leads nowhere), nor can a page that is opened from a disk. So
each module becomes a function, called in the order in which they need each other. An ``export`` names one
thing.

Left out: everything a bundler does beyond that; the modules have no dependencies.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

_IMPORT = re.compile(
    r'^import (?:\{(?P<names>[^}]*)\}|\* as (?P<whole>\w+)) from "\./(?P<module>\w+)\.js";\n', re.MULTILINE
)
_EXPORT = re.compile(
    r"^export (?:async )?(?:const|let|class|function\*?) (?P<names>\[[^\]]*\]|\w+)", re.MULTILINE
)
STATIC = files("memsim.view.explorer") / "static"


def read(name: str) -> str:
    """Return a file of the explorer's."""
    return (STATIC / name).read_text(encoding="utf-8")


@lru_cache(maxsize=4)
def joined(main: str) -> str:
    """Return a module and all that it needs as statements; ``$<module>`` has what each exports.

    Raises
    ------
    ValueError
        Two modules need each other.

    >>> "const $tape = (() => {" in joined("widget")
    True
    """
    parts: dict[str, str] = {}
    _add(main, parts, ())
    return "\n".join(parts.values())


def _add(name: str, parts: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        msg = f"{' needs '.join([*above[above.index(name) :], name])}"
        raise ValueError(msg)
    text = read(f"{name}.js")
    for found in _IMPORT.finditer(text):
        if found["module"] not in parts:
            _add(found["module"], parts, (*above, name))
    given = [each for found in _EXPORT.finditer(text) for each in re.findall(r"\w+", found["names"])]
    body = re.sub(r"^export ", "", _IMPORT.sub(_as_constant, text), flags=re.MULTILINE)
    parts[name] = f"const ${name} = (() => {{\n{body}\nreturn {{ {', '.join(given)} }};\n}})();"


def _as_constant(found: re.Match[str]) -> str:
    taken = found["whole"] or "{" + found["names"] + "}"
    return f"const {taken} = ${found['module']};\n"


def widget() -> str:
    """Return the module that anywidget loads."""
    return f"{joined('widget')}\nexport default {{ render: $widget.render }};\n"


def page() -> str:
    """Return the script of a page without a kernel, which then calls ``memsimExplorer(name, data)``."""
    return f"{{\n{joined('page')}\nglobalThis.memsimExplorer = $page.give;\n}}\n"
