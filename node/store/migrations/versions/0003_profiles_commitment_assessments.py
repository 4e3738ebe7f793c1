"""Profiles of results, storage commitment, accession numbers and radiologists' assessments"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATES_BEFORE = sa.Enum("WAITING", "SENT", "DEAD", name="deliverystate")
_STATES = sa.Enum("WAITING", "SENT", "COMMITTED", "DEAD", name="deliverystate")


def upgrade() -> None:
    # Plain values as defaults: for an expression SQLite would need the table made anew, which the rows that refer to it
    # forbid.
    with op.batch_alter_table("instance") as instance:
        instance.add_column(sa.Column("accession_number", sa.String(), nullable=False, server_default=""))
        instance.add_column(sa.Column("left_out", sa.Boolean(), nullable=False, server_default="0"))
        instance.create_index("ix_instance_accession_number", ["accession_number"])
    with op.batch_alter_table("result") as result:
        result.add_column(sa.Column("profile", sa.String(), nullable=False, server_default="ohif"))
        result.add_column(sa.Column("last_revision", sa.Integer(), nullable=False, server_default="1"))
    op.execute("UPDATE result SET last_revision = revision")
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TYPE deliverystate ADD VALUE 'COMMITTED'")
    with op.batch_alter_table("delivery") as delivery:
        if op.get_context().dialect.name != "postgresql":
            delivery.alter_column("state", existing_type=_STATES_BEFORE, type_=_STATES, existing_nullable=False)
        delivery.add_column(sa.Column("transaction_uid", sa.String(), nullable=True))
        delivery.add_column(sa.Column("commitment_asked_at", sa.Double(), nullable=True))
        delivery.create_index("ix_delivery_transaction_uid", ["transaction_uid"])
    op.create_table(
        "assessment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=True),
        sa.Column("study_instance_uid", sa.String(), nullable=False),
        sa.Column("accession_number", sa.String(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("laterality", sa.String(), nullable=True),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("order", sa.String(), nullable=False),
        sa.Column("assessed_at", sa.Double(), nullable=True),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_assessment_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessment")),
    )
    op.create_index("ix_assessment_study_id", "assessment", ["study_id"])
    op.create_index("ix_assessment_order", "assessment", ["order"])
    op.create_index("ix_assessment_accession_number", "assessment", ["accession_number"])
    op.create_index("ix_assessment_study_instance_uid", "assessment", ["study_instance_uid"])


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
