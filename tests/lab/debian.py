"""Debian's kernels by package name: fetched with apt-get, unpacked with dpkg-deb, installed nowhere."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lab.errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

_IMAGE = re.compile(r"linux-image-(?P<version>\d+\.\d+(?:\.\d+)*)(?:-(?P<abi>\d+)|\+deb[\d.]+)-amd64")
_PARTS = re.compile(r"linux-(?:binary|modules)-[\w.+-]+")


@dataclass(frozen=True)
class KernelFiles:
    """Where a kernel's image is, and where its modules are, if it has any."""

    image: Path
    modules: Path | None


def order_of(package: str) -> tuple[int, ...]:
    """Return what sorts image packages by version; empty for packages of other flavours.

    >>> order_of("linux-image-6.12.117+deb12-amd64") > order_of("linux-image-6.12.95+deb12-amd64")
    True
    >>> order_of("linux-image-6.1.0-57-amd64"), order_of("linux-image-6.12.95+deb12-rt-amd64")
    ((6, 1, 0, 57), ())
    """
    found = _IMAGE.fullmatch(package)
    if found is None:
        return ()
    numbers = [int(part) for part in found["version"].split(".")]
    return (*numbers, int(found["abi"] or 0))


def of_release(packages: list[str], release: str) -> list[str]:
    """Return the image packages of a release (``6.12``) or of one version (``6.12.95``), newest first.

    >>> of_release(["linux-image-6.1.0-57-amd64", "linux-image-6.12.95+deb12-amd64"], "6.1")
    ['linux-image-6.1.0-57-amd64']
    """
    wanted = tuple(int(part) for part in release.split("."))
    fits = [package for package in packages if wanted == order_of(package)[: len(wanted)]]
    return sorted(fits, key=order_of, reverse=True)


def fetch(release: str, folder: Path) -> KernelFiles:
    """Fetch and unpack the newest kernel of a release, unless that has been done."""
    place = folder / f"debian-{release}"
    if not (place / ".done").exists():
        package = _newest(release)
        (place / "packages").mkdir(parents=True, exist_ok=True)
        print(f"fetching {package} with apt-get", flush=True)
        _download(package, place)
        (place / ".done").touch()
    return files_below(place)


def files_below(place: Path) -> KernelFiles:
    """Return the image and the modules below the root of an unpacked package."""
    images = [path for path in sorted(place.rglob("vmlinuz*")) if path.is_file()]
    if not images:
        msg = f"{place}: holds no vmlinuz"
        raise LabError(msg)
    deps = sorted(place.rglob("kernel"))
    return KernelFiles(images[0], deps[0].parent if deps else None)


def _newest(release: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)+", release):
        msg = f"KERNEL={release}: must be a release such as 6.12, or a version such as 6.12.95"
        raise LabError(msg)
    names = [
        line.split()[0] for line in _run("apt-cache", "search", "--names-only", "^linux-image-").splitlines()
    ]
    for package in of_release(names, release):
        if subprocess.run(["apt-cache", "show", package], capture_output=True, check=False).returncode == 0:
            return package
    msg = (
        f"apt knows no linux-image package of {release}; is its Debian suite (bookworm, "
        "bookworm-backports, trixie-backports, ...) among the sources, and was `apt-get update` run?"
    )
    raise LabError(msg)


def _download(package: str, place: Path) -> None:
    """Download a package and the packages that hold its parts (Debian 13 splits them), and unpack all."""
    folder = place / "packages"
    before = set(folder.iterdir())
    _run("apt-get", "--quiet", "download", package, cwd=folder)
    for file in set(folder.iterdir()) - before:
        _run("dpkg-deb", "-x", str(file), str(place))
        depends = _run("dpkg-deb", "--field", str(file), "Depends")
        file.unlink()
        for part in dict.fromkeys(_PARTS.findall(depends)):
            _download(part, place)


def _run(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        msg = f"{command[0]} is missing: fetching needs Debian; elsewhere, give IMAGE=/boot/vmlinuz-..."
        raise LabError(msg) from None
    except subprocess.CalledProcessError as failed:
        msg = f"{' '.join(command)}: {failed.stderr.strip()}"
        raise LabError(msg) from None
    return done.stdout
