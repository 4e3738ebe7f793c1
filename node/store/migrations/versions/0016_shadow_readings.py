"""Shadow readings: what another bundle says of a study, which is never sent.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "shadow_reading",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("read_at", sa.Double(), nullable=False),
        sa.Column("bundle", sa.String(), nullable=False),
        sa.Column("other_bundle", sa.String(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("other_score", sa.Double(), nullable=False),
        sa.Column("category", sa.String(), nullable=True),
        sa.Column("other_category", sa.String(), nullable=True),
        sa.Column("findings_kept", sa.Integer(), nullable=False),
        sa.Column("findings_new", sa.Integer(), nullable=False),
        sa.Column("findings_gone", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_shadow_reading_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_shadow_reading"),
    )
    op.create_index("ix_shadow_reading_study_id", "shadow_reading", ["study_id"])


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
