"""`mammo-node database`: the queue's database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.types.words import counted
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile

database_commands = typer.Typer(help="The queue's database.", no_args_is_help=True)


@database_commands.command("backup")
def backup(
    to: Annotated[Path, typer.Argument(help="A new file.", dir_okay=False)], config: ConfigFile = DEFAULT_CONFIG
) -> None:
    """Copy the queue into the file TO while the node runs. Copy data_dir after that: docs/backup.md."""
    from config.settings import load
    from node.store.backup import back_up
    from node.store.database import open_existing

    settings = load(config)
    back_up(open_existing(settings.database), to)
    typer.echo(f"{to}: the queue as it is now. Copy {settings.data_dir} now: files that the copy names are all there.")


@database_commands.command("copy")
def copy(
    source: Annotated[
        str,
        typer.Option("--from", help="The URL of the queue until now, e.g. sqlite:////var/lib/mammo-node/queue.sqlite."),
    ],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Copy the queue into the empty database that `database_url` names, for example from SQLite to PostgreSQL.

    The node must not run. The queue that is copied is not changed, and stays as it was.
    """
    from config.settings import load
    from node.archive.lock import only_node
    from node.cli.terminal.failure import CommandFailed
    from node.cli.terminal.progress import progress_bar
    from node.store.copying import copy_queue
    from node.store.database import open_database, open_existing

    settings = load(config)
    if source == settings.database:
        raise CommandFailed(f"{config} still names the queue that is to be copied: set database_url first.")
    with only_node(settings.data_dir):
        before = open_existing(source)
        with progress_bar("Copying") as progress:
            counts = copy_queue(before, open_database(settings.database), progress)
    typer.echo(
        f"{counted(sum(counts.values()), 'row')} copied: {counted(counts['study'], 'study', 'studies')}, "
        f"{counted(counts['instance'], 'image and other instance', 'images and other instances')}"
    )
