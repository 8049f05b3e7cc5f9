# `make help` lists what there is. Two commands are enough: `make demo` and `make test`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PORT ?= 8000
IMAGES ?= $(wildcard ../shared/data/fracatlas/images)
TLS ?=
DATA ?= var/demo
TEST_DATA ?= var/test
CHAOS ?=
SECONDS ?= 600
SAMPLES ?= 200
EXAMPLES ?= 20
CLINIC_A ?= 2000
CLINIC_B ?= 20
BACKUPS ?=
PREVIOUS ?= 2d610be
FILES ?= 10000
SEED ?= 1
STUDIES ?= 10000
DATASET ?= ../shared/data/fracatlas
STRANGERS ?=
QUICK ?=
BENCH ?=
STUDIES ?= 1000000
SOURCES := accounts diagnosis fracture_site ml tests manage.py

.PHONY: help
help: ## Show this list
	@printf 'Fracture Site\n\n'
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'
	@printf '\n  make demo PORT=8001              another port\n'
	@printf '  make demo IMAGES=/path/to/xrays  seed with your own radiographs\n'
	@printf '  make demo TLS=1                  https, with a QR code for a phone\n'
	@printf '  make test ARGS="tests/accounts"  a part of the tests\n'

.PHONY: demo
demo: .venv/installed ## Start everything with demo data; Ctrl-C stops it, the data stays
	@exec $(BIN)/python -m fracture_site.demo --data "$(DATA)" --port "$(PORT)" \
		$(if $(IMAGES),--images "$(IMAGES)") $(if $(filter 1 true yes,$(TLS)),--tls)

.PHONY: demo-reset
demo-reset: .venv/installed ## Remove all demo data
	@exec $(BIN)/python -m fracture_site.demo --data "$(DATA)" --reset

.PHONY: test
test: .venv/installed-dev ## Run all tests with coverage
	@exec $(BIN)/python -m fracture_site.embedded run --data "$(TEST_DATA)" --throwaway -- \
		$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),--cov --cov-report=term:skip-covered)

.PHONY: chaos
chaos: .venv/installed-dev ## Break everything during 500 uploads (CHAOS="--seeds 20 --broker rabbitmq"; JSON lines)
	@$(BIN)/python -m tests.chaos.storm $(CHAOS)

.PHONY: chaos-control
chaos-control: .venv/installed-dev ## The same without the sweeper: it must lose uploads (JSON line)
	@$(BIN)/python -m tests.chaos.storm --uploads 60 --kills 6 --no-sweeper $(CHAOS)

.PHONY: chaos-scenarios
chaos-scenarios: .venv/installed-dev ## A poisonous file, wrong clocks (needs faketime), a broker that repeats itself
	@$(BIN)/python -m tests.chaos.scenarios $(CHAOS)

.PHONY: overload
overload: .venv/installed-dev ## Three times what the site can do, for SECONDS (600; JSON lines)
	@$(BIN)/python -m tests.chaos.overload --seconds "$(SECONDS)" $(CHAOS)

.PHONY: deploy-drill
deploy-drill: .venv/installed-dev ## Migrate and replace every process, then the secret key, under load (JSON lines)
	@$(BIN)/python -m tests.chaos.drill $(CHAOS)

.PHONY: sign-races
sign-races: .venv/installed-dev ## Fifty signatures of one report at once, 200 times (JSON lines)
	@$(BIN)/python -m tests.chaos.signing $(CHAOS)

.PHONY: faults
faults: .venv/installed-dev ## Let each single call to database, store and Redis fail once
	@FAULTS=all $(MAKE) test ARGS="tests/chaos/test_every_call.py -v"

.PHONY: ohif
ohif: .venv/installed-dev ## Open a study in OHIF itself, fetched from the npm registry (needs npm)
	@mkdir -p var/ohif && cd var/ohif && { test -d package/dist || { \
		npm pack --silent @ohif/app@3.13.2 >/dev/null && tar xzf ohif-app-3.13.2.tgz; }; }
	@OHIF_DIST="$(CURDIR)/var/ohif/package/dist" $(MAKE) test ARGS="tests/interop/test_ohif.py -v"

.PHONY: lint
lint: .venv/installed-dev ## Check style and formatting
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

