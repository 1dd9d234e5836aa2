# `make` alone tells what there is. Written for GNU make 3.81, which macOS has.

# Any Python from 3.11 on: make PYTHON=python3.13 read
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
# Jupyter and nbgrader start their helpers by name.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"
# Runs that must come out the same for everybody do not see the user's own Jupyter settings.
OWN_STATE := IPYTHONDIR="$(CURDIR)/$(VENV)/ipython" JUPYTER_CONFIG_DIR="$(CURDIR)/$(VENV)/jupyter"
# The browser of the browser tests; empty means Playwright's own.
MEMSIM_CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || \
	command -v google-chrome || command -v google-chrome-stable)

# How many processes run the tests. More than processors where many of them wait: for a browser, for limits.
WORKERS ?= auto
CHECKERS ?= logical
PYTEST = $(IN_VENV) $(OWN_STATE) MEMSIM_CHROMIUM="$(MEMSIM_CHROMIUM)" pytest --max-worker-restart=0

# While one processor lints, another compiles the tests, if they never were: else each worker compiles all of them.
LINT = (test -d tests/unit/__pycache__ || $(PYTEST) -n 0 --collect-only -qq >/dev/null 2>&1) & \
	$(MAKE) --no-print-directory lint; linted=$$?; wait; exit $$linted

# Python keeps what it compiled, whatever the shell says: without that every process of the tests compiles memsim anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help read check test test-32 test-slow test-all coverage lint book html site lite bench lab dist lock bump links clean chromium

help:
	@echo "make read    open the book in JupyterLab"
	@echo "make check   lint, unit tests and doctests: seconds, while you work"
	@echo "make test    lint, then run the tests, the doctests and every notebook, except for what is slow"
	@echo "make test-all   all of that, and the slow tests"
	@echo "make test-32  views and recordings on a 32-bit Debian, as in a browser (root, debootstrap)"
	@echo "make coverage   which lines the unit tests and doctests run, in build/coverage"
	@echo "make lint    ruff, codespell and mypy only"
	@echo "make book    execute the notebooks again and store their outputs"
	@echo "             (BOOK='book/06-pg-reserved.ipynb book/07-...' only these)"
	@echo "make bench   measure how fast memsim is, beside numpy, C and others (minutes)"
	@echo "make lab     random scripts on a real kernel in QEMU and on the simulator, every page compared"
	@echo "             (KERNEL=7.3 SEEDS=20; IMAGE=/boot/vmlinuz-... RECORD=mine.json records your own)"
	@echo "make html    the book as pages that need neither Jupyter nor a network, in build/html"
	@echo "make site    the book as a web site with search and players, in build/site"
	@echo "make dist    what a release is made of: the wheel and the source archive, in dist"
	@echo "make lite    the book as a site that computes in the browser alone, in build/lite"
	@echo "             (PYODIDE_URL=... names a copy of Pyodide's pyodide.js on a server of your own)"
	@echo "make lock    renew requirements.lock (UPGRADE=1: with newer versions; needs uv)"
	@echo "make bump    newer versions, the book executed with them, and what that changed in it"
	@echo "make links   ask every page in the web that memsim links to whether it is there"
	@echo "make clean   remove all that these made, the environment too"

read: $(VENV)/.ready
	@echo "Opening the book in JupyterLab. Ctrl-C here stops it."
	@$(IN_VENV) jupyter-lab $$(test "$$(id -u)" != 0 || echo --allow-root) \
		--ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/book/00-welcome.ipynb

check: $(VENV)/.ready
	@$(LINT)
	@echo "Testing: unit tests and doctests."
	@$(PYTEST) -n $(CHECKERS) -q -m "not slow and not long" tests/unit memsim

test: chromium
	@$(LINT)
	@echo "Testing: the simulator, its doctests, and the book against its stored outputs."
	@$(PYTEST) -n $(WORKERS) -m "not slow"

test-32:
	@echo "Testing: views and recordings where an index has 32 bits."
	@tests/tools/on_32_bits.sh build/i386

test-slow: chromium
	@echo "Testing: what make test leaves out."
	@$(PYTEST) -n $(WORKERS) -m slow

test-all: chromium
	@$(LINT)
	@echo "Testing: everything."
	@$(PYTEST) -n $(WORKERS)

coverage: $(VENV)/.ready
	@$(PYTEST) -n $(CHECKERS) -q -m "not slow" tests/unit memsim \
		--cov=memsim --cov-branch --cov-report=html:build/coverage --cov-report=term:skip-covered

lint: $(VENV)/.ready
	@echo "Linting: ruff's rules, ruff's layout, spelling, and mypy on the simulator."
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/codespell
	@$(BIN)/mypy

book: $(VENV)/.ready
	@echo "Collecting glossary and atlas, and executing the book's notebooks."
	@$(BIN)/python -m tests.tools.glossary
	@$(BIN)/python -m tests.tools.atlas
	@$(BIN)/python -m tests.tools.opening
	@$(IN_VENV) $(OWN_STATE) python tests/tools/execute_book.py $(BOOK)

bench: $(VENV)/.ready
	@echo "Measuring, nine rounds of everything: minutes. On a machine that does nothing else it says most."
	@$(BIN)/python -m benchmarks $(BENCH)

# Debian's packages qemu-system-x86 and busybox-static; without KVM QEMU emulates, which is slower.
lab: $(VENV)/.ready
	@$(BIN)/python -m tests.lab $(if $(KERNEL),--kernel $(KERNEL)) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(FIRST),--first $(FIRST)) $(if $(IMAGE),--image $(IMAGE)) \
		$(if $(MODULES),--modules $(MODULES)) $(if $(RECORD),--record $(RECORD))

