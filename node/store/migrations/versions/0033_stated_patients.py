"""The issuer of each patient ID, and the name of a patient without an ID.

Revision ID: 0033
Revises: 0032
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    for name in ("patient_id_issuer", "patient_name"):
        op.add_column("instance", sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
