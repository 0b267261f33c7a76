# For those who have make: each target sets up .venv when needed, then calls what the README says.
#
#   make book     execute what is out of date, build the website
#   make test     run the tests
#   make browser  install what drives chromium in the tests of the website (needs npm)
#   make check    open every page of the built website in chromium
#   make lint     check format and style
#   make bench    compare with other libraries, some 40 minutes; QUICK=1 makes it one
#   make serve    show the website at http://localhost:8000
#   make clean    remove the website and executed pages; make distclean: .venv and all results too

PYTHON ?= python3
JOBS ?= auto
PORT ?= 8000

BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: book test browser check lint bench serve clean distclean install
.DEFAULT_GOAL := book

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	touch $@

book: $(INSTALLED)
	$(BIN)/brainalign book

test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_FLAGS)

browser:
	npm install --prefix tests/browser --no-save --no-package-lock --no-audit --no-fund

check: $(INSTALLED)
	$(BIN)/python -m pytest $(PYTEST_FLAGS) tests/test_browser.py

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

bench: $(INSTALLED)
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick)

serve: book
	$(BIN)/python -m http.server --directory _build/html $(PORT)

clean:
	rm -rf _build book/executed .cache/pages .pytest_cache .ruff_cache .hypothesis

distclean: clean
	rm -rf .venv .cache *.egg-info