html: $(VENV)/.ready
	@echo "Writing the book as HTML in build/html."
	@$(IN_VENV) $(OWN_STATE) python -m tests.tools.export_html build/html

site: $(VENV)/.ready
	@echo "Building the book's web site in build/site."
	@$(BIN)/python -m book.site.build build/site

dist: $(VENV)/.ready
	@echo "Building the wheel and the source archive in dist."
	@rm -rf dist
	@$(BIN)/python -m hatchling build

lite:
	@echo "Writing the book as a site that computes in the browser, in build/lite."
	@rm -rf build/lite build/lite-env
	@if command -v uv >/dev/null; then \
		uv venv --quiet --python $(PYTHON) build/lite-env && \
		uv pip sync --quiet --require-hashes --python build/lite-env/bin/python requirements-lite.lock; \
	else \
		$(PYTHON) -m venv build/lite-env && \
		build/lite-env/bin/python -m pip -qq --disable-pip-version-check install \
			--require-hashes --no-deps --requirement requirements-lite.lock; \
	fi
	@PYODIDE_URL="$(PYODIDE_URL)" build/lite-env/bin/python tests/tools/lite.py build/lite
	@rm -rf build/lite-env

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: $(PYTHON) -m pip install uv" >&2; exit 1; }
	@echo "Locking what pyproject.toml asks for, for every platform and Python, in requirements.lock."
	@uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-annotate --custom-compile-command "make lock" \
		$(if $(UPGRADE),--upgrade) $(if $(LOWEST),--upgrade --resolution lowest-direct) \
		$(if $(PRERELEASE),--upgrade --prerelease allow) \
		--extra book --group build --group grade --group hub --group lint --group site --group test \
		--output-file requirements.lock pyproject.toml
	@echo "What a reader on Binder needs of it, in binder/requirements.txt."
	@uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-annotate --custom-compile-command "make lock" \
		$(if $(PRERELEASE),--prerelease allow) --extra book --group build --constraint requirements.lock \
		--output-file binder/requirements.txt pyproject.toml
	@echo "What builds the book for the browser alone, in requirements-lite.lock."
	@uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-annotate --custom-compile-command "make lock" \
		$(if $(PRERELEASE),--prerelease allow) --group lite --constraint requirements.lock \
		--output-file requirements-lite.lock

# The commands call make again, since the new lock makes a new environment.
bump:
	@$(MAKE) lock UPGRADE=1
	@$(MAKE) book; ran=$$?; $(BIN)/python -m tests.tools.output_changes && exit $$ran

links:
	@echo "Asking for every page in the web that the book or a text beside it links to."
	@$(PYTHON) -m tests.tools.web_links

clean:
	@echo "Removing the environment, caches and builds."
	@rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

# The locked packages, made anew when the lock changes, so that nothing old stays. They are
# byte-compiled here: where PYTHONDONTWRITEBYTECODE is set nobody would ever do it, and every
# start of Python would take several times as long.
$(VENV)/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"memsim needs Python 3.11 or newer, and $(PYTHON) is not: make PYTHON=python3.13 names another." >&2; exit 1; }
	@echo "Making $(VENV) from requirements.lock: seconds with uv, a minute or two without."
	@rm -rf $(VENV)
	@if command -v uv >/dev/null; then \
		uv venv --quiet --python $(PYTHON) $(VENV) && \
		uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements.lock; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip -qq --disable-pip-version-check install \
			--require-hashes --no-deps --compile --requirement requirements.lock; \
	fi
	@touch $@

# The project itself on top.
# JupyterLab asks nobody for news here, and cuts no line of code off at the right.
$(VENV)/.ready: $(VENV)/.locked pyproject.toml book/ipython_kernel_config.json binder/overrides.json
	@echo "Installing memsim in $(VENV), editable."
	@if command -v uv >/dev/null; then \
		uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .; \
	else \
		$(BIN)/python -m pip -qq --disable-pip-version-check install \
			--no-deps --no-build-isolation --editable .; \
	fi
	@mkdir -p $(VENV)/share/jupyter/lab/settings
	@cp binder/overrides.json $(VENV)/share/jupyter/lab/settings/overrides.json
	@mkdir -p $(VENV)/etc/jupyter
	@cp book/jupyter_nbconvert_config.json $(VENV)/etc/jupyter/jupyter_nbconvert_config.json
	@cp book/jupyter_nbconvert_config.json $(VENV)/etc/jupyter/jupyter_server_config.json
	@mkdir -p $(VENV)/etc/ipython
	@cp book/ipython_kernel_config.json $(VENV)/etc/ipython/ipython_kernel_config.json
	@touch $@

chromium: $(VENV)/.ready
	@if [ -z "$(MEMSIM_CHROMIUM)" ]; then \
		echo "No Chromium on PATH: asking Playwright for its own."; \
		$(BIN)/playwright install chromium || { echo "The browser tests need Chromium: install it" \
			"(Debian: apt install chromium; Fedora: dnf install chromium) or name one in MEMSIM_CHROMIUM." >&2; exit 1; }; \
	elif [ ! -x "$(MEMSIM_CHROMIUM)" ]; then \
		echo "MEMSIM_CHROMIUM names no program: $(MEMSIM_CHROMIUM)" >&2; exit 1; \
	fi
