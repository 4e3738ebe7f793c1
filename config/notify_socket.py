"""Where systemd wants to be told how its service does (sd_notify(3))."""

from __future__ import annotations

import os


def notify_socket() -> str | None:
    """The socket's path; None: systemd did not start this process, or its unit does not ask."""
    return os.environ.get("NOTIFY_SOCKET") or None
