"""Why an image is not read is one of a few reasons, with a detail; why a report is not used has a column of its own.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

# As the versions before wrote them.
SENTENCES = {
    "an image, but no mammogram": "no-mammogram",
    "no image": "no-image",
    "secondary capture: read as a mammogram only where the setting reads_secondary_capture of its sender says so": (
        "secondary-capture"
    ),
    "the study is in quarantine": "in-quarantine",
    "raw image: the image for presentation of the same view was read instead": "raw-copy",
}


def upgrade() -> None:
    op.add_column("instance", sa.Column("unread", sa.String(), nullable=True))
    op.add_column("instance", sa.Column("unread_detail", sa.String(), nullable=False, server_default=""))
    op.add_column("instance", sa.Column("refusal", sa.String(), nullable=True))
    op.execute("UPDATE instance SET refusal = unread_reason WHERE kind = 'report'")
    op.execute(
        "UPDATE instance SET unread = CASE WHEN left_out THEN 'left-out'"
        " WHEN no_view <> '' AND unread_reason = no_view THEN 'no-view' ELSE 'unreadable' END"
        " WHERE unread_reason IS NOT NULL AND kind <> 'report'"
    )
    for words, reason in SENTENCES.items():
        known = sa.text("UPDATE instance SET unread = :reason WHERE unread = 'unreadable' AND unread_reason = :words")
        op.execute(known.bindparams(reason=reason, words=words))
    op.execute("UPDATE instance SET unread_detail = unread_reason WHERE unread IN ('left-out', 'unreadable')")
    op.drop_column("instance", "unread_reason")


def downgrade() -> None:
    raise RuntimeError("This queue cannot go back to an earlier version: restore the copy made before the upgrade.")
