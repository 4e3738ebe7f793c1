"""The issuer of each patient ID, and the name of a patient without an ID.

Revision ID: 0032
Revises: 0031
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    for name in ("patient_id_issuer", "patient_name"):
        op.add_column("instance", sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
