"""`make demo`: four apps on this machine, run by Celeriac from a Git repository that is yours to change.

Makes, once, below the demo's folder (CELERIAC_HOME, else `.demo` beside `examples/`)

    code/counter, …              repositories of the apps, with a tag per version
    gitops                       the repository that says what runs: a working copy, commit and it counts
    celeriac.toml, demo.json     the settings, and the ports that were free

and then does what `celeriac up` does, until Ctrl-C. The first time it gives a tour (`tour.py`). At the end the apps
stop too. A later run goes on where this one ended; removing the folder begins anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from celeriac import process
from celeriac.errors import CeleriacError, MisuseError
from celeriac.settings import Settings, variable

EXAMPLES = Path(__file__).resolve().parent
PORTS = {"counter": 8101, "datasette": 8102, "greeter": 8103}
"""The ports in `examples/gitops`, by app: each is replaced by one that is free."""

_WRITTEN_CODE = "file:///demo/code/"
_AUTHOR = {"NAME": "Celeriac demo", "EMAIL": "demo@example.org", "DATE": "2026-01-01T00:00:00+00:00"}


@dataclass(frozen=True, slots=True)
class Demo:
    """What was made: in which folder, and which port each app has."""

    folder: Path
    ports: Mapping[str, int]

    @property
    def gitops(self) -> Path:
        """The repository that says what runs."""
        return self.folder / "gitops"

    def address(self, app: str) -> str:
        """Where the app is reached."""
        return f"http://127.0.0.1:{self.ports[app]}"


def prepare(folder: Path) -> Demo:
    """Make whatever is not there yet in `folder`; may be repeated, and cut off at any point.

    Raises MisuseError for a folder that holds something else, CommandError when git does not do its work.
    """
    record = folder / "demo.json"
    others = [path for path in folder.iterdir() if path.name != f"{record.name}.new"] if folder.exists() else []
    if others and not record.exists():
        raise MisuseError(f"{folder} is not empty and not a demo's", hint="set CELERIAC_HOME to a folder of its own")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not record.exists():
        _write(record, json.dumps(asdict(Demo(folder, _free_ports())), default=str))
    known = json.loads(record.read_text(encoding="utf-8"))
    if known["folder"] != str(folder):
        raise MisuseError(f"{folder} was made as {known['folder']}", hint="remove it to begin anew")
    if known["ports"].keys() != PORTS.keys():
        raise MisuseError(f"{folder} was made by another version of the demo", hint="remove it to begin anew")
    demo = Demo(folder, known["ports"])
    for app in ("counter", "greeter", "ticker"):
        _repository(folder / "code" / app, versions(EXAMPLES / app))
    _repository(demo.gitops, [("", filled(files(EXAMPLES / "gitops"), demo))])
    _write(folder / "celeriac.toml", settings(demo))
    return demo


def files(folder: Path) -> dict[str, str]:
    """The text of every file below `folder`, by its path in there."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}


def versions(folder: Path) -> list[tuple[str, dict[str, str]]]:
    """The versions in `folder` in their order, each with the files in which it differs from the one before."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return [(f"v{name}", files(folder / name)) for name in names]


def filled(texts: Mapping[str, str], demo: Demo) -> dict[str, str]:
    """`texts` with this demo's addresses instead of those that are written there."""
    new = {str(written): str(demo.ports[app]) for app, written in PORTS.items()}
    new[_WRITTEN_CODE] = f"{(demo.folder / 'code').as_uri()}/"
    old = re.compile("|".join(rf"(?<!\w){re.escape(text)}" for text in new))
    return {path: old.sub(lambda match: new[match[0]], text) for path, text in texts.items()}


def settings(demo: Demo) -> str:
    """The demo's `celeriac.toml`; `celeriac` finds it by CELERIAC_HOME alone."""
    return f'repo_url = {json.dumps(str(demo.gitops))}\ninterval = "5s"\n'


def environment(demo: Demo, inherited: Mapping[str, str]) -> dict[str, str]:
    """`inherited` without settings of another Celeriac: the demo must not meddle with its Redis."""
    ours = {variable(item.name) for item in fields(Settings) if item.name != "sources"} | {"CELERIAC_CONFIG"}
    kept = {name: value for name, value in inherited.items() if name not in ours}
    return kept | {"CELERIAC_HOME": str(demo.folder), "CELERIAC_CONFIG": str(demo.folder / "celeriac.toml")}


