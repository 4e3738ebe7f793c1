"""Jobs that faults of the machine put off"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("faults", sa.Integer(), nullable=False, server_default="0"))
        job.add_column(sa.Column("next_at", sa.Double(), nullable=False, server_default="0"))
        job.drop_index("ix_job_claim")
        job.create_index("ix_job_claim", ["state", "kind", "next_at", "id"])


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
