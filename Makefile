# Two commands for a new user: `make demo` and `make test`. Both begin with `make setup`. `make check` is for every change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

OHIF := 3.12.10
VIEWER := .viewer/ohif-$(OHIF)
# The SHA-512 of npm's @ohif/app, of which the viewer is the folder package/dist.
OHIF_SHA512 := d24b85eba32af5cf5d303fbe6d4b138ccac9a57270699873f41e2e4b6e380dac008d2913c0860553dde9c4fb915108b16918bb4001e517715ed6ab9d06566b98

# Programs that start a hundred times compile their libraries once (some containers turn that off).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: sbom help setup demo check test fuzz soak viewer oidc-provider lock bench bench-quick

help:
	@echo "make demo   read two real exams through a node of your own, and show what comes back"
	@echo "make test   check the style and the types, and run the tests (screenshots: artefacts)"
	@echo "make check  the same without the tests that take long: three minutes"
	@echo "make soak   kills and faults on a node beside Orthanc for twenty minutes, and one account of all images"
	@echo "make setup  create $(VENV) from the pinned, hashed requirements (the others do it too)"
	@echo "make viewer fetch the OHIF viewer ($(OHIF), 46 MiB) that tests show results in"
	@echo "make oidc-provider  fetch the OpenID provider (3 MiB) that tests sign in at"
	@echo "make bench  measure receiving, reading, latency and an idle node, against benchmarks/baseline.json"
	@echo "make bench-quick  the same in short: five minutes on a quiet machine"
	@echo "make fuzz   feed the readers with damaged inputs, 50,000 for each, and print what came of it (hours)"
	@echo "make sbom   write sbom.json: what is installed, with versions, hashes and licences (CycloneDX), for a release"
	@echo "make lock   pin the newest requirements that pyproject.toml allows"

setup: $(READY)

demo: setup
	$(BIN)/mammo-node demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 -m "not slow and not acceptance"

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 20 --artefacts=artefacts

fuzz: setup
	$(BIN)/python tests/fuzz/run.py

soak: setup
	PYTHONPATH=tests:tests/support:. $(BIN)/python tests/soak/run.py

viewer: $(VIEWER)/index.html

$(VIEWER)/index.html:
	@command -v npm >/dev/null || { echo "npm fetches the viewer. Install it (Debian: apt-get install npm)."; exit 1; }
	rm -rf $(VIEWER) && mkdir -p $(VIEWER)
	npm pack --silent --pack-destination .viewer @ohif/app@$(OHIF)
	echo "$(OHIF_SHA512)  .viewer/ohif-app-$(OHIF).tgz" | sha512sum --check --quiet
	tar --extract --file .viewer/ohif-app-$(OHIF).tgz --touch --directory $(VIEWER) --strip-components 2 package/dist
	rm .viewer/ohif-app-$(OHIF).tgz

oidc-provider: .oidc-provider/package-lock.json

# The lock file has the SHA-512 of each package, and no registry's name.
.oidc-provider/package-lock.json: tests/support/oidc/package-lock.json tests/support/oidc/package.json
	@command -v npm >/dev/null || { echo "npm fetches the provider. Install it (Debian: apt-get install npm)."; exit 1; }
	mkdir -p .oidc-provider && cp $^ .oidc-provider
	cd .oidc-provider && npm ci --silent --ignore-scripts --no-audit --no-fund || { rm package-lock.json; exit 1; }
	@touch $@

bench: setup
	$(BIN)/python benchmarks/all.py --against benchmarks/baseline.json

bench-quick: setup
	$(BIN)/python benchmarks/all.py --quick --against benchmarks/baseline.json

sbom: setup
	$(BIN)/python compose/sbom.py sbom.json

lock: $(BIN)/uv
	$(COMPILE) --extra postgresql --extra s3 pyproject.toml -o requirements.txt
	$(COMPILE) --group dev --all-extras --constraint requirements.txt pyproject.toml -o requirements-dev.txt

# Everything is installed by hash, setuptools included, which then installs the node itself without fetching anything.
$(READY): requirements-dev.txt pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip sync --python $(BIN)/python --compile-bytecode --require-hashes requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q config dicom_io models node
	@touch $@

$(BIN)/uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "mammo-node needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
		echo "Install one and name it: make setup PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-uv.txt
	@touch $@
