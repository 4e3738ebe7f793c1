"""A delivery that was sent and is not committed yet is in a state of its own.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_STATES_BEFORE = sa.Enum("WAITING", "SENT", "COMMITTED", "DEAD", name="deliverystate")
_STATES = sa.Enum("WAITING", "SENT", "UNCOMMITTED", "COMMITTED", "DEAD", name="deliverystate")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # A new type, since a value that is added to a type cannot be used in the same transaction.
        op.execute("ALTER TYPE deliverystate RENAME TO deliverystate_before")
        _STATES.create(op.get_bind())
        op.execute("ALTER TABLE delivery ALTER COLUMN state TYPE deliverystate USING state::text::deliverystate")
        op.execute("DROP TYPE deliverystate_before")
    else:
        with op.batch_alter_table("delivery") as delivery:
            delivery.alter_column("state", existing_type=_STATES_BEFORE, type_=_STATES, existing_nullable=False)
    # An empty UID stood for a commitment that was still to be asked for.
    op.execute("UPDATE delivery SET state = 'UNCOMMITTED' WHERE state = 'SENT' AND transaction_uid IS NOT NULL")
    op.execute("UPDATE delivery SET transaction_uid = NULL WHERE transaction_uid = ''")


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
