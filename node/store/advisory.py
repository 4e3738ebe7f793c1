"""PostgreSQL's advisory locks (postgresql.org/docs/15/explicit-locking.html, section 13.3.5): their numbers, and the
locks that end with a transaction."""

from __future__ import annotations

from hashlib import blake2b

from sqlalchemy import Connection, func, select, text
from sqlalchemy.orm import Session

AT_WORK = "at work"
"""Shared by the running processes of a node; of a migration alone."""


def lock_in_transaction(of: Session | Connection, name: str) -> None:
    """Waits until no other transaction has this lock, and holds it until this transaction ends. With SQLite only one
    transaction writes at a time, and nothing is done."""
    connection = of.connection() if isinstance(of, Session) else of
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(key_of(name))))


def processes_at_work(connection: Connection) -> list[str] | None:
    """Has AT_WORK alone until this transaction ends, and returns None; or, where processes of a node run, their names.
    For PostgreSQL."""
    key = key_of(AT_WORK)
    if connection.scalar(select(func.pg_try_advisory_xact_lock(key))):
        return None
    # View pg_locks: the two halves of a key of 64 bits are in classid and objid.
    holders = text(
        "SELECT DISTINCT coalesce(nullif(application_name, ''), 'a process') || ' at ' "
        "|| coalesce(host(client_addr), 'the database''s machine') "
        "FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND classid = :high AND objid = :low ORDER BY 1"
    )
    unsigned = key % (1 << 64)
    return list(connection.scalars(holders, {"high": unsigned >> 32, "low": unsigned & 0xFFFFFFFF}))


def key_of(name: str) -> int:
    """A lock's number: 64 bits, with a sign."""
    digest = blake2b(name.encode(), digest_size=8, person=b"mammo-node").digest()
    return int.from_bytes(digest, "big", signed=True)
