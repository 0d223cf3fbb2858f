"""Messages come twice, late, or never: what is done depends on the steps in Redis alone."""

from __future__ import annotations

import pytest
from gates import Gates
from installation import Installation
from waiting import wait_for

pytestmark = pytest.mark.e2e


def deliver(here: Installation, *messages: tuple[str, str, str, str]) -> None:
    """Send messages (id, task, run, step), as a broker that delivers once more would."""
    here.python(
        "from tasks.celery import app\n"
        f"for id, task, run, step in {list(messages)!r}:\n"
        f"    queue = 'node.{here.node}' if '@' in step else 'ctl'\n"
        "    app.send_task(task, args=(run, step), queue=queue, task_id=id, ignore_result=True)\n"
    )


def said(here: Installation, id_: str) -> str:
    """What came of the message with that id, as the worker's log says; empty while nothing did."""
    done = [line for line in here.log("worker").splitlines() if f"[{id_}] succeeded" in line]
    return done[0].split("'")[1] if done else ""


def told(here: Installation, name: str) -> list[str]:
    """The apps of the events `name`."""
    return [event.app for event in here.engine.events.last(10_000) if event.name == name]


def test_a_message_that_comes_again_is_refused_while_its_step_goes_on_and_after_it(
    gated: Installation, gates: Gates
) -> None:
    gated.app("db")
    gated.app("web", needs=("db",))
    gated.commit()
    gates.close("db.build")
    gates.close("web.build")
    gated.start()
    gates.wait_until_reached("db.build")
    current = gated.engine.runs.current()
    assert current is not None
    run = current.id
    deliver(gated, ("again", "deploy", run, "db@n1"), ("early", "deploy", run, "web@n1"), ("over", "diff", run, "diff"))
    wait_for(
        lambda: (said(gated, "again"), said(gated, "early"), said(gated, "over")) == ("Running", "NotReady", "Done")
    )
    gates.open("db.build")
    gates.wait_until_reached("web.build")
    deliver(gated, ("late", "deploy", run, "db@n1"))
    wait_for(lambda: said(gated, "late") == "Done")
    gates.open("web.build")
    gated.settle()
    assert told(gated, "deploy.start") == told(gated, "deploy.stop") == ["db", "web"]


def test_messages_of_a_run_that_is_closed_are_harmless(here: Installation) -> None:
    here.app("web")
    here.commit()
    here.start()
    here.settle()
    run = here.engine.runs.recent()[-1]["run"]
    started = here.live("web").started_at
    here.kill("worker")
    old = [("deploy", "web@n1"), ("remove", "web@n1"), ("observe", "observe@n1"), ("pull", "pull"), ("diff", "diff")]
    deliver(here, *((f"stale-{task}", task, run, step) for task, step in old))
    here.app("db")
    here.commit()
    here.start_worker()
    wait_for(lambda: all(said(here, f"stale-{task}") == "UnknownRun" for task, _ in old))
    here.settle()
    assert told(here, "deploy.start") == ["web", "db"]
    assert told(here, "remove.start") == []
    assert here.live("web").started_at == started
    assert here.status()["status"] == "synced"


def test_messages_that_are_lost_are_sent_again(here: Installation) -> None:
    for name in ("a", "b", "c"):
        here.app(name, needs=("db",))
    here.app("db", env={"NOOP_SLEEP": "1"})
    here.commit()
    here.start()
    wait_for(lambda: told(here, "deploy.start") == ["db"])
    queue = f"{here.settings.key_prefix}.celery.node.{here.node}"

    def lost() -> bool:
        here.store.client.delete(queue)
        return "db" in told(here, "deploy.stop")

    wait_for(lost)
    here.settle()
    assert sorted(told(here, "deploy.stop")) == ["a", "b", "c", "db"]
    assert here.status()["status"] == "synced"
