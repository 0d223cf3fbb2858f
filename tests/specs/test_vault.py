"""Whole specs on disk: exact, private, and absent rather than wrong."""

import stat
import threading

import pytest

from celeriac.shelf import Shelf
from specs.digest import digest
from specs.loader import load
from specs.model import AppSpec
from specs.vault import SpecVault, VaultError

FULL = """\
name: web
version: "1.0"
source: {type: git, url: /srv/git/web.git, ref: main}
run: {processes: {web: gunicorn web, worker: [celery, worker]}}
env: {KEY: s3cret, TEXT: "é\\nline"}
health: {type: tcp, port: 1234}
expose: {port: 80}
placement: {labels: {role: web}}
suspend: {until: 2030-01-01, reason: freeze}
"""


@pytest.fixture
def vault(tmp_path):
    return SpecVault(tmp_path)


def shelf_of(vault):
    return Shelf(vault.folder / "specs.db")


def spec_of(text=FULL):
    return load("apps/web/app.yaml", text.encode(), "web").spec


def test_a_spec_comes_back_as_it_was(vault):
    spec = spec_of()
    name = vault.put(spec)
    assert name == str(digest(spec))
    assert vault.get(name) == spec


def test_files_and_folder_are_private(vault):
    vault.put(spec_of())
    assert {stat.S_IMODE(path.stat().st_mode) for path in vault.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(vault.folder.stat().st_mode) == 0o700


def test_what_is_absent_is_none(vault):
    assert vault.get(str(digest(spec_of()))) is None


@pytest.mark.parametrize("name", ["", "../secret", "x" * 50, "0" * 16, "/etc/passwd"])
def test_only_digests_are_looked_up(vault, name):
    vault.put(spec_of())
    shelf_of(vault).put({name: b'{"name": "a", "version": "1"}'})
    assert vault.get(name) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b'{"name": 5}', b'{"name": "web", "version": "9"}'])
def test_a_damaged_spec_is_none_and_is_replaced(vault, damage):
    spec = spec_of()
    name = vault.put(spec)
    shelf_of(vault).put({name: damage})
    assert vault.get(name) is None
    vault.put(spec)
    assert vault.get(name) == spec


def test_a_vault_that_was_lost_is_begun_anew(vault):
    name = vault.put(spec_of())
    for path in list(vault.folder.iterdir()):
        path.unlink()
    assert vault.get(name) is None
    assert vault.put(spec_of()) == name
    assert vault.get(name) == spec_of()


def test_many_are_kept_in_one_go(vault):
    specs = [AppSpec(f"app-{number}", "1.0") for number in range(300)]
    names = vault.put_all(specs)
    assert [vault.get(name) for name in names] == specs


def test_prune_keeps_what_is_asked_for(vault):
    kept = vault.put(spec_of())
    gone = vault.put(AppSpec("old", "1"))
    assert vault.prune({kept}) == 1
    assert vault.get(gone) is None
    assert vault.get(kept) is not None


def test_prune_of_nothing_is_fine(vault):
    assert vault.prune(set()) == 0


def test_writers_at_once_leave_a_whole_file(vault):
    spec = spec_of()
    threads = [threading.Thread(target=vault.put, args=(spec,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert vault.get(str(digest(spec))) == spec


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path):
    (tmp_path / "specs").write_text("in the way")
    with pytest.raises(VaultError, match="cannot be kept") as caught:
        SpecVault(tmp_path).put(spec_of())
    assert "s3cret" not in str(caught.value)
