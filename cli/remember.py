"""Keeps the repository that `celeriac up --repo` named in `<home>/celeriac.toml`, for every later command."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

from celeriac.errors import SettingsError
from celeriac.settings import Settings


def repository(url: str) -> str:
    """`url` in the form that is kept: a folder on this machine by its whole path. Raises SettingsError."""
    from specs.addresses import check_git_url

    folder = Path(url).expanduser()
    if folder.is_dir():
        return str(folder.absolute())
    try:
        return check_git_url(url)
    except ValueError as error:
        raise SettingsError(f"--repo: {error}", hint="or name a folder that holds a Git repository") from error


def remember(settings: Settings, url: str) -> Settings:
    """Write `url` to the file, other settings in it kept as they are; return the settings with it in force."""
    path = settings.home / "celeriac.toml"
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        temporary = path.with_name("celeriac.toml.new")
        temporary.unlink(missing_ok=True)
        # A URL may hold a token: nobody else may read it.
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(with_repo(before, url))
        temporary.replace(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}", hint="set CELERIAC_HOME") from error
    return replace(settings, repo_url=url, sources={**settings.sources, "repo_url": str(path)})


def with_repo(text: str, url: str) -> str:
    """The TOML `text` with `repo_url` set to `url`. It goes first, since a key after a table would belong to it."""
    rest = re.sub(r"(?m)^[ \t]*repo_url[ \t]*=.*(?:\n|\Z)", "", text)
    return f"repo_url = {json.dumps(url, ensure_ascii=False)}\n{rest}"
