# make demo    fit the lynx and hare data, write a figure
# make test    all tests
# make lint    ruff and the layer contract
# make doctest every example in the docstrings, the quickstart and the README
# make docs    the pages with their gallery, in docs/_build/html
# make bench   the benchmark table, docs/benchmarks.md
#
# Each command creates .venv when it is missing and installs what it needs, once.

PYTHON ?= python3
BIN    := .venv/bin
PYTEST := $(BIN)/python -m pytest
export MPLBACKEND := Agg

.PHONY: demo test lint doctest docs bench clean

demo: .venv/.ready-plot
	$(BIN)/python examples/plot_lynx_hare.py

test: .venv/.ready-test
	$(PYTEST) -n 2

lint: .venv/.ready-lint
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

doctest: .venv/.ready-test
	$(PYTEST) --doctest-modules sciad
	$(PYTEST) --doctest-glob='*.rst' docs/quickstart.rst
	sed -n '/^```python/,/^```$$/{/^```/d;p;}' README.md | $(BIN)/python -

docs: .venv/.ready-docs
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: .venv/.ready-bench
	$(BIN)/python -m benchmarks slice
	$(BIN)/python -m benchmarks engine
	$(BIN)/python -m benchmarks compiler

clean:
	rm -rf .venv docs/_build docs/gallery docs/reference/generated

# One stamp per extra: pip runs again only when the dependencies change.
.venv/.ready-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "sciad needs Python 3.11 or later; name one: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
