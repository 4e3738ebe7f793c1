"""What retention has deleted, and what it is deleting.

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

_STUDY = ("images", "readings", "results")


def upgrade() -> None:
    for kept in _STUDY:
        op.add_column("study", sa.Column(f"{kept}_purged_at", sa.Double(), nullable=True))
        _index(f"ix_study_with_{kept}", "study", "last_received_at", f"{kept}_purged_at IS NULL")
    op.add_column("instance", sa.Column("purged_at", sa.Double(), nullable=True))
    _index("ix_instance_refused", "instance", "received_at", "refusal IS NOT NULL AND purged_at IS NULL")
    op.add_column("result", sa.Column("purged_at", sa.Double(), nullable=True))
    op.create_table(
        "doomed_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_doomed_file_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_doomed_file"),
    )
    op.create_index("ix_doomed_file_study_id", "doomed_file", ["study_id"])


def _index(name: str, table: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
