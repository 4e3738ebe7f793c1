"""What of a view an image shows, and why it is none"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instance", sa.Column("extent", sa.String(), nullable=False, server_default=""))
    op.add_column("instance", sa.Column("no_view", sa.String(), nullable=False, server_default=""))
    op.execute("UPDATE instance SET extent = 'spot/magnified' WHERE NOT full_field")
    op.execute(
        "UPDATE instance SET extent = 'specimen', no_view = 'a specimen radiograph: no breast is in it'"
        " WHERE view = 'SPECIMEN'"
    )
    op.execute(
        "UPDATE instance SET no_view = 'breast tomosynthesis: only single images are read so far'"
        " WHERE kind = 'tomosynthesis'"
    )
    op.drop_column("instance", "full_field")  # in place, also in SQLite (3.35): other tables refer to this one


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
