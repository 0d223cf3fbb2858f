CHECKED = celeriac specs sources runtimes reconciler state tasks cli

.PHONY: setup demo bench soak test
setup: .venv/.ready
.venv/.ready: requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	python3 -m venv .venv
	.venv/bin/python -m pip install -q --require-hashes -r requirements/bootstrap.txt
	.venv/bin/uv pip install -q --python .venv/bin/python --require-hashes --compile-bytecode -r requirements/dev.txt
	.venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
	.venv/bin/python -m compileall -q $(CHECKED)
	touch $@
demo: setup
	.venv/bin/python examples/demo.py
bench: setup
	.venv/bin/python -m bench
soak: setup
	.venv/bin/python -m bench.soak
test: setup
	.venv/bin/ruff check --no-cache .
	.venv/bin/ruff format --no-cache --check .
	.venv/bin/mypy $(addprefix -p ,$(CHECKED))
	.venv/bin/lint-imports
	.venv/bin/python -m pytest -n 2
