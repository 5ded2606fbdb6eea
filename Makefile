# Every command runs in .venv, which make sets up with the versions in constraints.txt.
# Paths are relative, so that any folder name works (spaces too).
PYTHON ?= python3.11
TORCH = 2.13.0  # whose CPU build the committed results come from
IN_VENV = PATH="$(CURDIR)/.venv/bin:$$PATH"
RUN = $(IN_VENV) .venv/bin/python -m

ifdef CLUSTER  # the scheduler of a Dask cluster, or a YAML file: where networks are trained
export CCLIB_CLUSTER = $(CLUSTER)
endif

.DEFAULT_GOAL := help
.PHONY: help repro test fuzz mutants long paper merge bench bench-choice refit format readme docs lab lock audit clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

repro: .venv/.installed  ## rerun every experiment, then compare with the committed results; SEEDS=other: on other seeds; CLUSTER=tcp://host:8786: there
	@$(RUN) companion repro $(if $(SEEDS),--seeds $(SEEDS))

test: .venv/.installed  ## check style, types, units, every notebook at a small budget, and fresh results
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(IN_VENV) lint-imports
	$(RUN) nbstripout --keep-id --verify notebooks/*.ipynb
	$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder

fuzz: CALLS ?= 100000
fuzz: .venv/.installed  ## try random calls of the layer, sane and insane; CALLS=1000: so many
	FUZZ_CALLS=$(CALLS) $(RUN) pytest tests/cclib/test_fuzz.py

mutants: .venv/.installed  ## change the code in one place at a time, and name the changes that no test finds; OF=cache: of one module
	@$(new_venv) .cache/mutants-venv
	.cache/mutants-venv/bin/python -m pip install --quiet cosmic-ray==8.7.0
	.cache/mutants-venv/bin/python tests/mutants.py $(OF)

long: .venv/.installed  ## run the experiments of profiles/long.yaml, in sittings; finished ones are kept
	@$(RUN) companion sitting long

paper: .venv/.installed  ## run the experiments of profiles/paper.yaml, on a GPU, in sittings; finished ones are kept
	@$(RUN) companion sitting paper

merge: .venv/.installed  ## collect long and paper from the records of their runs, and train nothing
	@$(RUN) companion sitting long paper --finished

bench: .venv/.installed  ## time and memory of the layer beside those of Conv2d
	@$(RUN) companion.benchmark

bench-choice: .venv/.installed  ## what the choice among the implementations loses
	@$(RUN) companion.benchmark --choice

refit: .venv/.installed  ## fit the constants of that choice to times of this machine
	@$(RUN) companion.benchmark --refit

format: .venv/.installed  ## format the code and strip the source notebooks of outputs
	$(RUN) ruff check --fix-only
	$(RUN) ruff format
	$(RUN) nbstripout --keep-id notebooks/*.ipynb

readme: .venv/.installed  ## regenerate results/CLAIMS.md and the findings in README.md
	$(RUN) companion readme

docs: .venv/.installed  ## regenerate the API pages in docs/api from the docstrings
	$(IN_VENV) python docs/generate.py

lab: .venv/.installed  ## open JupyterLab on the playground, with the whole project in reach
	@$(RUN) companion lab

lock:  ## resolve the extras of pyproject.toml afresh and write constraints.txt and hashes.txt
	rm -rf .cache/lock-venv
	@$(new_venv) .cache/lock-venv
	.cache/lock-venv/bin/python -m pip install torch==$(TORCH)
	.cache/lock-venv/bin/python -m pip install -e '.[lab,cluster,test]'
	.cache/lock-venv/bin/python -m pip freeze --all > .cache/lock-venv/freeze.txt
	sed -E -e '/^(pip|wheel)==|^-e|continuous.convolution/d' -e 's/\+(cpu|cu[0-9]+)$$//' .cache/lock-venv/freeze.txt > constraints.txt
	.cache/lock-venv/bin/python -m pip install uv
	grep -v '^torch==' constraints.txt | .cache/lock-venv/bin/uv pip compile --no-deps --generate-hashes --python-version 3.11 --custom-compile-command 'make lock' --output-file hashes.txt -
	rm -rf .cache/lock-venv

audit:  ## look the pinned versions up in a database of known vulnerabilities
	@$(new_venv) .cache/audit-venv
	.cache/audit-venv/bin/python -m pip install pip-audit
	.cache/audit-venv/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt; status=$$?; rm -rf .cache/audit-venv; exit $$status

clean:  ## remove what make made, but for .cache (training runs, downloads) and scratch (yours)
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find cclib companion tests -name __pycache__ -exec rm -rf {} +
	rm -f cclib/functional/kernels.avx*

# The interpreter behind $(PYTHON), which may itself be that of an activated (or this) environment.
define new_venv
base="$$($(PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) and print(sys._base_executable)')"; \
test -n "$$base" || { echo "make: $(PYTHON) is not Python 3.11; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }; \
"$$base" -m venv --clear
endef

# The stamp goes first and comes back last: a set-up that was interrupted starts from an empty .venv.
# Torch has no hash, since its builds differ; what else a system needs beyond the locked packages has none either.
.venv/.installed: constraints.txt hashes.txt pyproject.toml setup.py cclib/functional/kernels.c
	@if [ -f $@ ]; then rm $@; else $(new_venv) .venv; fi
	.venv/bin/python -m pip install --no-deps --require-hashes -r hashes.txt
	.venv/bin/python -m pip install -c constraints.txt torch
	.venv/bin/python -m pip install -c constraints.txt --no-build-isolation -e '.[lab,cluster,test]'
	@touch $@
