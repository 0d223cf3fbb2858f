"""`state.health` against a real Redis."""

from __future__ import annotations

from state.health import HealthBook, HealthRecord
from state.store import Store


def test_records_are_kept_by_node_and_app_until_they_are_gone(store: Store) -> None:
    book = HealthBook(store)
    bad = HealthRecord(False, 3, 1.5, "502 from /healthz", "d1")
    book.write("a", {"web": bad, "db": HealthRecord(True)})
    book.write("b", {"web": HealthRecord(True)})
    assert book.of("a") == {"web": bad, "db": HealthRecord(True)}
    assert book.of("b") == {"web": HealthRecord(True)}
    book.write("a", {"db": HealthRecord(True, 0, 2.0)}, gone=["web", "none"])
    assert book.of("a") == {"db": HealthRecord(True, 0, 2.0)}
    assert book.of("none") == {}


def test_writing_nothing_changes_nothing(store: Store) -> None:
    HealthBook(store).write("a", {})
    assert HealthBook(store).of("a") == {}
