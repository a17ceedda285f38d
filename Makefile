# Two commands matter: `make run` and `make test`. Both make what they need first.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test test-vllm check soak bench pictures weights set-up set-up-dev lock env-example clean

BIN := .venv/bin
PORT ?= 8000
PACKAGES := agent api guardrails ingest

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

run: set-up ## Set up, fetch the models, shelve the sample, ask two questions, serve (ONCE=1 leaves after the answers; PORT=8000)
	$(BIN)/pagewarden models pull
	$(BIN)/pagewarden serve --sample --port $(PORT) $(if $(ONCE),--once)

test: set-up-dev weights check ## Set up and run every check and test

check: ## Style, types, arrows between packages, tests with coverage (wants `make test` once)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --cov --cov-report=
	@for package in $(PACKAGES); do \
	  printf '%-12s' $$package; \
	  $(BIN)/coverage report --include="$$package/*" --format=total 2>/dev/null | sed 's/$$/ % covered/' || echo "nothing ran"; \
	done

soak: set-up-dev ## Proofs at their full counts: coverage, release gate, pages in a browser (an hour on two cores)
	$(BIN)/pytest -m soak -rP

bench: set-up-dev ## Measure reading against its peers (BENCH="--quick", "--peer PYTHON", "--write docs/benchmarks")
	$(BIN)/python tests/bench/read_speed.py $(BENCH)
	$(BIN)/python tests/bench/page_images.py

pictures: set-up-dev ## Draw the difficult pages in docs/reading/ anew
	$(BIN)/python tests/bench/made_pages.py docs/reading

# Say VLLM_VENV=/elsewhere where the clone has no 4 GB to spare.
VLLM_VENV ?= .venv-vllm

test-vllm: set-up-dev weights ## Contract tests on a real vLLM on this CPU (makes .venv-vllm once: 3.5 GB; wants Python 3.11)
	tests/contract/vllm_cpu/set_up $(VLLM_VENV)
	PAGEWARDEN_VLLM_VENV=$(abspath $(VLLM_VENV)) $(BIN)/pytest -m vllm tests/contract

weights: set-up ## Fetch the retrieval models (70 MB); without them the tests that need them are skipped
	@$(BIN)/pagewarden models pull retrieval || echo "The retrieval models could not be fetched: some tests will be skipped."

set-up: ## Make .venv from requirements.lock (PYTHON=… chooses the interpreter)
	@.ci/set_up

set-up-dev: ## Make .venv with what the tests need
	@.ci/set_up dev

# Extras that the tests want too; the others (vllm, ray) have environments of their own or are skipped.
TESTED := slack stores mcp otel
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
  --no-emit-package opencv-python --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet

lock: ## Lock again after a change of dependencies (wants uv)
	$(COMPILE) --extra local --extra build -o requirements.lock
	cat requirements.lock tests/requirements.lock > .all.lock
	$(COMPILE) --extra local --extra build --extra dev $(addprefix --extra ,$(TESTED)) -o .all.lock
	$(BIN)/python .ci/split_lock.py requirements.lock .all.lock > tests/requirements.lock
	rm .all.lock

env-example: ## Write .env.example anew from the settings
	$(BIN)/python .ci/env_example.py > .env.example

clean: ## Remove .venv and caches; libraries and model files stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
