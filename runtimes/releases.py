"""Which release of an app is in force: the link `<home>/apps/<app>/current`, swapped in one step.

`sources.releases` makes, lists and prunes the folders that it points to.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
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


@contextlib.contextmanager
def replaced(release: Path) -> Iterator[None]:
    """Have a damaged release out of the way while it is built anew; it is put back when that fails.

    Killed at any point, there is a release at its place or none, and never half of one; what is left aside goes when
    it is built. `sources.build` looks there for what must not be taken from a cache again.
    """
    aside = release.with_name(f".{release.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)  # of one that was killed here before
    release.rename(aside)
    try:
        yield
    except BaseException:
        if not release.exists():
            aside.rename(release)
        raise
    shutil.rmtree(aside, ignore_errors=True)
