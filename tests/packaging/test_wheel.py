"""Whoever installs memsim's wheel has simulator, command line and book, and needs numpy and nothing else.

The wheel is built from the files of the project, by the build backend that is locked, and installed in
environments of its own. What it needs is copied from the environment that runs this test, so that the network
is not needed: in the first environment numpy alone, in the second all that readers of notebooks have.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from memsim.recordings.observation import bundled_names

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
PARTS = (".gitignore", "book", "memsim", "LICENSE", "README.md", "pyproject.toml")
NOTEBOOKS = {path.name for path in (PROJECT / "book").glob("*.ipynb")}
PROGRAMS = Path("bin") if os.name == "posix" else Path("Scripts")


def run(*command, cwd):
    """Run a command that knows nothing of this environment, and return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP", "JUPYTER"))}
    done = subprocess.run(  # noqa: S603 (our own command)
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built where nothing lies but the project's own files, and what readers leave behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in PARTS:
        if (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, source / part, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        else:
            shutil.copyfile(PROJECT / part, source / part)
    checkpoint = source / "book" / ".ipynb_checkpoints" / "00-welcome-checkpoint.ipynb"
    checkpoint.parent.mkdir()
    checkpoint.write_text("{}", encoding="utf-8")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
    return next(folder.glob("*.whl"))


def environment_of(folder, wheel, provide):
    """Return the Python of a new environment with the wheel and what ``provide`` puts beside it."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    python = folder / PROGRAMS / "python"
    where = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    provide(Path(where.strip()))
    # Without --no-deps: pip would refuse if anything but numpy were asked for.
    run(python, "-m", "pip", "--isolated", "--quiet", "install", "--no-index", wheel, cwd=folder)
    return python


def copy_numpy(target):
    numpy = distribution("numpy")
    for part in {path.parts[0] for path in numpy.files if ".." not in path.parts}:
        source = Path(numpy.locate_file(part))
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__", "tests"))


def lend_packages(target):
    """Let an environment import what is installed in this one, except for memsim.

    Folders that a .pth file names have no say in .pth files, and an editable memsim is one.
    """
    (target / "readers.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def bare(wheel):
    """The Python of an environment that holds memsim and numpy."""
    return environment_of(wheel.parent / "bare", wheel, copy_numpy)


@pytest.fixture(scope="module")
def reading(wheel):
    """The Python of an environment that holds memsim and what its extra ``book`` asks for."""
    return environment_of(wheel.parent / "reading", wheel, lend_packages)


def test_the_wheel_holds_the_whole_book_and_nothing_hidden(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = [Path(name) for name in archive.namelist()]

    # How exports fold code, and what kernel a saved notebook names.
    settings = {"jupyter_nbconvert_config.json", "ipython_kernel_config.json"}
    assert {path.name for path in names if path.parent == Path("memsim/book")} == {*NOTEBOOKS, *settings}
    assert {path.parts[0].split("-")[0] for path in names} == {"memsim"}
    assert [path for path in names if any(part.startswith((".", "__py")) for part in path.parts)] == []
    assert [path for path in names if "site" in path.parts] == []


def test_all_that_is_there_is_memsim_numpy_and_pip(bare, tmp_path):
    code = (
        "from importlib.metadata import distributions as d; print(sorted({x.metadata['Name'] for x in d()}))"
    )

    assert set(eval(run(bare, "-c", code, cwd=tmp_path))) <= {"memsim", "numpy", "pip", "setuptools"}  # noqa: S307


def test_the_simulator_is_imported_from_the_wheel_without_figures_and_controls(bare, tmp_path):
    code = (
        "import memsim, sys; m = memsim.Machine(ram=[(0, 131072)], patch=memsim.BEFORE);"
        "print(memsim.__file__, *sorted({'ipywidgets', 'plotly', 'IPython'} & set(sys.modules)))"
    )

    assert Path(run(bare, "-c", code, cwd=tmp_path).strip()).is_relative_to(bare.parents[1])


def test_the_recordings_that_came_along_agree_with_the_simulator(bare, tmp_path):
    """One is replayed: they were before they were packed (tests/fidelity), all of them."""
    listed = "from memsim.recordings.observation import bundled_names; print(*bundled_names())"

    assert run(bare, "-c", listed, cwd=tmp_path).split() == list(bundled_names())
    run(bare, "-m", "memsim", "verify", "-q", "6.12-dimm", cwd=tmp_path)


def test_the_command_is_installed(bare, tmp_path):
    assert "verify" in run(bare.parent / "memsim", "--help", cwd=tmp_path)


def test_the_book_is_copied_out_and_its_first_page_runs_on_numpy_alone(bare, tmp_path):
    run(bare, "-m", "memsim", "book", tmp_path / "mine", cwd=tmp_path)

    assert {path.name for path in (tmp_path / "mine").glob("*.ipynb")} == NOTEBOOKS
    code = (
        "from pathlib import Path; from memsim.lesson.chapters import run_chapter;"
        "print(*run_chapter(Path('00-welcome.ipynb'))[1])"
    )
    assert "Machine" in run(bare, "-c", code, cwd=tmp_path / "mine").split()


def test_a_copied_chapter_runs_in_a_kernel(reading, tmp_path):
    run(reading, "-m", "memsim", "book", tmp_path / "mine", cwd=tmp_path)

    code = "from nbclient.cli import main; main()"
    run(reading, "-c", code, "--timeout=600", "01-one-block-comes-online.ipynb", cwd=tmp_path / "mine")
