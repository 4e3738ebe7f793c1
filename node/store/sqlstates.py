"""What an error of PostgreSQL means, by its SQLSTATE (postgresql.org/docs/15/errcodes-appendix.html).

The class of an exception does not say it: an error of a server that has become read-only is an InternalError, as one of
a damaged index is.
"""

from __future__ import annotations

from enum import Enum

from sqlalchemy.exc import DBAPIError, OperationalError


class Meaning(Enum):
    """What is to be done after an error."""

    AGAIN = "again"
    """It passes: the transaction can be tried again."""
    CONNECT_AGAIN = "connect again"
    """It passes, but not on this connection: the server ends, or has become one that only reads."""
    LASTING = "lasting"
    """The same statement fails each time: a fault of the program, of the schema or of permissions, or damaged data."""


_MEANINGS = {
    "08": Meaning.CONNECT_AGAIN,  # connection exceptions
    "25006": Meaning.CONNECT_AGAIN,  # read_only_sql_transaction: a primary that was demoted, or set to read only
    "25P03": Meaning.CONNECT_AGAIN,  # idle_in_transaction_session_timeout: the session was ended
    "25P04": Meaning.CONNECT_AGAIN,  # transaction_timeout (PostgreSQL 17): the session was ended
    "40001": Meaning.AGAIN,  # serialization_failure; also a conflict with recovery
    "40003": Meaning.AGAIN,  # statement_completion_unknown
    "40P01": Meaning.AGAIN,  # deadlock_detected
    "53": Meaning.AGAIN,  # insufficient resources: 53100 disk_full, 53200 out_of_memory, 53300 too_many_connections
    "55006": Meaning.AGAIN,  # object_in_use
    "55P03": Meaning.AGAIN,  # lock_not_available, also lock_timeout
    "57": Meaning.CONNECT_AGAIN,  # 57P01 admin_shutdown, 57P02 crash_shutdown, 57P03 cannot_connect_now, 57P05 idle
    "57014": Meaning.AGAIN,  # query_canceled, also statement_timeout
    "58": Meaning.AGAIN,  # system errors: 58030 io_error, 58P01 undefined_file (its disk is away)
    "72000": Meaning.AGAIN,  # snapshot_too_old
}
"""By class (two letters) or by code (five), which goes before. All others last."""


def meaning_of(sqlstate: str) -> Meaning:
    """What an SQLSTATE means."""
    return _MEANINGS.get(sqlstate) or _MEANINGS.get(sqlstate[:2], Meaning.LASTING)


def meaning(fault: DBAPIError) -> Meaning:
    """What an error of a database means. Without an SQLSTATE (SQLite; PostgreSQL that cannot be reached) an
    OperationalError passes, and other errors last."""
    if sqlstate := sqlstate_of(fault.orig):
        return meaning_of(sqlstate)
    if fault.connection_invalidated:
        return Meaning.CONNECT_AGAIN
    return Meaning.AGAIN if isinstance(fault, OperationalError) else Meaning.LASTING


def sqlstate_of(error: BaseException | None) -> str | None:
    """The SQLSTATE of an error of the driver."""
    sqlstate = getattr(error, "sqlstate", None)
    return sqlstate if isinstance(sqlstate, str) else None
