"""Accounts of an OpenID provider.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("account", sa.Column("issuer", sa.String(), nullable=False, server_default=""))
    op.add_column("account", sa.Column("subject", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
