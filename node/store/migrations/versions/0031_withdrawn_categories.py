"""When a radiologist's category was withdrawn, and by which document.

Revision ID: 0031
Revises: 0030
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.add_column("assessment", sa.Column("withdrawn_at", sa.Double(), nullable=True))
    op.add_column("assessment", sa.Column("withdrawn_by", sa.String(), nullable=True))


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
