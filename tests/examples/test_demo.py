"""The demo: its repositories are real, its specs are valid, its apps build from a local repository and serve."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hosting import wheel_of
from machine import Machine

from celeriac.errors import MisuseError
from celeriac.settings import load as load_settings
from specs.directory import check_directory
from specs.loader import load
from specs.model import AppSpec, Expose
from specs.remote import Remote

ROOT = Path(__file__).resolve().parents[2]


def import_demo() -> ModuleType:
    """`examples/demo.py`, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("celeriac_demo", ROOT / "examples" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["celeriac_demo"] = module
    sys.path.append(str(ROOT / "examples"))  # where the script finds its other half
    spec.loader.exec_module(module)
    return module


demo = import_demo()


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """A demo in a folder whose name is none of the easy ones."""
    return demo.prepare(tmp_path / "a demo, 8101")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def specs_of(made: Any) -> dict[str, AppSpec]:
    found = {}
    for folder in sorted((made.gitops / "apps").iterdir()):
        path = folder / "app.yaml"
        loaded = load(f"apps/{folder.name}/app.yaml", path.read_bytes(), folder.name)
        assert loaded.spec is not None, loaded.problems
        found[loaded.spec.name] = loaded.spec
    return found


def test_every_version_of_an_app_has_a_tag(made: Any) -> None:
    versions = {"counter": ["1.0.0", "1.1.0"], "greeter": ["1.0.0", "1.1.0", "1.2.0"], "ticker": ["1.0.0"]}
    for app, known in versions.items():
        assert git(made.folder / "code" / app, "tag").split() == [f"v{version}" for version in known]
        for version in known:
            project = git(made.folder / "code" / app, "show", f"v{version}:pyproject.toml")
            assert f'version = "{version}"' in project


def test_versions_share_the_files_in_which_they_do_not_differ(made: Any) -> None:
    changed = git(made.folder / "code" / "counter", "diff", "--name-only", "v1.0.0", "v1.1.0").split()
    assert changed == ["pyproject.toml", "src/counter/web.py"]
    changed = git(made.folder / "code" / "greeter", "diff", "--name-only", "v1.1.0", "v1.2.0").split()
    assert changed == ["pyproject.toml", "src/greeter/answers.py"]


def test_gitops_repository_has_one_commit_and_nothing_uncommitted(made: Any) -> None:
    assert git(made.gitops, "rev-list", "--count", "main") == "1"
    assert git(made.gitops, "status", "--porcelain") == ""


def test_change_can_be_committed_where_nobody_told_git_who_they_are(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    spec = made.gitops / "apps" / "counter" / "app.yaml"
    spec.write_text(spec.read_text().replace("1.0.0", "1.1.0"))
    git(made.gitops, "commit", "-qam", "counter 1.1.0")
    assert git(made.gitops, "log", "-1", "--format=%s") == "counter 1.1.0"


def test_written_and_filled_specs_are_valid(made: Any) -> None:
    for folder in (ROOT / "examples" / "gitops", made.gitops):
        checked = check_directory(folder)
        assert checked.problems == ()
        assert set(checked.apps) == {"counter", "greeter", "ticker", "datasette"}


def test_specs_name_the_code_and_the_ports_of_this_demo(made: Any) -> None:
    specs = specs_of(made)
    assert specs["counter"].source.url == (made.folder / "code" / "counter").as_uri()
    ports = {name: spec.health.port for name, spec in specs.items() if spec.health is not None}
    assert ports == made.ports
    assert specs["greeter"].expose == Expose(made.ports["greeter"])
    assert specs["ticker"].env["COUNTER_URL"] == f"{made.address('counter')}/count"


def test_new_ports_that_are_written_ports_too_are_not_replaced_twice(tmp_path: Path) -> None:
    swapped = demo.Demo(tmp_path, {"counter": 8102, "datasette": 8101, "greeter": 8103})
    assert demo.filled({"a": "8101 8102"}, swapped) == {"a": "8102 8101"}


def test_second_run_changes_nothing(made: Any) -> None:
    spec = made.gitops / "apps" / "counter" / "app.yaml"
    spec.write_text("mine")
    commit = git(made.gitops, "rev-parse", "main")
    assert demo.prepare(made.folder) == made
    assert spec.read_text() == "mine"
    assert git(made.gitops, "rev-parse", "main") == commit


def test_run_that_was_cut_off_is_finished(made: Any) -> None:
    made.gitops.rename(made.gitops.with_name(".gitops.new"))
    (made.gitops.with_name(".gitops.new") / "apps" / "half").mkdir()
    demo.prepare(made.folder)
    assert sorted(path.name for path in (made.gitops / "apps").iterdir()) == [
        "counter",
        "datasette",
        "greeter",
        "ticker",
    ]


def test_port_in_use_is_left_to_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        monkeypatch.setattr(demo, "PORTS", {"counter": taken, "datasette": taken})
        ports = list(demo.prepare(tmp_path / "demo").ports.values())
    assert taken not in ports
    assert len(set(ports)) == 2


def test_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    with pytest.raises(MisuseError, match="not a demo's"):
        demo.prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["apps"]


def test_demo_that_was_moved_is_refused(made: Any, tmp_path: Path) -> None:
    moved = made.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(MisuseError, match="was made as"):
        demo.prepare(moved)


def test_demo_of_another_version_is_refused(made: Any) -> None:
    (made.folder / "demo.json").write_text(json.dumps({"folder": str(made.folder), "ports": {"counter": 8101}}))
    with pytest.raises(MisuseError, match="another version"):
        demo.prepare(made.folder)


def test_settings_are_the_demos_own_whatever_is_in_the_environment(made: Any, tmp_path: Path) -> None:
    (tmp_path / "celeriac.toml").write_text('repo_url = "https://example.com/live.git"\nredis_url = "redis://live"\n')
    inherited = {
        "PATH": "/bin",
        "REDIS_URL": "redis://live",
        "CELERIAC_REPO_URL": "https://example.com/live.git",
        "SENTRY_DSN": "https://key@example.com/1",
    }
    environ = demo.environment(made, inherited)
    settings = load_settings(environ, folder=tmp_path)
    assert settings.repo_url == str(made.gitops)
    assert (settings.home, settings.interval, settings.redis_url, settings.sentry_dsn) == (made.folder, 5.0, "", "")
    assert environ["PATH"] == "/bin"
    from_another_terminal = load_settings({"CELERIAC_HOME": str(made.folder)}, folder=made.gitops)
    assert replace(from_another_terminal, sources={}) == replace(settings, sources={})


def test_repository_is_one_that_a_sync_can_read(made: Any) -> None:
    assert Remote(str(made.gitops), "main", timeout=20).revision() == git(made.gitops, "rev-parse", "main")


def test_walk_through_is_made_of_commands_that_work(made: Any) -> None:
    commands = [line.strip() for line in demo.welcome(made, Path("/")).splitlines() if line.startswith("  sed")]
    specs = made.gitops / "apps"
    for app in ("counter", "greeter"):  # as the tour leaves them
        path = specs / app / "app.yaml"
        path.write_text(path.read_text().replace("1.0.0", "1.1.0"))
    git(made.gitops, "commit", "-qam", "after the tour")
    for command, (app, version) in zip(commands, [("counter", "1.0.0"), ("greeter", "1.2.0")], strict=True):
        subprocess.run(["sh", "-c", command], cwd=made.gitops, check=True)
        assert specs_of(made)[app].version == version
    assert git(made.gitops, "rev-list", "--count", "main") == "4"


def test_second_demo_in_another_terminal_stops_nothing(made: Any) -> None:
    with demo._alone(made.folder) as first, demo._alone(made.folder) as second:
        assert first
        assert not second


GIVE = """
import json, sys
from pathlib import Path
import demo
said = []
demo.give_tour(demo.prepare(Path(sys.argv[1])), said.append)
print(json.dumps(said))
"""


def give_tour(folder: Path, environ: Mapping[str, str]) -> list[str]:
    """The tour as the demo gives it, in a process of its own: what was said."""
    path = os.pathsep.join([str(ROOT / "examples"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", GIVE, str(folder)],
        env={**environ, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=200,
    )
    said: list[str] = json.loads(done.stdout)
    return said


def test_tour_shows_three_pushes_that_no_request_notices(tmp_path: Path) -> None:
    """The tour itself, on a whole Celeriac; datasette is left out, which comes from an index."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel_of("waitress", shelf)
    with Machine() as machine:
        folder = machine.folder / "demo"
        folder.mkdir()
        chosen = {"folder": str(folder), "ports": {app: free_port() for app in demo.PORTS}}
        (folder / "demo.json").write_text(json.dumps(chosen))
        made = demo.prepare(folder)
        git(made.gitops, "rm", "-qr", "apps/datasette")
        git(made.gitops, "commit", "-qm", "No datasette")
        machine.environ.update(CELERIAC_REPO_URL=str(made.gitops), UV_FIND_LINKS=str(shelf), UV_OFFLINE="1")
        machine.start()
        said, again = give_tour(folder, machine.environ), give_tour(folder, machine.environ)
        versions = {name: spec.version for name, spec in specs_of(made).items()}
    told = "\n".join(said)
    assert said[-1].startswith("That was the tour"), told
    assert re.search(
        r"1\. counter .* it said 42 and says 42, the same process \(\d+\), .* says 84\. \d+ requests, none failed", told
    )
    assert re.search(r"2\. greeter .* said hello, process \d+ says welcome\.", said[2])
    assert "nobody was sent to it" in told
    assert "no such table: greetings" in told
    assert versions == {"counter": "1.1.0", "greeter": "1.1.0", "ticker": "1.0.0"}
    assert again == []
    assert re.search(r"counter: \d+ requests, none failed\. greeter: \d+ requests, none failed", told)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
