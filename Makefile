# make book   installs what is missing, runs the notebooks that changed, builds the HTML book
# make test   runs the tests
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
MODEL ?=
VIDEO_MODEL ?=
SMALL ?=

# Where this is set, every kernel would compile all its modules again.
unexport PYTHONDONTWRITEBYTECODE

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
WANTED := pyproject.toml constraints.txt
STAMP := $(VENV)/.installed-for-the-book
# A notebook computes on one thread, so that two of them run well side by side.
DOIT := $(PY) -m doit -n $(JOBS) -P thread
OVERRIDES := $(if $(MODEL),MODEL=$(MODEL)) $(if $(VIDEO_MODEL),VIDEO_MODEL=$(VIDEO_MODEL)) $(if $(SMALL),SMALL=$(SMALL))

.DEFAULT_GOAL := help
.PHONY: help book test bench lint sync check run student slides pdf lab clean distclean venv

help:  ## show this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done
	@echo
	@echo '  make book MODEL=llava-hf/llava-1.5-7b-hf   the same book on another model'
	@echo '  make run NB=04_finding_spatial_ids         run one notebook headless'
	@echo '  make book PYTHON=python3.12 JOBS=4         another Python, more at once'

# The longest chapter begins first, or it would run when all others are done. Then the one long one
# of the last chapters, so that short ones fill the gap at the end. Then the others in their order:
# for "book" alone they would come in any order.
book: venv  ## run every notebook that changed and build the HTML book
	@$(DOIT) $(OVERRIDES) notebook:14_ids_as_teacher notebook:24_bring_your_own_relation notebook book
	@$(PY) -m tools.book where

test: venv  ## run the tests
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(PY) -m pytest

bench: venv  ## time the engine against other tools, and the widgets' moves (some minutes)
	@$(PY) -m benchmarks.engine
	@$(PY) -m benchmarks.widgets

lint: venv  ## check style, and that the notebooks are in step and without outputs
	@$(PY) -m ruff check .
	@$(PY) -m tools.notebooks check

sync: venv  ## write notebooks/*.ipynb from notebooks/*.py (FORCE=1 overwrites newer .ipynb edits)
	@$(PY) -m tools.notebooks sync $(if $(FORCE),--force)

run: venv  ## run one notebook: make run NB=01_meet_the_model
	@test -n "$(NB)" || { echo 'Say which notebook: make run NB=01_meet_the_model'; exit 2; }
	@$(DOIT) $(OVERRIDES) notebook:$(NB)

student: venv  ## write _build/student, chapters without solutions (only some: EXERCISES="ch6-hook ch6-dose")
	@$(PY) -m tools.student write $(if $(BOOK),--book "$(BOOK)") $(if $(EXERCISES),--exercises $(EXERCISES))

slides: venv  ## write _build/slides, a deck for each chapter, from the built book
	@$(DOIT) $(OVERRIDES) slides
	@$(PY) -m tools.slides where

# LaTeX first: whoever lacks it should hear so before the notebooks run.
pdf: venv  ## write _build/where-is-the-frog.pdf, the whole book, where LaTeX is installed
	@$(PY) -m tools.pdf check
	@$(DOIT) $(OVERRIDES) pdf

lab: venv  ## open JupyterLab on the notebooks
	@$(PY) -m jupyter lab notebooks

clean:  ## remove what `make book` made; keep the installed packages
	rm -rf _build

distclean: clean  ## remove the installed packages, too
	rm -rf .venv

# Installs only when the wanted versions changed since the last time (by content, not by date).
# Modules are compiled when they are first imported: a minute would go into those that nobody needs.
venv:
	@if ! cat $(WANTED) | cmp -s - $(STAMP); then \
		set -e; \
		if ! test -x $(PY); then \
			$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
				echo "This book needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
				echo "Name another one: make book PYTHON=python3.12"; exit 1; }; \
			echo "Making $(VENV) with $$($(PYTHON) --version) ..."; \
			$(PYTHON) -m venv $(VENV); \
		fi; \
		$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
			echo "$(VENV) holds a Python older than 3.11. Remove it: make distclean"; exit 1; }; \
		echo "Installing into $(VENV): a few minutes the first time."; \
		$(PIP) install --no-compile -c constraints.txt torch; \
		$(PIP) install --no-compile -c constraints.txt -e '.[book,test,bench]'; \
		cat $(WANTED) > $(STAMP); \
	fi
