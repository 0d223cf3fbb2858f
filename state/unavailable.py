"""The one error of this package that concerns Redis itself. Apart, so that it can be caught without importing redis."""

from __future__ import annotations

from celeriac.errors import CeleriacError


class StateUnavailable(CeleriacError):  # noqa: N818 - a condition that passes, not a fault
    """Redis does not answer, refuses us, or is full. What runs goes on; a call did all it meant to, or nothing."""

    reason = "StateUnavailable"
