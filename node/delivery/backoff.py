"""When a delivery is tried again: a pure decision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """Waits double from `first_s` to `ceiling_s`; after `dead_after_s` since the delivery was written it is dead."""

    first_s: float
    ceiling_s: float
    dead_after_s: float


def next_try(policy: RetryPolicy, attempts: int, created_at: float, now: float) -> float | None:
    """The time of the next try after `attempts` failed ones (1, 2, …), or None when the time is over."""
    if now - created_at >= policy.dead_after_s:
        return None
    # 2**31 seconds are longer than any ceiling; the exponent is bounded so that a float never overflows.
    return now + min(policy.ceiling_s, policy.first_s * 2.0 ** min(attempts - 1, 31))