.PHONY: format
format: .venv/installed-dev ## Correct style and formatting
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: types
types: .venv/installed-dev ## Check types
	$(BIN)/mypy accounts diagnosis fracture_site ml manage.py

.PHONY: contracts
contracts: .venv/installed-dev ## Check who may import whom
	$(BIN)/lint-imports

.PHONY: schema
schema: .venv/installed-dev ## Check that docs/openapi.yaml is what the API does
	@mkdir -p var
	DJANGO_SETTINGS_MODULE=fracture_site.settings.test $(BIN)/python manage.py spectacular \
		--fail-on-warn --validate --file var/openapi.yaml
	@diff -u docs/openapi.yaml var/openapi.yaml || { \
		echo 'docs/openapi.yaml is out of date: run `make openapi` and commit it.'; exit 1; }

.PHONY: openapi
openapi: .venv/installed-dev ## Write docs/openapi.yaml
	DJANGO_SETTINGS_MODULE=fracture_site.settings.test $(BIN)/python manage.py spectacular \
		--fail-on-warn --validate --file docs/openapi.yaml

.PHONY: icons
icons: .venv/installed-dev ## Draw the app's icons from static/img/logo.svg
	$(BIN)/python -m tests.support.icons

.PHONY: messages
messages: .venv/installed-dev ## Bring locale/ up to date with the texts of the sources, check and compile it
	@command -v xgettext >/dev/null || { echo 'gettext is missing: apt-get install gettext'; exit 1; }
	@$(BIN)/python -m fracture_site.messages

.PHONY: lighthouse
lighthouse: .venv/installed-dev ## Measure a running demo (DATA, PORT) with Lighthouse as a phone (needs Node 20)
	@$(BIN)/python bench/lighthouse.py --data "$(DATA)" --port "$(PORT)"

.PHONY: screenshots
screenshots: .venv/installed-dev ## Take a picture of every screen, of a demo with drawn radiographs (PORT)
	@$(BIN)/python bench/screenshots.py --port "$(PORT)"

.PHONY: axe
axe: .venv/installed-dev ## Look at every page with axe-core: both directions, screens and themes
	@AXE=all $(MAKE) test ARGS="tests/web/test_accessibility.py -v"

.PHONY: viewer
viewer: frontend/node_modules/.package-lock.json ## Build the image viewer into static/viewer (needs Node 20)
	@cd frontend && npm run --silent build

.PHONY: viewer-check
viewer-check: ## Test the viewer's source and compare its build with the committed one, where Node is
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null || { \
		echo 'Node 20 is not here: the viewer is taken as committed.'; exit 0; }; \
	$(MAKE) viewer && (cd frontend && npm run --silent test) && \
	git diff --exit-code --stat -- static/viewer && test -z "$$(git ls-files --others --exclude-standard static/viewer)" || { \
		echo 'static/viewer is not what frontend/ builds: run `make viewer` and commit it.'; exit 1; }

frontend/node_modules/.package-lock.json: frontend/package-lock.json
	@cd frontend && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json

.PHONY: oracle
oracle: .venv/installed-dev ## Whether time tells what other clinics have (SAMPLES; JSON lines)
	@SAMPLES="$(SAMPLES)" DRAW="$(SEED)" $(BIN)/python -m fracture_site.embedded run --data var/oracle --throwaway -- \
		$(BIN)/python -m pytest -q -s -n0 tests/security/long_oracle.py

.PHONY: schemathesis
schemathesis: .venv/installed-dev .venv-schemathesis/bin/schemathesis ## Ask a running API as four callers what its description allows (EXAMPLES, SEED; JSON lines)
	@EXAMPLES="$(EXAMPLES)" SEED="$(SEED)" $(BIN)/python -m fracture_site.embedded run --data var/schemathesis --throwaway -- \
		$(BIN)/python -m pytest -q -s -n0 tests/security/long_contract.py

.venv-schemathesis/bin/schemathesis:
	@"$(PYTHON)" -m venv .venv-schemathesis && .venv-schemathesis/bin/pip install -q --disable-pip-version-check schemathesis==4.32.5

