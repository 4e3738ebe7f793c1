"""What the models said by week, scanner and sender, to see when it drifts.

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "reading_week",
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("scanner", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("bundle", sa.String(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("score_sum", sa.Double(), nullable=False),
        sa.Column("score_squares", sa.Double(), nullable=False),
        sa.Column("findings", sa.Integer(), nullable=False),
        sa.Column("exams", sa.Integer(), nullable=False),
        sa.Column("exams_above", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("week", "scanner", "source", "bundle", name="pk_reading_week"),
    )


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
