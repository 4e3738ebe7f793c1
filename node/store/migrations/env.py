"""Alembic's entry: migrates over the connection that node/store/database.py hands in."""

from __future__ import annotations

from alembic import context

from node.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
