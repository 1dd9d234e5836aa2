#!/bin/sh
# Run tests of views and recordings on a 32-bit Debian in a chroot: numpy's index type has 32 bits there, as
# on Python in a web browser. Needs root and debootstrap; the first run downloads about 150 MB of packages.
set -eu
root=${1:-build/i386}
packages=python3-numpy,python3-pytest,python3-hypothesis
if [ ! -e "$root/.made" ]; then
	debootstrap --arch=i386 --variant=minbase --include="$packages" bookworm "$root"
	touch "$root/.made"
fi
rm -rf "$root/memsim"
mkdir "$root/memsim"
git ls-files -z memsim tests | tar --null -T - -c | tar -x -C "$root/memsim"
cat > "$root/memsim/pytest.ini" <<INI
[pytest]
addopts = --import-mode=importlib
markers = fidelity
INI
chroot "$root" sh -c 'cd /memsim && python3 -m pytest -q -p no:cacheprovider -c pytest.ini --rootdir /memsim \
	tests/unit/test_32_bits.py tests/unit/test_view_text.py tests/unit/test_divergences.py \
	tests/unit/test_observation.py tests/fidelity/test_recordings.py'
