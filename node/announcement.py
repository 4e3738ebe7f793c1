"""The first line of `serve`'s log."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import version

from config.settings import Settings
from node.parts import EVERYTHING, Part


def starting(settings: Settings, parts: Collection[Part] = EVERYTHING) -> str:
    """Who starts, with which models, where its data lies, who may send, where results go, and where its page is."""
    senders = ", ".join(sender.ae_title for sender in settings.senders) or "nobody ([[senders]] is empty)"
    to = ", ".join(destination.name for destination in settings.destinations) or "nobody ([[destinations]] is empty)"
    page = settings.web.address
    only = "" if parts == EVERYTHING else f" its part{'s' if len(parts) > 1 else ''} {', '.join(sorted(parts))}"
    return (
        f"{version('mammo-node')} (research use only) starts{only}: bundle {settings.reader.bundle}, data in "
        f"{settings.data_dir}, senders {senders}, results to {to}" + (f"; its page: {page}" if page else "")
    )
