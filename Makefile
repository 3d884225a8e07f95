# The two commands of the README: `make demo` hears something, `make test` proves it. Nothing but Python is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup studio demo test lint clean

setup: $(VENV)/.installed

# The suite is compilation, which two processes halve. In four parts, so that none compiles all of it: processes have
# died compiling, late in the suite, while nothing was wrong with the test.
test: $(VENV)/.tested
	for part in a-l m-r s t-z; do $(BIN)/python -m pytest -n 2 tests/test_[$$part]*.py || exit 1; done

studio: setup  # what the page needs; then mgen studio runs/NAME
	$(call install,.[studio])

demo: setup
	$(BIN)/python train.py configs/demo.py --workdir runs/demo
	$(BIN)/python sample.py runs/demo --count 4 --out runs/demo/samples

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV)

# uv where it is found (seconds), else venv and pip.
define install
	if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --python $(BIN)/python --editable '$(1)'; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(1)'; \
	fi
endef

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mgen needs Python 3.11 or newer, and $(PYTHON) is older; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	if command -v uv >/dev/null 2>&1; then uv venv --quiet --python $(PYTHON) $(VENV); else $(PYTHON) -m venv $(VENV); fi

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(call install,.)
	touch $@

$(VENV)/.tested: $(VENV)/.installed pyproject.toml
	$(call install,.[test])
	touch $@
