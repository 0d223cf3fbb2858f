"""What was in force before, and what a roll-back goes back to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from reconciler.ledger import KEPT, Entry, Ledger, before


def entry(digest: str, version: str = "1.0", **more: Any) -> Entry:
    return Entry(digest, version, 1.0, **more)


def test_many_changes_of_the_environment_do_not_push_an_earlier_release_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, releases=3)
    for number in range(5):
        ledger.add("web", entry(f"r{number}-e-d"))
    for number in range(4 * KEPT):
        ledger.add("web", entry(f"r5-e{number}-d"))
    found = [one.digest for one in ledger.of("web")]
    assert found[:2] == [f"r5-e{4 * KEPT - 1}-d", f"r5-e{4 * KEPT - 2}-d"]
    assert found[KEPT:] == ["r4-e-d", "r3-e-d"]
    found_before = before(ledger.of("web"), found[0])
    assert found_before is not None
    assert found_before.digest == "r4-e-d"


def test_the_newest_is_first_and_the_same_twice_is_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.of("web") == []
    assert not ledger.has("web")
    for digest in ("r1-e-d", "r2-e-d", "r2-e-d", "r1-e-d"):
        ledger.add("web", entry(digest))
    assert [one.digest for one in ledger.of("web")] == ["r1-e-d", "r2-e-d"]
    assert ledger.digests() == {"r1-e-d", "r2-e-d"}
    assert list((tmp_path / "ledger").iterdir()) == [tmp_path / "ledger" / "web.json"]


def test_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for number in range(KEPT + 5):
        ledger.add("web", entry(f"r{number}-e-d"))
    assert len(ledger.of("web")) == KEPT
    assert ledger.of("web")[0].digest == f"r{KEPT + 4}-e-d"


def test_it_begins_with_what_was_there_and_only_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.begin("web", entry("r1-e-d"))
    ledger.begin("web", entry("r0-e-d"))
    assert [one.digest for one in ledger.of("web")] == ["r1-e-d"]


def test_a_damaged_ledger_counts_as_empty_and_is_written_anew(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add("web", entry("r1-e-d"))
    (tmp_path / "ledger" / "web.json").write_text('[{"digest": 1')
    assert ledger.of("web") == []
    ledger.add("web", entry("r2-e-d"))
    assert [one.digest for one in ledger.of("web")] == ["r2-e-d"]


def test_a_name_that_is_none_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[]")
    ledger = Ledger(tmp_path)
    assert ledger.of("../other") == []
    ledger.drop("../other")
    assert (tmp_path / "other.json").exists()


def test_a_dropped_app_is_forgotten(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.digests() == set()
    ledger.add("web", entry("r1-e-d"))
    ledger.drop("web")
    ledger.drop("web")
    assert not ledger.has("web")


def test_a_roll_back_goes_to_another_release_and_not_to_another_environment() -> None:
    entries = [entry("r2-e2-d"), entry("r2-e1-d"), entry("r1-e1-d", "0.9"), entry("r0-e1-d", "0.8")]
    assert before(entries, "r2-e2-d") == entries[2]
    assert before(entries, "r1-e1-d") == entries[0]
    assert before(entries[:2], "r2-e2-d") is None
    assert before([], "r2-e2-d") is None


def test_a_roll_back_to_a_version_takes_its_newest_state() -> None:
    entries = [entry("r3-e1-d", "1.1"), entry("r2-e2-d", "1.0"), entry("r2-e1-d", "1.0")]
    assert before(entries, "r3-e1-d", "1.0") == entries[1]
    assert before(entries, "r2-e2-d", "1.0") == entries[2]
    assert before(entries, "r3-e1-d", "0.5") is None


def test_a_roll_back_skips_what_was_taken_back_unless_it_is_named() -> None:
    entries = [entry("r3-e1-d", "1.2"), replace(entry("r2-e1-d", "1.1"), failed=True), entry("r1-e1-d", "1.0")]
    assert before(entries, "r3-e1-d") == entries[2]
    assert before(entries, "r3-e1-d", "1.1") == entries[1]


def test_a_roll_back_may_name_the_beginning_of_a_digest_and_not_what_runs_the_same_already() -> None:
    entries = [entry("aaaaaaaa11-e2-d"), entry("aaaaaaaa22-e1-d"), entry("bbbbbbbb11-e1-d")]
    assert before(entries, "aaaaaaaa11-e2-d", "aaaaaaaa2") == entries[1]
    assert before(entries, "aaaaaaaa11-e2-d", "bbb") is None
    assert before(entries, "aaaaaaaa22-e1-other", "aaaaaaaa22") is None


def test_what_is_taken_back_to_is_in_force_and_what_failed_is_marked(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add("web", entry("r1-e1-d", "1.0"))
    ledger.add("web", entry("r2-e1-d", "1.1"))
    back = replace(entry("r1-e1-d", "1.0"), refused="r2-e1-d", attempts=2, until=99.0)
    ledger.take_back("web", "r2-e1-d", back)
    found = ledger.of("web")
    assert found[0] == back
    assert [(one.version, one.failed) for one in found] == [("1.0", False), ("1.1", True)]
