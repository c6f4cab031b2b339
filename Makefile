# Two commands: `make book` builds the site, `make test` runs all that CI runs.
# Both set up .venv by themselves, and again only when pyproject.toml or constraints.txt changed.
# Name another interpreter with PYTHON=python3.13.

PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUTF8 := 1
SETUP_INPUTS := pyproject.toml constraints.txt
SITE := _build/html
PORT ?= 8000
TORCH ?= 2.13.0
NBVAL := HF_HUB_OFFLINE=1 LABUTILS_PROFILE=cpu LABUTILS_STILL=1 $(BIN)/python -m pytest -p no:cacheprovider --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg

.PHONY: help book page pdf serve jupyter test labs lint types check unit nbval colab colab-full colab-drift release versions constraints clean

help:
	@echo "make book    build the site into $(SITE)"
	@echo "make page P=chapters/05_sampling    build that page again"
	@echo "make pdf     build it, with a PDF of each chapter (needs Chromium)"
	@echo "make serve   build it and show it on http://localhost:$(PORT)"
	@echo "make jupyter open the labs in JupyterLab"
	@echo "make test    run everything that CI runs"
	@echo "make labs    rebuild and run the notebooks after a change to labs/*.py"
	@echo "make clean   remove .venv and everything that was built"

.venv/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "This course needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.13" % v)'
	@echo "==> making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --constraint constraints.txt pip && touch $@

# The site needs no torch, so that a reader waits for seconds and not for a download of gigabytes.
.venv/.book: .venv/.python $(SETUP_INPUTS)
	@echo "==> installing what the site needs"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group book
	@touch $@

.venv/.dev: .venv/.book $(SETUP_INPUTS)
	@echo "==> installing what the labs and the tests need (about a minute)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable '.[labs]'
	@touch $@

book: .venv/.book
	@$(BIN)/python tools/book.py build

# One page of a site that was built before: make page P=chapters/05_sampling
page: .venv/.book
	@$(BIN)/python tools/book.py page $(P)

# A PDF of each chapter, offered on its page. `make book` does without, so that it needs no browser.
pdf: book
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt playwright
	@$(BIN)/python tools/browser.py
	@$(BIN)/python tools/book.py pdf

serve: book
	@$(BIN)/python tools/book.py serve --port $(PORT)

# An editor for learners. CI needs none, so it is no part of .venv/.dev.
jupyter: .venv/.dev
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt jupyterlab
	@$(BIN)/jupyter lab labs

labs: .venv/.dev
	$(BIN)/python tools/labs.py build

# What CI runs, cheapest first, so that a slip is told within seconds.
test: lint types check book unit nbval colab
	@echo "==> everything passed"

lint: .venv/.dev
	@echo "==> lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/.dev
	@echo "==> types"
	@$(BIN)/basedpyright --warnings

check: .venv/.dev
	@echo "==> notebooks agree with their sources"
	@$(BIN)/python tools/labs.py check

unit: .venv/.dev book
	@$(BIN)/python tools/browser.py
	@echo "==> unit tests"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal --durations 15

# Every output of every cell is compared: all notebooks on one thread, two at a time, and then the solutions of a third of
# the labs on two threads, another third with every commit (LABS=all: all of them).
nbval: .venv/.dev
	@echo "==> labs"
	@OMP_NUM_THREADS=1 $(NBVAL) --numprocesses 2 --dist loadfile labs/*.ipynb labs/solutions/*.ipynb
	@OMP_NUM_THREADS=2 $(NBVAL) $$($(BIN)/python tests/turns.py labs/solutions/*.ipynb)

colab: .venv/.dev
	@echo "==> labs on an emulated Colab"
	@$(BIN)/python tools/colab.py

# On Colab's Python alone: all versions are Colab's.
colab-full: .venv/.dev
	@$(BIN)/python tools/colab.py --full

# Opens an issue when Colab has moved away from tests/colab/pip-freeze.txt.
colab-drift: .venv/.book
	@$(BIN)/python tools/colab_drift.py --issue

# Site, wheel, notebooks and, where there is a browser, PDFs of the chapters, as they are published.
release: .venv/.dev
	@$(BIN)/python tools/release.py --pdf

# A set of tests on the oldest and on the newest versions that pyproject.toml admits; downloads a torch for each.
versions: .venv/.dev
	@$(BIN)/python tools/versions.py

# Resolves the newest versions that pyproject.toml admits, in a new environment, and writes them down.
constraints:
	rm -rf .cache/resolve && $(PYTHON) -m venv .cache/resolve
	.cache/resolve/bin/python -m pip install --quiet --upgrade pip
	.cache/resolve/bin/python -m pip install --quiet "torch==$(TORCH)"
	.cache/resolve/bin/python -m pip install --quiet --group dev '.[labs]'
	.cache/resolve/bin/python -m pip freeze --all --exclude labutils | sed 's/+cpu$$//' | sort -f > constraints.txt

clean:
	rm -rf .venv _build .cache build dist *.egg-info
