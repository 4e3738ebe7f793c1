"""A study has an urgency, and a job its turn.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("study", sa.Column("urgency", sa.String(7), nullable=False, server_default="ROUTINE"))
    op.add_column("job", sa.Column("turn", sa.Double(), nullable=False, server_default="0"))
    # A routine study's turn is its arrival. Jobs that are finished need none.
    op.execute(
        "UPDATE job SET turn = (SELECT opened_at FROM study WHERE study.id = job.study_id)"
        " WHERE state IN ('WAITING', 'RUNNING', 'FAILED')"
    )
    op.drop_index("ix_job_claim", "job")
    op.create_index("ix_job_claim", "job", ["state", "kind", "attempts", "turn", "id"])


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
