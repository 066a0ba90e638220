# Everything a stranger needs: `make run`, `make test`, `make check`, `make bench`, `make help`.
SHELL  := /bin/bash
UV     := .tools/bin/uv
PYTHON := .venv/bin/python
LOCK   := requirements/run.lock
DEVLOCK:= requirements/dev.lock
export UV_CACHE_DIR ?= $(CURDIR)/.tools/cache
export UV_LINK_MODE ?= copy

.PHONY: help run test test-long check bench lock docs seal-pictures migration format campaign kill-campaign restart-campaign test-on-token tamper-campaign race-campaign library-benchmark batch-campaign document-campaign reader-campaign forgery-campaign print-campaign clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(UV):
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools uv

.venv/pyvenv.cfg: | $(UV)
	@$(UV) venv --quiet --python "$$(command -v python3)" .venv

.venv/.run: $(LOCK) pyproject.toml | .venv/pyvenv.cfg
	@echo "installing what Fujie needs (once) …"
	@test -e .venv/.dev || $(UV) pip sync --quiet --python $(PYTHON) --require-hashes $(LOCK)
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: $(DEVLOCK) pyproject.toml | .venv/pyvenv.cfg
	@echo "installing what the tests need (once) …"
	@$(UV) pip sync --quiet --python $(PYTHON) --require-hashes $(DEVLOCK)
	@$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	@touch $@ .venv/.run

run: .venv/.run  ## start everything on http://127.0.0.1:8000, in the foreground; Ctrl-C stops it
	@exec .venv/bin/fujie serve

test: .venv/.dev  ## all set-up and all tests
	@tests/run

test-long: .venv/.dev  ## what needs cities of its own: rotation under load, a token, the SM profile, restarts, given servers, the software drill, axe before every page (some minutes)
	@FUJIE_LONG=1 tests/run -m long

check: .venv/.dev  ## ruff, mypy --strict, import contracts, lock files
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@$(PYTHON) tests/locks.py $(UV)

bench: .venv/.dev  ## every figure beside its peer; writes benchmarks/results.json
	@$(PYTHON) -m benchmarks

campaign: .venv/.dev  ## change every byte of a certificate, one at a time (about an hour)
	@$(PYTHON) -m tests.attacks.campaign_bytes all

kill-campaign: .venv/.dev  ## kill -9 the service at 50 random moments of issuing and look at what is left
	@$(PYTHON) -m tests.attacks.campaign_kills --kills 50

restart-campaign: .venv/.dev  ## restart PostgreSQL, Valkey, S3, web, workers and a subscriber at random during 10,000 issues (half an hour)
	@$(PYTHON) -m tests.attacks.campaign_restarts

test-on-token: .venv/.dev  ## the story and every outsider again, with the city's keys on a SoftHSM token
	@$(PYTHON) -m tests.on_token

tamper-campaign: .venv/.dev  ## 1,000 tamperings with an export of 100,000 entries, each through the command line (about an hour)
	@$(PYTHON) -m tests.keys.campaign_tampering

forgery-campaign: .venv/.dev  ## every attack on every kind of signed PDF, and the honest ones (a quarter of an hour)
	@$(PYTHON) -m tests.attacks.test_forged_pdfs

print-campaign: .venv/.dev  ## read both codes from thirty bad prints of every template (some minutes)
	@$(PYTHON) -m tests.certs.campaign_prints

reader-campaign: .venv/.dev  ## 20,000 mutated files: whatever passes shows what was sealed, in pdfium and in poppler (half an hour)
	@$(PYTHON) -m tests.attacks.campaign_readers

batch-campaign: .venv/.dev  ## seal 10,000 documents in one batch by processes that are killed (kill -9) one after another (some minutes)
	@$(PYTHON) -m tests.seal.campaign_batches

document-campaign: .venv/.dev  ## kill (kill -9) what carries documents to their seals, thirty times, and compare tables and files (a minute)
	@$(PYTHON) -m tests.seal.campaign_documents

library-benchmark: .venv/.dev  ## find by code, holder and any mark in a library of 2,000,000 certificates, with every plan (a quarter of an hour, 6 GB)
	@$(PYTHON) -m benchmarks.library

race-campaign: .venv/.dev  ## 10,000 races of stamping against suspending, revoking and withdrawing (some minutes)
	@$(PYTHON) -m tests.seal.campaign_races

frames: .venv/.dev  ## draw the certificates' frames anew
	@$(PYTHON) -m certs.linework

seal-pictures: .venv/.dev  ## draw every shape of seal on one sheet (docs/pictures/seals.png)
	@$(PYTHON) docs/seal_pictures.py

lock: $(UV)  ## resolve the lock files anew
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --extra install -o $(LOCK)
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --extra install --extra test --extra check -c $(LOCK) -o $(DEVLOCK)

format: .venv/.dev  ## put the code in order
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

migration: .venv/.dev  ## write a migration: make migration SCHEMA=certs MESSAGE="…"
	@$(PYTHON) -m api.migrations.new "$(SCHEMA)" "$(MESSAGE)"

docs: .venv/.dev  ## write the generated pages of the documentation
	@$(PYTHON) docs/reference.py

clean:  ## remove what set-up made (not the data folder)
	@rm -rf .venv .tools
