"""Back to an earlier release: by hand without any source, and by itself when an upgrade begins to crash later.

Beside it hooks, of real releases.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
from machine import Machine
from waiting import wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture
def here() -> Iterator[Machine]:
    """A machine on which nothing runs yet."""
    with Machine() as made:
        yield made


def version(here: Machine, name: str = "dying") -> str:
    return str(here.status()["apps"][name]["version"])


def test_any_kept_release_comes_back_with_no_source_and_no_redis_left(here: Machine) -> None:
    here.dying("1.0.0")
    here.dying("2.0.0")
    here.dying("3.0.0")
    here.web("dying", "1.0.0")
    here.deployed()
    for wanted, env in (("2.0.0", {}), ("3.0.0", {}), ("3.0.0", {"GREETING": "hi"})):
        here.web("dying", wanted, env=env)
        here.commit(f"Try {wanted}")
        assert here.sync()["status"] == "synced"
    shutil.rmtree(here.folder / "code")
    shutil.rmtree(here.home / "cache")

    # The same version, as it was before it got another environment.
    here.cli("rollback", "dying", "--to", "3.0.0")
    assert version(here) == "3.0.0"
    assert "GREETING" not in json.loads((here.home / "apps" / "dying" / "env").read_text())
    here.cli("rollback", "dying", "--to", "1.0.0")
    assert version(here) == "1.0.0"
    newest = json.loads(here.cli("history", "dying", "--json"))[0]
    assert (newest["action"], newest["result"], newest["from_version"], newest["to_version"]) == (
        "rollback", "ok", "3.0.0", "1.0.0",
    )  # fmt: skip
    assert newest["why"] == "rolled back by hand to 1.0.0"

    here.store.client.flushall()
    wait_for(lambda: "dying" in here.status()["apps"])
    here.sync()
    assert (version(here), here.status()["apps"]["dying"]["reason"]) == ("1.0.0", "HeldByHand")
    here.cli("rollback", "dying", "--to", "2.0.0")
    assert version(here) == "2.0.0"
    assert "it has: " in here.cli("rollback", "dying", "--to", "0.1", "--json", code=1)
    builds = [event for event in here.engine.events.last(1000) if event.name.startswith("build.")]
    assert builds == []


def test_a_crash_loop_soon_after_an_upgrade_is_rolled_back_and_told(here: Machine) -> None:
    here.dying("1.0.0", mortal=False)
    here.dying("2.0.0")
    here.web("dying", "1.0.0")
    here.deployed()
    before = (
        "import dying, os; print('migrates', dying.__file__);"
        "open('migrated', 'w').write(os.environ['CELERIAC_VERSION'])"
    )
    after = "import os, urllib.request as r; print('says', r.urlopen('http://127.0.0.1:' + os.environ['PORT']).read())"
    hooks = {"pre_deploy": ["python", "-c", before], "post_deploy": ["python", "-c", after]}
    here.web("dying", "2.0.0", more=f"hooks: {json.dumps(hooks)}\n")
    revision = here.commit("Try 2.0.0")
    assert here.sync()["status"] == "synced"
    release = (here.home / "apps" / "dying" / "current").resolve()
    assert (here.home / "apps" / "dying" / "data" / "migrated").read_text() == "2.0.0"
    said = here.cli("logs", "dying", "-p", "hook")
    assert f"migrates {release}/venv/lib" in said
    assert "says b'2.0.0'" in said
    (here.home / "apps" / "dying" / "data" / "die").touch()
    wait_for(lambda: here.status()["apps"]["dying"]["reason"] == "RolledBack")
    wait_for(lambda: here.status()["status"] == "degraded")
    app = here.status()["apps"]["dying"]
    assert (app["sync"], app["status"], app["health"]) == ("out_of_sync", "running", "healthy")
    assert (app["version"], app["desired_version"]) == ("1.0.0", "2.0.0")
    why = json.loads(here.cli("why", "dying", "--json", code=3))
    assert "2.0.0, which failed; it was rolled back" in why["explanation"]
    assert "ended again and again within 5 minutes of the upgrade" in why["message"]
    assert "no such table: users" in why["message"]
    newest = json.loads(here.cli("history", "dying", "--json"))[0]
    assert (newest["result"], newest["revision"]) == ("rolled_back", revision)
    assert (newest["author"], newest["subject"]) == ("Test", "Try 2.0.0")
    told = [event for event in here.engine.events.last(1000) if event.name == "rollback.stop"]
    assert [event.extra["reason"] for event in told] == ["CrashLoop"]
    here.sync()
    assert version(here) == "1.0.0"
