"""Which release of an app is in force: the link `<home>/apps/<app>/current`, swapped in one step.

`sources.releases` makes, lists and prunes the folders that it points to.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path


def current_link(app_folder: Path) -> Path:
    """The path of the link, whether it exists or not."""
    return app_folder / "current"


def read_current(app_folder: Path) -> Path | None:
    """The release folder that is in force; None without a link, or when what it names is gone."""
    link = current_link(app_folder)
    try:
        target = os.readlink(link)  # noqa: PTH115 - a relative target is wanted as it is
    except OSError:
        return None
    folder = app_folder / target
    return folder if folder.is_dir() else None


def switch_current(app_folder: Path, release: Path) -> None:
    """Make `release` the one in force. Readers see the old link or the new one, never none.

    The link is relative where it can be, so that a home folder may be moved.
    """
    target = release.relative_to(app_folder) if release.is_relative_to(app_folder) else release
    link = current_link(app_folder)
    temporary = app_folder / f".current.{os.getpid()}-{threading.get_ident()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target, target_is_directory=True)
    temporary.replace(link)


def drop_current(app_folder: Path) -> None:
    """Say that no release is in force."""
    current_link(app_folder).unlink(missing_ok=True)


def discard(release: Path) -> None:
    """Remove a release that is damaged. Killed at any point, it is complete as before or absent, never half there."""
    aside = release.with_name(f".{release.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)  # of one that was killed here before
    release.rename(aside)
    shutil.rmtree(aside)
