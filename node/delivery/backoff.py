"""Backoff: when a delivery is tried again. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """The wait doubles from `first_s` up to `ceiling_s`. `dead_after_s` after it was created, a delivery is dead."""

    first_s: float
    ceiling_s: float
    dead_after_s: float


def next_try(policy: RetryPolicy, attempts: int, created_at: float, now: float) -> float | None:
    """The time of the next attempt after `attempts` failed ones (1, 2, …); None if the delivery is dead."""
    if now - created_at >= policy.dead_after_s:
        return None
    # 2**31 s is longer than any ceiling; the exponent is limited so that the float cannot overflow.
    return now + min(policy.ceiling_s, policy.first_s * 2.0 ** min(attempts - 1, 31))
