"""SOP classes that senders propose and the node does not take"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refused_class",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("calling_ae_title", sa.String(), nullable=False),
        sa.Column("sop_class_uid", sa.String(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.UniqueConstraint(
            "calling_ae_title", "sop_class_uid", name=op.f("uq_refused_class_calling_ae_title_sop_class_uid")
        ),
    )


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