.PHONY: tenancy-mutants
tenancy-mutants: .venv/installed-dev ## Take each clinic's filter out in turn; the matrix must notice (a JSON line)
	@$(BIN)/python -m fracture_site.embedded run --data var/tenancy --throwaway -- \
		$(BIN)/python -m pytest -q -s -n0 tests/security/long_tenancy.py

.PHONY: tenancy
tenancy: .venv/installed-dev ## Everybody asks for everything, in every way (the suite leaves out who is alike)
	@TENANCY=all $(MAKE) test ARGS="tests/security/test_tenancy_matrix.py -v"

.PHONY: security
security: .venv/installed-dev .venv-semgrep/bin/semgrep ## What scanners find in the source, checks of a deployment, list of parts (JSON lines)
	@$(BIN)/python bench/security.py

.venv-semgrep/bin/semgrep:
	@"$(PYTHON)" -m venv .venv-semgrep && .venv-semgrep/bin/pip install -q --disable-pip-version-check semgrep==1.182.0

.PHONY: bench
bench: .venv/installed-dev ## Measure speed and memory beside peers (QUICK=1: a subset; BENCH="predict dicom": parts)
	@QUICK="$(QUICK)" DATASET="$(DATASET)" $(BIN)/python bench/run.py $(BENCH) && $(BIN)/python bench/report.py

.PHONY: bench-size
bench-size: .venv/installed-dev ## Fill a site with STUDIES=1000000 and ask for its pages (about 10 minutes, 6 GB in var/)
	@STUDIES="$(STUDIES)" $(BIN)/python bench/run.py size-small size-large

.PHONY: bench-report
bench-report: .venv/installed-dev ## Write docs/benchmarks.md from the figures in var/bench
	@$(BIN)/python bench/report.py

.PHONY: bench-audit
bench-audit: .venv/installed-dev ## How many audit events a second several processes can write (JSON lines)
	@$(BIN)/python -m fracture_site.embedded run --data var/bench-audit --throwaway -- $(BIN)/python bench/audit.py

.PHONY: fairness
fairness: .venv/installed-dev ## What a small clinic waits while another imports (CLINIC_A, CLINIC_B; JSON lines)
	@$(BIN)/python -m fracture_site.embedded run --data var/fairness --throwaway -- \
		$(BIN)/python bench/fairness.py --import "$(CLINIC_A)" --uploads "$(CLINIC_B)"

.PHONY: upgrade
upgrade: .venv/installed ## Bring a site's data to this release: backup, migrate, check (docs/runbooks/upgrade.md)
	@$(BIN)/python manage.py upgrade $(if $(BACKUPS),--to "$(BACKUPS)")

.PHONY: upgrade-drill
upgrade-drill: .venv/installed-dev ## Make data with an older release (PREVIOUS), upgrade them, go back (JSON lines)
	@$(BIN)/python -m tests.upgrade.drill --previous "$(PREVIOUS)"

.PHONY: hosts-proof
hosts-proof: .venv/installed-dev ## Several hosts as network namespaces, two cut off in mid-load; root only (tests/hosts/topology.toml)
	@$(BIN)/python -m tests.hosts.proof

.PHONY: test-pgbouncer
test-pgbouncer: .venv/installed-dev ## Run what relies on transactions behind pgbouncer (needs pgbouncer; ARGS for other tests)
	@$(BIN)/python -m fracture_site.embedded run --data var/test-pgbouncer --throwaway -- \
		$(BIN)/python -m tests.support.pgbouncer $(BIN)/python -m pytest -q \
		$(or $(ARGS),tests/accounts/test_tenancy.py tests/security tests/diagnosis/test_jobs_*.py \
		tests/diagnosis/test_uploads*.py tests/diagnosis/test_backups.py tests/chaos)

.PHONY: test-azure
test-azure: .venv/installed-dev ## Test Azure's storage against its emulator, fetched from the npm registry (needs Node 20)
	@mkdir -p var/azurite && cd var/azurite && { test -x node_modules/.bin/azurite-blob || \
		npm install --silent --no-audit --no-fund --prefix . azurite@3.34.0; }
	@AZURITE="$(CURDIR)/var/azurite/node_modules/.bin/azurite-blob" \
		$(MAKE) test ARGS="tests/diagnosis/test_storage_clouds.py -v"

