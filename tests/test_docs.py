"""What the documentation says is so: examples are valid, tables name every field and setting, links lead somewhere."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from celeriac.settings import Settings, variable
from specs.loader import load
from specs.schema import schema
from specs.section import Part
from specs.suspend_schema import SuspendSection
from specs.windows_schema import WindowSection

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SPEC = (ROOT / "docs" / "spec.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", SPEC)


@pytest.mark.parametrize(("language", "text"), [(kind, text) for kind in ("yaml", "toml") for text in blocks(kind)])
def test_example_of_a_spec_is_valid(language: str, text: str) -> None:
    whole = text if "name" in text.split("\n", 1)[0] else f'name: shop\nversion: "1.0"\n{text}'
    assert load(f"app.{language}", whole.encode(), "shop").problems == ()


def test_every_field_of_a_spec_is_explained() -> None:
    wanted = set()
    for name, field in schema().fields.items():
        inner = list(field.schema.fields) if isinstance(field, Part) else []
        wanted |= {f"{name}.{child}" for child in inner} or {name}
    wanted |= {f"suspend.{name}" for name in SuspendSection().fields}
    wanted |= {f"windows.{name}" for name in WindowSection().fields}
    wanted -= {"env", "depends_on"}  # have sections of their own
    told = set(re.findall(r"(?m)^\| `([a-z_.0-9]+)` \|", SPEC))
    assert told == wanted


def test_defaults_that_are_told_are_those_in_force() -> None:
    for name, field in schema().fields.items():
        if not isinstance(field, Part):
            continue
        for child, inner in field.schema.fields.items():
            default = inner.metadata.get("default")
            if default is not None:
                text = (
                    {True: "true", False: "false"}.get(default, str(default)) if isinstance(default, bool) else default
                )
                row = re.search(rf"(?m)^\| `{name}\.{child}` \|.*$", SPEC)
                assert row is not None
                assert f"| `{text}` |" in row[0]


def test_every_setting_is_told_with_its_name_and_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"(?m)^\| ([A-Z_]+) \| `([a-z_]+)` \|", text))
    names = [item.name for item in fields(Settings) if item.name != "sources"]
    assert {variable(name): name for name in names} == rows
    for item in fields(Settings):
        if item.name in rows.values() and isinstance(item.default, str | int) and item.default:
            assert f"| `{item.name}` | `{item.default}` |" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)|src(?:set)?=\"([^\"]+)\"", page.read_text()):
        link = next(filter(None, target)).partition("#")[0]
        if link and "://" not in link:
            assert (page.parent / link).exists(), link


def test_every_case_of_a_hot_reload_that_is_told_is_backed_by_a_test() -> None:
    table = re.findall(r"(?m)^\|.*\| `(test_\w+)` \|$", (ROOT / "docs" / "hot-reload.md").read_text())
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "runtimes").rglob("test_*.py"))
    assert len(table) > 25
    assert [name for name in table if f"def {name}(" not in tests] == []
    cases = (ROOT / "tests" / "runtimes" / "host" / "test_reloading.py").read_text()
    told = re.findall(r"(?m)^def (test_\w+)\(", cases)
    assert set(told) - set(table) == {
        "test_many_reloads_leave_no_descriptor_and_no_thread_behind",
        "test_every_reloaded_module_is_told_and_the_others_are_not",
        "test_a_hook_may_be_async",
    }
