# make demo: the page on 127.0.0.1:7860.  make test: everything that is checked.
PORT ?= 7860
# the first Python that runs here
PYTHON ?= $(or $(firstword $(foreach v,3.11 3.12 3.13,$(shell python$(v) -c 'print("python$(v)")' 2>/dev/null))),python3)
# PyTorch's small CPU build where there is no NVIDIA card; uv also knows cpu, cu130, ...
UV_TORCH_BACKEND ?= auto
BIN := .venv/bin
INSTALL = $(BIN)/uv pip install -q --python $(BIN)/python -c requirements.txt -r requirements.txt -e '.[dev]'

.PHONY: demo test setup lint

demo: setup
	PORT=$(PORT) $(BIN)/python app.py

test: setup browser lint
	$(BIN)/python -m pytest

setup: .venv/done

# one stamp: the environment is made again when a pin changes
.venv/done: pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q uv
	$(INSTALL) --torch-backend=$(UV_TORCH_BACKEND) || { [ $(UV_TORCH_BACKEND) = auto ] && \
	  echo "Trying again with PyTorch's ordinary build, which is larger." && $(INSTALL); }
	touch .venv/done

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# the browser tests drive Debian's Chromium; they say so and are skipped where there is none
.PHONY: browser
browser:
	@command -v chromium >/dev/null 2>&1 || { \
	  if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null \
	      || echo "Chromium could not be installed: the browser tests will be skipped."; \
	  else \
	    echo "No Chromium, and no right to install it with apt: the browser tests will be skipped."; \
	  fi; }
