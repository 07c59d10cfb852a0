# `make demo` installs edgesqz and runs every step once. `make test` installs the test tools and runs the tests.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable

# Some machines set it. The many processes that the tests start would then compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check lint types docs clean

demo: $(VENV)/installed
	$(BIN)/edgesqz demo

test: $(VENV)/installed-test
	@# The long files come first, and the short ones of the unit tests fill in at the end.
	@# Three processes keep two cores busy, because tests often wait for the processes of engines.
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

check: lint types docs test

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy

# Build the site in site/. Warnings, such as a broken link, fail the build.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(BIN)/python:
	@echo 'creating a virtual environment in $(VENV)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	@echo 'installing edgesqz and TensorFlow into $(VENV); this takes a few minutes'
	@$(INSTALL) '.[plot,tflite-runtime]'
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo 'installing the test tools into $(VENV)'
	@$(INSTALL) '.[test,lint]' --quiet
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	@echo 'installing the documentation tools into $(VENV)'
	@$(INSTALL) '.[docs]' --quiet
	@touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info
