"""A connection to PostgreSQL on which no answer is waited for without end.

A server whose processes are stopped, or whose disk hangs, acknowledges what it is sent and never answers: neither
TCP's time-outs nor `statement_timeout`, which the server itself would have to keep, end that.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

_LOOK_EVERY_S = 0.1


class BoundedConnection(psycopg.Connection[Any]):
    """Closes itself when an answer takes longer than `answer_s`; None: it waits for ever."""

    answer_s: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = _LOOK_EVERY_S, timeout: float | None = None) -> RV:
        """What `gen` returns, as of psycopg.Connection.

        Raises:
            OperationalError: the server does not answer; also its own errors.
        """
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except psycopg.OperationalError as fault:
            if timeout is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
                raise psycopg.OperationalError(f"no answer within {self.answer_s:.0f} s") from fault
            raise
