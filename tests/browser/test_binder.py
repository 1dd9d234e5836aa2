"""What Binder does, without Binder: an environment from binder/ alone, the book's imports, and two notebooks.

The environment is made from a copy of the files that are in the project, so that nothing that lies about here
can help.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.book.reading import NOTEBOOKS, cells, source

from .notebook import Notebook, Watch
from .server import ROOT, jupyterlab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PROJECT = Path(__file__).parents[2]
NOT_OURS = shutil.ignore_patterns(".*", "build", "dist", "__pycache__")
PARTS = ("binder", "book", "memsim", "LICENSE", "README.md", "pyproject.toml")
PLACE = Path("bin") if os.name == "posix" else Path("Scripts")


def shell(*command, **options):
    """Run a command; what it said is shown if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # noqa: S603 (ours)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def copy_of_the_project(target):
    """Copy what Binder would need and have."""
    for part in PARTS:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=NOT_OURS)
        else:
            shutil.copyfile(source, target / part)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The folder of an environment that was built as binder/ says, and the environment's programs."""
    folder = tmp_path_factory.mktemp("binder")
    (folder / "project").mkdir()
    copy_of_the_project(folder / "project")
    shell(sys.executable, "-m", "venv", str(folder / "environment"))
    programs = folder / "environment" / PLACE
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JUPYTER", "IPYTHON"))}
    environment |= {"PATH": f"{programs}{os.pathsep}{environment['PATH']}"}
    at = {"cwd": folder / "project", "env": environment}
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--require-hashes", "--no-deps")
    shell(str(programs / "python"), *pip, "--requirement", "binder/requirements.txt", **at)
    shell("bash", "binder/postBuild", **at)
    return folder, programs, environment


def imported():
    """Return all that the notebooks of the book import, as one program."""
    found = set()
    for path in NOTEBOOKS:
        for cell in cells(json.loads(path.read_text(encoding="utf-8")), "code"):
            found |= {
                ast.unparse(node)
                for node in ast.walk(ast.parse(source(cell)))
                if isinstance(node, ast.Import | ast.ImportFrom)
            }
    return "\n".join(sorted(found))


EVERY_MODULE = """
import pkgutil, memsim
for module in pkgutil.walk_packages(memsim.__path__, "memsim."):
    if not module.name.startswith(("memsim.grading", "memsim.__main__")):
        __import__(module.name)
"""


def test_all_that_the_book_imports_is_there(image):
    """The environment cannot lack more than a package: what the cells do is checked by nbval in ours."""
    folder, programs, environment = image
    at = {"cwd": folder / "project" / "book", "env": environment}

    assert "from memsim.view" in imported()
    shell(str(programs / "python"), "-c", imported() + EVERY_MODULE, **at)


def test_a_chapter_with_widgets_runs_in_it(image):
    folder, programs, environment = image
    shell(
        *(str(programs / "jupyter"), "execute", "--timeout=180", "01-one-block-comes-online.ipynb"),
        cwd=folder / "project" / "book",
        env=environment,
    )


def test_it_opens_the_first_page(image, page):
    folder, programs, _ = image
    own = folder / "jupyter"
    own.mkdir()
    with jupyterlab(own, str(programs / "python")) as server:
        shutil.copytree(folder / "project" / "book", own / ROOT / "book")
        watch = Watch(page, server)
        notebook = Notebook(page, server, "book/00-welcome.ipynb")
        notebook.run_all()

        assert notebook.errors() == []
        assert notebook.unrun() == []
        watch.assert_clean()
