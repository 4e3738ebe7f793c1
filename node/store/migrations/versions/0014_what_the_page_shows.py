"""What the page shows: when an image was read, an exam's score, and lists of many studies by index.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("study", sa.Column("score", sa.Double(), nullable=True))
    op.add_column("study", sa.Column("discordant", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("instance", sa.Column("read_at", sa.Double(), nullable=True))
    op.create_index("ix_study_from_source", "study", ["source", "id"])
    op.create_index("ix_study_first_received_at", "study", ["first_received_at"])
    op.create_index("ix_instance_patient_id", "instance", ["patient_id"])
    op.create_index("ix_instance_received_at", "instance", ["received_at"])
    op.create_index("ix_instance_read_at", "instance", ["read_at"])
    op.create_index("ix_result_written_at", "result", ["written_at"])
    op.create_index("ix_delivery_sent_at", "delivery", ["sent_at"])


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
