"""Which instances are copied to the far side of the archive.

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("instance", sa.Column("copied_at", sa.Double(), nullable=True))
    here = sa.text("copied_at IS NULL AND purged_at IS NULL")
    op.create_index("ix_instance_uncopied", "instance", ["id"], sqlite_where=here, postgresql_where=here)


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
