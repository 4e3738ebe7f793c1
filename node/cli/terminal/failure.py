"""What ends a command with one message and no traceback."""

from __future__ import annotations

from models.errors import UserError


class CommandFailed(UserError):
    """The person at the prompt can mend it; the message says how."""
