"""Hot reloads under load, in short: no request fails, the process stays, whatever the machine is busy with."""

from __future__ import annotations

import pytest

from bench.hot_reload import modules, under_load


@pytest.mark.e2e
def test_five_hot_reloads_in_a_row_under_load_fail_no_request_and_keep_the_process() -> None:
    failed = [row for row in under_load(requests=300, reloads=5) if row.unit == "n"]  # it asserts pid and versions
    assert [(row.value, row.note) for row in failed] == [(0, "5 reloads in one process")] * 2
    assert ["new connections" in row.name for row in failed] == [True, False]


def test_every_module_of_the_app_imports_what_changes() -> None:
    files = modules("1.1", 50)
    assert sum("VERSION" in text for text in files.values()) == 50
    assert sum(files[name] != text for name, text in modules("1.2", 50).items()) == 1
