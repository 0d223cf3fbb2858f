"""Installs a folder of source code that was checked out or unpacked: a project goes through its build backend,
plain files become the release's `src`, on the environment's path, with their requirements installed.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from sources.archive import check_links
from sources.failure import BadSource, BuildFailed
from sources.installer import build_wheel, install
from sources.inventory import SOURCE_PTH, direct_distribution, site_packages
from sources.workshop import Workshop
from specs.model import AppSpec

_FROM_GIT = re.compile(r"setuptools[-_]scm|use_scm_version|hatch[-_]vcs|vcs[-_]versioning|pdm-backend|poetry-dynamic")
_VERSION_VARIABLES = (
    "SETUPTOOLS_SCM_PRETEND_VERSION",
    "PDM_BUILD_SCM_VERSION",
    "POETRY_DYNAMIC_VERSIONING_BYPASS",
)


def install_tree(spec: AppSpec, workshop: Workshop, folder: Path) -> str:
    """Install what `folder` holds; return the installed distribution's name, "" for plain files.

    Raises VersionMissing, Unreachable or BuildFailed with uv's own lines.
    """
    project = find_project(folder)
    if project is None:
        install_files(spec, workshop, content_of(folder))
        return ""
    title = f"{spec.name} {spec.version}"
    pretended = pretended_version(project, spec)
    what = build_wheel(workshop, project, title=title, extra_env=pretended) if pretended else project
    install(workshop, str(what), title=title)
    return direct_distribution(workshop.venv)


def install_files(spec: AppSpec, workshop: Workshop, folder: Path) -> None:
    """Make `folder` the release's `src`: importable, and its requirements.txt (if any) installed."""
    if not any(folder.iterdir()):
        raise BadSource(f"{spec.name} {spec.version}: the source is empty", hint="check source.url and subdirectory")
    source = folder.rename(workshop.source)
    source.chmod(0o755)
    check_links(source)
    if (source / "requirements.txt").is_file():
        what = ("-r", "requirements.txt")
        install(workshop, *what, title=f"{spec.name} {spec.version} requirements", cwd=source)
    site = site_packages(workshop.venv)
    up = "/".join([".."] * len(site.relative_to(workshop.folder).parts))  # relative, since the release is renamed
    (site / SOURCE_PTH).write_text(f"{up}/{source.name}\n", encoding="utf-8")


def find_project(folder: Path) -> Path | None:
    """The folder that a build backend can install: `folder` itself, or the one folder in it that is a project.

    A folder that has code of its own beside that one is no wrapper around it.
    """
    if _is_project(folder):
        return folder
    if (folder / "requirements.txt").exists() or any(folder.glob("*.py")):
        return None
    inner = [child for child in _folders(folder) if _is_project(child)]
    return inner[0] if len(inner) == 1 else None


def content_of(folder: Path) -> Path:
    """Where the plain files are: in the single folder that archives are often wrapped in, unless it is a package."""
    children = sorted(folder.iterdir())
    folders = _folders(folder)
    wrapped = len(children) == 1 and len(folders) == 1
    if wrapped and not any((folders[0] / name).exists() for name in ("__init__.py", "__main__.py")):
        return folders[0]
    return folder


def pretended_version(project: Path, spec: AppSpec) -> dict[str, str]:
    """Tells build backends that take the version from Git what it is; empty where the project states its own.

    There is no repository to ask in what was checked out. It is said to all backends alike, so it must be said
    while this one project is built, and not while its dependencies are installed.
    """
    if (project / "PKG-INFO").exists():  # an sdist: the version is in there
        return {}
    for name in ("pyproject.toml", "setup.py", "setup.cfg"):
        file = project / name
        if file.is_file() and _FROM_GIT.search(file.read_text(encoding="utf-8", errors="replace")):
            return dict.fromkeys(_VERSION_VARIABLES, spec.version)
    return {}


def _is_project(folder: Path) -> bool:
    if (folder / "setup.py").is_file():
        return True
    tables = _pyproject(folder)
    return "project" in tables or "build-system" in tables  # else it only configures tools


def _pyproject(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuildFailed(f"pyproject.toml cannot be read: {error}", hint="correct it where the app is made") from error


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.is_symlink())
