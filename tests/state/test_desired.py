"""`state.desired` against a real Redis."""

from __future__ import annotations

from dataclasses import replace

import pytest

from specs.desired import DesiredApp, assemble
from specs.model import Icon, Placement
from specs.problem import Problem
from state.desired import Desired, Head, RemoteStatus, digest_in
from state.store import Store


@pytest.fixture
def desired(store: Store) -> Desired:
    return Desired(store)


def app(name: str, digest: str = "d1", **fields: object) -> DesiredApp:
    return DesiredApp(name, name, f"apps/{name}/app.yaml", f"blob-{name}", "1.0", digest, **fields)  # type: ignore[arg-type]


def by_path(*apps: DesiredApp) -> dict[str, DesiredApp]:
    return {one.path: one for one in apps}


def put(desired: Desired, revision: str, *apps: DesiredApp, replace: bool = False) -> None:
    files = by_path(*apps)
    desired.write(Head(revision), files, assemble(files, desired.names()), replace=replace)


def test_before_the_first_sync_there_is_nothing(desired: Desired) -> None:
    assert desired.head() is None
    assert desired.snapshot() == (None, {})
    assert desired.app("web") is None
    assert desired.digest("web") is None
    assert desired.remote() is None


def test_what_was_written_is_read_again_whole(desired: Desired) -> None:
    web = app(
        "web", depends_on=("db",), icon=Icon(), placement=Placement(), description="ä\n", positions={"name": (1, 2)}
    )
    head = Head("abc", "main", "Ann", "Add web", 1.5, 2.5, False)
    desired.write(head, by_path(web, app("db")), {"web": web, "db": app("db")})
    assert desired.head() == head
    assert desired.snapshot() == (head, {"db": app("db"), "web": web})
    assert list(desired.apps()) == ["db", "web"]
    assert desired.files() == by_path(web, app("db"))
    assert desired.names() == {"apps/db/app.yaml": "db", "apps/web/app.yaml": "web"}
    assert desired.digests() == {"db": "d1", "web": "d1"}
    assert desired.app("web") == web


def test_only_what_changed_is_given_and_the_rest_stays(desired: Desired) -> None:
    put(desired, "one", app("web"), app("db"))
    changed = app("web", "d2")
    desired.write(Head("two"), by_path(changed), {"web": changed, "db": app("db")})
    assert desired.apps() == {"db": app("db"), "web": changed}
    assert desired.digests() == {"db": "d1", "web": "d2"}


def test_a_removed_file_takes_its_app_with_it(desired: Desired) -> None:
    put(desired, "one", app("web"), app("db"))
    desired.write(Head("two"), {}, {"db": app("db")}, ["apps/web/app.yaml"])
    assert desired.apps() == desired.apps() == {"db": app("db")}
    assert desired.digests() == {"db": "d1"}
    assert desired.app("web") is None


def test_replace_forgets_every_file_that_is_not_given(desired: Desired) -> None:
    put(desired, "one", app("web"), app("db"))
    put(desired, "two", app("cache"), replace=True)
    assert desired.snapshot() == (Head("two"), {"cache": app("cache")})
    assert desired.names() == {"apps/cache/app.yaml": "cache"}


def test_problems_that_span_files_are_kept_apart_from_the_files_and_go_when_they_are_mended(desired: Desired) -> None:
    web = app("web", depends_on=("db",))
    put(desired, "one", web)
    broken = desired.app("web")
    assert broken is not None
    assert "there is no app `db`" in broken.problems[0].message
    assert desired.apps() == {"web": broken}
    assert desired.files() == by_path(web)
    # The mending commit changes another file only: that of web is not read anew.
    files = {**desired.files(), **by_path(app("db"))}
    desired.write(Head("two"), by_path(app("db")), assemble(files, desired.names()))
    assert desired.apps() == {"db": app("db"), "web": web}
    assert desired.app("web") == web


def test_a_problem_that_stays_is_kept_when_another_file_changes(desired: Desired) -> None:
    put(desired, "one", app("web", depends_on=("db",)), app("other"))
    files = {**desired.files(), **by_path(app("other", "d2"))}
    desired.write(Head("two"), by_path(app("other", "d2")), assemble(files, desired.names()))
    assert [not one.valid for one in desired.apps().values()] == [False, True]
    assert desired.apps() == assemble(files)


def test_an_app_that_could_never_be_read_has_an_empty_digest(desired: Desired) -> None:
    bad = replace(app("web", ""), guessed=True, problems=(Problem("apps/web/app.yaml", "is no YAML"),))
    put(desired, "one", bad)
    assert desired.digests() == {"web": ""}
    assert desired.app("web") == bad


def test_a_file_whose_path_has_spaces_keeps_its_path(desired: Desired) -> None:
    odd = replace(app("web"), path="apps/my  app/app.yaml", folder="my  app")
    put(desired, "one", odd)
    assert desired.names() == {odd.path: "web"}
    assert desired.app("web") == odd


def test_a_digest_can_be_asked_for_among_other_things(desired: Desired, store: Store) -> None:
    put(desired, "one", app("web"))
    pipe = store.pipeline()
    desired.digest("web", pipe)
    desired.digest("none", pipe)
    assert [digest_in(reply) for reply in pipe.execute()] == ["d1", None]
    assert desired.digest("web") == "d1"


def test_the_last_look_at_the_remote_is_remembered(desired: Desired) -> None:
    status = RemoteStatus(False, 12.5, "abc", "RemoteUnreachable", "no route to host")
    desired.set_remote(status)
    assert desired.remote() == status
