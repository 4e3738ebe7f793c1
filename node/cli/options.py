"""Arguments that several commands take, and the queue that several commands open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.failure import CommandFailed

if TYPE_CHECKING:
    from config.settings import Settings
    from node.database import Sessions

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The node's settings (TOML).", dir_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DEFAULT_CONFIG = Path("node.toml")


def open_queue(settings: Settings) -> Sessions:
    """The queue of a node that has run.

    Raises:
        CommandFailed: there is none yet, or it cannot be opened.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from node.database import open_database, sessions_of

    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise CommandFailed(f"There is no queue at {url.database} yet: `mammo-node serve` makes it.")
    try:
        return sessions_of(open_database(settings.database))
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        raise CommandFailed(f"The queue {url.render_as_string()} cannot be opened: {reason}") from error
