"""The error that ends a command with one message and without a traceback."""

from __future__ import annotations

from models.errors import UserError


class CommandFailed(UserError):
    """A problem that the user can solve; the message says how."""
