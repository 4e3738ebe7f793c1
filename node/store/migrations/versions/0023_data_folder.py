"""The data folder that a queue belongs to.

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "data_folder",
        sa.Column("installation", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("installation", name="pk_data_folder"),
    )


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
