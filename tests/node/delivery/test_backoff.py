"""Deliveries are retried with growing delays, and not for ever."""

from __future__ import annotations

from node.delivery.backoff import RetryPolicy, next_try

POLICY = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=72 * 3600)


def test_the_delay_doubles_up_to_its_maximum() -> None:
    waits = [next_try(POLICY, attempts, created_at=0, now=0) for attempts in (1, 2, 3, 7, 8, 5000)]
    assert waits == [30, 60, 120, 1920, 3600, 3600]


def test_a_delivery_is_dead_after_its_lifetime() -> None:
    assert next_try(POLICY, 80, created_at=0, now=72 * 3600 - 1) is not None
    assert next_try(POLICY, 81, created_at=0, now=72 * 3600) is None