def welcome(demo: Demo, here: Path) -> str:
    """What to look at and what to try; paths as they are seen from the folder `here`."""
    programs = str(Path(sys.executable).parent)  # not resolved: in a virtual environment it is a link

    def seen(path: Path) -> str:
        return str(path.relative_to(here) if path.is_relative_to(here) else path)

    def commit(app: str, new: str) -> str:
        return f'sed -i \'s/^version: .*/version: "{new}"/\' apps/{app}/app.yaml && git commit -qam "{app} {new}"'

    return f"""\
Four apps, run from the Git repository {seen(demo.gitops)}

  counter    {demo.address("counter")}  a hosted app, reloaded while it runs
  greeter    {demo.address("greeter")}  behind the front, each release started beside the one before
  ticker     a worker that needs counter: celeriac logs ticker -f
  datasette  {demo.address("datasette")}  a package as it is published

When all are healthy, three pushes are made for you: watch them here. Then try this in another terminal:

  export CELERIAC_HOME={shlex.quote(str(demo.folder))} PATH={shlex.quote(programs)}:"$PATH"
  cd {shlex.quote(seen(demo.gitops))}

  # back and forth under the running process: the count stays
  {commit("counter", "1.0.0")}

  # a version that is never healthy: nobody is sent to it
  {commit("greeter", "1.2.0")}

  # remove an app, and bring it back
  git rm -qr apps/datasette && git commit -qm "No datasette"
  git revert --no-edit HEAD

Ctrl-C ends Celeriac and then, since this is a demo, the apps too.
"""


def main() -> int:
    """Prepare, tell, run until Ctrl-C, stop the apps. Returns the exit code."""
    folder = Path(os.environ.get("CELERIAC_HOME") or EXAMPLES.parent / ".demo").expanduser().absolute()
    try:
        demo = prepare(folder)
    except process.CommandError as error:
        return _failed("\n  ".join([str(error), *error.tail]))
    except CeleriacError as error:
        return _failed(f"{error.message}\n  {error.hint}")
    new = environment(demo, os.environ)
    os.environ.clear()
    os.environ.update(new)
    with _alone(folder) as alone:
        if not alone:
            print("The demo is running already, in another terminal.")
            return 0
        print(welcome(demo, Path.cwd()), flush=True)
        threading.Thread(target=give_tour, args=(demo,), daemon=True).start()
        try:
            return _celeriac("up", "--stop-apps")
        finally:  # also after a failure, or `celeriac down` in another terminal
            _stop_all()


def give_tour(demo: Demo, say: Callable[[str], None] = print) -> None:
    """Give the tour, unless somebody pushed something already; beside what `celeriac up` shows."""
    from tour import Tour, TourError

    import tasks.celery  # noqa: F401 - now, and not when the first push is timed
    from tasks import api

    def commit(message: str) -> None:
        _git(demo.gitops, "commit", "--quiet", "--all", f"--message={message}")

    def status() -> dict[str, Any]:
        try:
            return dict(api.status())
        except CeleriacError:  # not up yet, or not any more
            return {"status": "", "apps": {}}

    tour = Tour(
        demo.gitops, dict(demo.ports), commit=commit, status=status, why=api.why, sync=api.request_sync, say=say
    )
    if not tour.wanted():
        return
    try:
        tour.play()
        say("That was the tour. It goes on as you like: see above for what to try.")
    except (TourError, CeleriacError, OSError) as error:
        say(f"The tour ended early: {error}")


def _celeriac(*words: str) -> int:
    """Run one command of the command line in this process, so that Ctrl-C reaches it; return its exit code."""
    from cli.main import celeriac

    try:
        celeriac(args=list(words), prog_name="celeriac")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _stop_all() -> None:
    from celeriac.settings import load
    from tasks import services

    services.stop(load(), apps=True)


def _failed(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether this is the only demo of `folder` that runs. The kernel frees the lock of a killed one."""
    with (folder / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _repository(folder: Path, history: list[tuple[str, dict[str, str]]]) -> None:
    """A Git repository with a commit per entry of `history`: its tag, if any, and the files that are new in it."""
    if folder.exists():
        return
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # of a run that was cut off
    new.mkdir(parents=True)
    _git(new, "init", "--quiet", "--initial-branch=main")
    for tag, texts in history:
        for path, text in texts.items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            _write(new / path, text)
        _git(new, "add", "--all")
        _git(new, "commit", "--quiet", f"--message={tag or 'What runs'}")
        if tag:
            _git(new, "tag", "--annotate", f"--message={tag}", tag)
    # So that commits work on a machine where nobody has told git who they are.
    for name, value in (("user.name", _AUTHOR["NAME"]), ("user.email", _AUTHOR["EMAIL"]), ("commit.gpgsign", "false")):
        _git(new, "config", name, value)
    new.rename(folder)


def _git(folder: Path, *words: str) -> None:
    """Run git, whatever the user's configuration says and whatever hook we are started from."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _AUTHOR.items()}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    process.run(["git", *words], timeout=60, cwd=folder, env=env)


def _write(path: Path, text: str) -> None:
    """Write `path` whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _free_ports() -> dict[str, int]:
    """A free port for each app that has one: the written one or the next that nobody uses."""
    found: dict[str, int] = {}
    candidate = min(PORTS.values())
    for app in PORTS:
        while not _is_free(candidate):
            candidate += 1
        found[app] = candidate
        candidate += 1
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


if __name__ == "__main__":
    sys.exit(main())
