"""PostgreSQL's advisory locks (postgresql.org/docs/15/explicit-locking.html, section 13.3.5): their numbers, and the
locks that end with a transaction."""

from __future__ import annotations

from hashlib import blake2b

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session


def lock_in_transaction(of: Session | Connection, name: str) -> None:
    """Waits until no other transaction has this lock, and holds it until this transaction ends. With SQLite only one
    transaction writes at a time, and nothing is done."""
    connection = of.connection() if isinstance(of, Session) else of
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(key_of(name))))


def key_of(name: str) -> int:
    """A lock's number: 64 bits, with a sign."""
    digest = blake2b(name.encode(), digest_size=8, person=b"mammo-node").digest()
    return int.from_bytes(digest, "big", signed=True)
