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

.PHONY: help book serve test labs lint types unit colab constraints clean

help:
	@echo "make book    build the site into $(SITE)"
	@echo "make serve   build it and show it on http://localhost:$(PORT)"
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
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable '.[viz]'
	@touch $@

book: .venv/.book
	@$(BIN)/python tools/book.py build

serve: book
	@$(BIN)/python tools/book.py serve --port $(PORT)

labs: .venv/.dev
	$(BIN)/python tools/labs.py build

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/basedpyright --warnings

unit: .venv/.dev
	$(BIN)/python -m pytest
