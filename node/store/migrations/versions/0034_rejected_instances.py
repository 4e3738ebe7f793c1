"""What rejection notes reject.

Revision ID: 0034
Revises: 0033
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    op.create_table(
        "rejected_instance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(), nullable=False),
        sa.Column("reason", sa.String(length=6), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rejected_instance"),
        sa.UniqueConstraint("sop_instance_uid", name="uq_rejected_instance_sop_instance_uid"),
    )


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
