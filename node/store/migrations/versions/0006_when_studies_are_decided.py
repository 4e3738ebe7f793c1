"""When an open study is to be looked at again"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("study") as study:
        study.add_column(sa.Column("decide_at", sa.Double(), nullable=False, server_default="0"))
        study.drop_index("ix_study_state")
        study.create_index("ix_study_due", ["state", "decide_at"])


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
