"""What is not done, and how it is said: to Celeriac in one line without secrets, to the app's own log in full."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path


class Refused(Exception):  # noqa: N818 - an answer
    """What was asked for is not done; everything is as it was before. `reason` is for machines."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def told(error: BaseException, secrets: Iterable[str]) -> str:
    """What happened and where in the app, with none of the values `secrets` in it. The whole goes to the app's log."""
    traceback.print_exception(error)
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = f" ({Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno})" if at is not None else ""
    text = f"{type(error).__name__}: {error}"
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) > 3:
            text = text.replace(value, "***")
    return text + where
