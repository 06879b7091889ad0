# make demo   the whole way on real data: train, cut, distil, export, profile, run under changing budgets
# make test   the tests; `make test-all` adds the slow ones (and those on real data where LEGODNN_DATA is set)
# make android   the Android app (android_demo/build/legodnn-demo.apk) and its tests, from Maven Central and Debian alone
# make test-pi   an emulated 64-bit ARM machine with 1 GB runs what a Raspberry Pi would (Debian's qemu-system-arm and cpio)
# make results DATA=DIR WORK=DIR   what docs/results.md tells, anew: hours of a quiet machine, and it goes on where it was
# make docs   the pages in docs/ as a site, in build/site; make release-check: what a release has to hold, and dist/
# Every target makes and uses .venv; PYTHON chooses the interpreter it is made with (3.10 to 3.13).

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all test-pi android results lint format dist docs release-check clean

demo: $(VENV)/.installed
	$(BIN)/legodnn demo --out demo

# Two processes, each with all the tests of a file: one alone leaves a core idle, and each takes up to 2 GB.
test: $(VENV)/.installed
	$(BIN)/pytest -n 2 --dist loadfile

test-all: $(VENV)/.installed
	$(BIN)/pytest -m "$(if $(LEGODNN_DATA),,not data)"

test-pi: $(VENV)/.installed
	$(BIN)/python -m tests.pi $(PAGES)

android: $(VENV)/.installed
	android_demo/build.sh

results: $(VENV)/.installed
	@test -n "$(DATA)" -a -n "$(WORK)" || { echo "make results DATA=DIR WORK=DIR: data to train on, and room to work in"; exit 1; }
	$(BIN)/python docs/renew_results.py --data "$(DATA)" --work "$(WORK)"

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dist: $(VENV)/.installed
	$(BIN)/python -m build

docs: build/docs/.installed
	build/docs/bin/mkdocs build --strict

build/docs/.installed: pyproject.toml | $(VENV)/.installed
	$(BIN)/python -m venv build/docs
	build/docs/bin/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

release-check: $(VENV)/.installed
	$(BIN)/python .ci/release_check.py

$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.10 to 3.13 is needed; install one, or name it: make PYTHON=python3.12"; exit 1; }
	@echo "installing into $(VENV) with $(PYTHON): a minute or two"
	@$(PYTHON) -m venv $(VENV) || { echo "python's venv module is missing: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,plot,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist android_demo/build *.egg-info .pytest_cache .mypy_cache .ruff_cache
