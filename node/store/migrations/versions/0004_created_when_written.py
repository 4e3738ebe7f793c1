"""A report's job remembers when its objects began to be written.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("begun_at", sa.Double(), nullable=True))


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
