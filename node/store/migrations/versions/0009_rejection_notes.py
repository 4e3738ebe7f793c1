"""Which rejection note takes a result back at a destination.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    with op.batch_alter_table("delivery") as delivery:
        delivery.add_column(sa.Column("rejected_by_id", sa.Integer(), nullable=True))
        delivery.create_foreign_key(op.f("fk_delivery_rejected_by_id"), "result", ["rejected_by_id"], ["id"])


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
