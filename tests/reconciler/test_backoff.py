"""When a failed app is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.backoff import FIRST, LONGEST, delay


@given(st.integers(1, 10_000), st.text(max_size=20))
def test_the_wait_doubles_up_to_its_bound_with_little_jitter(attempts: int, key: str) -> None:
    full = min(int(FIRST) * 2 ** (attempts - 1), int(LONGEST))
    assert 0.8 * full <= delay(attempts, key) <= full
    assert delay(attempts, key) == delay(attempts, key)


def test_apps_that_failed_together_do_not_return_together() -> None:
    assert len({delay(3, f"app{n}") for n in range(20)}) > 15
    assert delay(0, "app") == 0