.PHONY: fuzz
fuzz: .venv/installed-dev ## Send FILES (10000) mutated files, made of SEED, through every door (JSON lines)
	@$(BIN)/python -m fracture_site.embedded run --data var/fuzz --throwaway -- \
		$(BIN)/python bench/fuzz.py --files "$(FILES)" --seed "$(SEED)"

.PHONY: bombs
bombs: .venv/installed-dev ## Send files that want to become large through every door (JSON lines)
	@$(BIN)/python -m fracture_site.embedded run --data var/bombs --throwaway -- $(BIN)/python bench/bombs.py

.PHONY: listener-siege
listener-siege: .venv/installed-dev ## Attack the DICOM listener while a known device works (JSON lines)
	@$(BIN)/python -m fracture_site.embedded run --data var/siege --throwaway -- $(BIN)/python bench/listener_siege.py

.PHONY: bench-restore
bench-restore: .venv/installed-dev ## Back up and restore STUDIES (10000) studies and measure it (JSON lines)
	@$(BIN)/python -m fracture_site.embedded run --data var/bench-restore --throwaway -- \
		$(BIN)/python bench/restore.py --studies "$(STUDIES)"

.PHONY: ci
ci: lint types contracts schema viewer-check test ## Everything that must pass before a change is merged

.PHONY: lock
lock: .venv/installed-dev ## Write the exact versions of everything installed
	@{ echo "# Exact versions of everything that requirements*.txt bring along; written by \`make lock\`."; \
		$(BIN)/python -m pip freeze --disable-pip-version-check; } > requirements.lock

.PHONY: gate
gate: .venv/installed ## Measure the quality gate on DATASET=DIR (STRANGERS=DIR of other pictures)
	@mkdir -p var
	$(BIN)/python -m ml.gate_report --data "$(DATASET)" $(if $(STRANGERS),--strangers "$(STRANGERS)") \
		--json var/gate.json --markdown var/gate.md

.PHONY: clean
clean: ## Remove caches and test data (keeps .venv and the demo)
	rm -rf .coverage .coverage.* htmlcov .mypy_cache .ruff_cache .pytest_cache .import_linter_cache "$(TEST_DATA)"

# --- The virtual environment -------------------------------------------------------------------

.venv/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
		echo 'Python 3.11 is needed and was not found.'; \
		echo 'Install it (Debian 12: apt-get install python3.11-venv), or name it: make demo PYTHON=/path/to/python3.11'; \
		exit 1; }
	@echo "Creating .venv with $(PYTHON)"
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; \
		echo 'The venv module does not work. Debian and Ubuntu: apt-get install python3.11-venv'; exit 1; }

# One line that counts packages instead of pip's hundreds; pip's errors are shown when it fails.
define install
@rm -f .venv/failed; { $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
	--constraint requirements.lock -r $(1) 2>.venv/pip-errors || touch .venv/failed; } | { count=0; \
	while read -r word rest; do case "$$word" in \
		Collecting) count=$$((count + 1)); what=$${rest%%[!A-Za-z0-9._-]*};; \
		Installing) what='unpacking ...';; \
		*) continue;; \
	esac; [ ! -t 1 ] || printf '\r  %3d packages  %-40.40s' "$$count" "$$what"; done; \
	if [ -t 1 ]; then printf '\r%60s\r' ''; fi; [ -e .venv/failed ] || [ "$$count" = 0 ] || echo "  $$count packages installed"; }
@[ ! -e .venv/failed ] || { rm -f .venv/failed; grep -v '^WARNING' .venv/pip-errors; \
	echo 'Installing failed; the reason is above. Usual reasons: no network or a proxy, a full'; \
	echo 'disk, or no wheel for this platform. Run the same command again to continue.'; exit 1; }
endef

.venv/installed: requirements.txt requirements.lock | .venv/bin/python
	@echo 'Installing what the site needs (a few minutes the first time)'
	$(call install,requirements.txt)
	@touch $@

.venv/installed-dev: requirements.txt requirements-dev.txt requirements.lock | .venv/bin/python
	@echo 'Installing what the tests need'
	$(call install,requirements-dev.txt)
	@touch .venv/installed $@
