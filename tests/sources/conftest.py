"""Tiny but real things to build: wheels, projects with a build backend of their own, archives, Git repositories."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

MAIN = "import sys\n\n\ndef main():\n    print('hello from', __name__, sys.prefix)\n"

# A build backend in the project itself: a wheel is a zip, so building one needs no index and no network.
BACKEND = """
import os, pathlib, time, tomllib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    name = project["name"].replace("-", "_")
    version = project.get("version") or os.environ["SETUPTOOLS_SCM_PRETEND_VERSION"]
    gate = pathlib.Path("gate.txt")
    if gate.exists():
        started, go = gate.read_text().split()
        pathlib.Path(started).touch()
        while not os.path.exists(go):
            time.sleep(0.02)
    info, file = f"{name}-{version}.dist-info", f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, file), "w") as wheel:
        for path in sorted(pathlib.Path(name).rglob("*.py")):
            wheel.write(path, str(path))
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {project['name']}\\nVersion: {version}\\n")
        tags = "Generator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\\n{tags}")
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\\n{name} = {name}:main\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return file
"""


class Workbench:
    """Makes what sources are built from, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def wheel(
        self,
        name: str,
        version: str,
        *,
        scripts: tuple[str, ...] | None = None,
        files: Mapping[str, str] | None = None,
        requires: tuple[str, ...] = (),
        into: str = "shelf",
    ) -> Path:
        """A wheel of `name` with one package and, by default, one console script of that name."""
        module = name.replace("-", "_")
        scripts = (name,) if scripts is None else scripts
        files = {f"{module}/__init__.py": MAIN} if files is None else files
        folder = self.folder / into
        folder.mkdir(exist_ok=True)
        path = folder / f"{module}-{version}-py3-none-any.whl"
        info = f"{module}-{version}.dist-info"
        needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
        with zipfile.ZipFile(path, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
            archive.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            lines = "".join(f"{script} = {module}:main\n" for script in scripts)
            archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{lines}")
            archive.writestr(f"{info}/RECORD", "")
        return path

    def project(self, name: str = "shop", version: str = "1.0", *, prefix: str = "") -> dict[str, str]:
        """The files of a project that builds itself."""
        module = name.replace("-", "_")
        return {
            f"{prefix}pyproject.toml": (
                '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
                f'[project]\nname = "{name}"\nversion = "{version}"\n'
            ),
            f"{prefix}backend.py": BACKEND,
            f"{prefix}{module}/__init__.py": MAIN,
            f"{prefix}{module}/__main__.py": f"from {module} import main\nmain()\n",
        }

    def tar(self, files: Mapping[str, str], name: str = "app.tar.gz") -> Path:
        """A tar.gz of regular files."""
        path = self.folder / name
        with tarfile.open(path, "w:gz") as archive:
            for file, text in files.items():
                info = tarfile.TarInfo(file)
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))
        return path

    def zip(self, files: Mapping[str, str], name: str = "app.zip") -> Path:
        """A zip of regular files."""
        path = self.folder / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, text in files.items():
                archive.writestr(file, text)
        return path

    def git(self, repo: Path, *words: str) -> str:
        """Run git in `repo`."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@example.org",
        }
        done = subprocess.run(["git", *words], cwd=repo, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def repository(self, files: Mapping[str, str], *, tag: str = "", name: str = "repo") -> Path:
        """A Git repository with one commit on `main`."""
        repo = self.folder / name
        repo.mkdir()
        self.git(repo, "init", "-q", "-b", "main")
        self.commit(repo, files, tag=tag)
        return repo

    def commit(self, repo: Path, files: Mapping[str, str], *, tag: str = "") -> str:
        """Add `files`, commit, tag; return the commit."""
        for file, text in files.items():
            (repo / file).parent.mkdir(parents=True, exist_ok=True)
            (repo / file).write_text(text)
        self.git(repo, "add", "-A")
        self.git(repo, "commit", "-q", "-m", "change", "--allow-empty")
        if tag:
            self.git(repo, "tag", "-a", "-m", tag, tag)
        return self.git(repo, "rev-parse", "HEAD")

    @staticmethod
    def sha256(path: Path) -> str:
        """The digest that a spec pins."""
        return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A workbench whose wheels are the only index there is."""
    workbench = Workbench(tmp_path / "bench")
    (tmp_path / "bench" / "shelf").mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "bench" / "shelf"))
    (tmp_path / "bench" / "index").mkdir()
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "bench" / "index").as_uri())
    return workbench


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Celeriac's home folder."""
    return tmp_path / "home"


@pytest.fixture
def nothing_left(home: Path) -> Callable[[str], None]:
    """Asserts that a failed build of an app left no release and no half of one."""

    def check(app: str) -> None:
        assert list((home / "apps" / app / "releases").iterdir()) == []

    return check
