"""Options of several commands, and the opening of the queue."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from config.settings import Settings
    from node.store.database import Sessions

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The node's settings (TOML).", dir_okay=False)]
MaybeConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The node's settings (TOML): which bundles are allowed.", dir_okay=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
_TIMES = ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"]
Since = Annotated[
    datetime | None,
    typer.Option("--since", formats=_TIMES, help="Only studies whose first image came then or later, local time."),
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", formats=_TIMES, help="Only studies whose first image came before, local time."),
]
DEFAULT_CONFIG = Path("node.toml")


def seconds(time: datetime | None) -> float | None:
    """A time of this machine's zone as UTC seconds since the epoch."""
    return None if time is None else time.timestamp()


def open_queue(settings: Settings) -> Sessions:
    """Opens the queue of a node that has run before.

    Raises:
        QueueUnusable: there is no queue yet, or it cannot be used.
    """
    from node.store import database

    return database.open_queue(settings.database)
