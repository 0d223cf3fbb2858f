"""Who writes a hook's record first carries it out, and nobody else says how it ended."""

from __future__ import annotations

from dataclasses import replace

from state.hooks import HookBook, HookRecord
from state.store import Store

KEY = ("run", "web", "abcdef")
OURS = HookRecord("pre_deploy", "running", "n1", "web@n1", token=1_800_000_000_000_001)


def test_a_hook_begins_once_per_run_app_and_release(store: Store) -> None:
    book = HookBook(store)
    assert book.begin(*KEY, OURS) is None
    assert book.begin(*KEY, replace(OURS, node="n2", token=OURS.token + 1)) == OURS
    assert book.begin(*KEY, OURS) == OURS  # a message that came twice
    assert book.begin(*KEY, replace(OURS, hook="post_deploy")) is None
    assert book.begin("run", "web", "012345", OURS) is None
    assert book.begin("later", "web", "abcdef", OURS) is None


def test_only_who_began_it_ends_it_and_only_once(store: Store) -> None:
    book = HookBook(store)
    book.begin(*KEY, OURS)
    ok = replace(OURS, state="ok", output=("done",))
    assert not book.end(*KEY, replace(ok, token=OURS.token + 1))
    assert book.end(*KEY, ok)
    assert not book.end(*KEY, replace(ok, state="failed"))
    assert book.get(*KEY, "pre_deploy") == ok
    assert not book.end("other", "web", "abcdef", ok)


def test_records_do_not_stay_for_ever(store: Store) -> None:
    book = HookBook(store)
    book.begin(*KEY, OURS)
    (key,) = store.client.scan_iter(f"{store.key('hook')}*")
    assert 0 < store.client.ttl(key) <= 86400
    book.end(*KEY, replace(OURS, state="ok"))
    assert 0 < store.client.ttl(key) <= 86400
