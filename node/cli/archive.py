"""`mammo-node archive`: received instances as they are kept, and their copies on the far side of the archive."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile, open_queue

archive_commands = typer.Typer(
    help="Received instances: whether they are as they came, and their copies (archive.copy_to).", no_args_is_help=True
)


@archive_commands.command("status")
def status(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Print how many instances are not copied yet, and since when."""
    from config.settings import load
    from models.types.words import counted
    from node.archive.copies import not_copied
    from node.cli.terminal.moments import local_time
    from node.store.database import read_only

    settings = load(config)
    _copies_to(settings.archive.copy_to)
    with read_only(open_queue(settings)) as session:
        count, since = not_copied(session)
    waits = f", since {local_time(since)}" if since is not None else ""
    typer.echo(f"{counted(count, 'instance')} not copied to {settings.archive.copy_to}{waits}")


@archive_commands.command("fetch")
def fetch(
    study: Annotated[
        int | None, typer.Option(help="The number of a study: bring back what retention deleted of it.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Bring back the files of copied instances that are missing in data_dir, for example after a disk was lost; or,
    with --study, the files of a study that retention deleted.

    Exit status 1: some have no copy, or one that is not what was received.
    """
    from config.settings import load
    from models.types.words import counted
    from node.archive.far_side import far_side
    from node.archive.fetching import fetch_missing, recall
    from node.audit.actors import command_line

    settings = load(config)
    far = far_side(settings.archive)
    if far is None:
        _copies_to(None)
        return
    if study is not None:
        count = recall(open_queue(settings), settings.data_dir, far, study, command_line(), time.time())
        typer.echo(f"{counted(count, 'file')} of study {study} brought back from {settings.archive.copy_to}")
        return
    came, lost = 0, []
    for number, is_there in fetch_missing(open_queue(settings), settings.data_dir, far):
        came += is_there
        if not is_there:
            lost.append(str(number))
    typer.echo(f"{counted(came, 'file')} brought back from {settings.archive.copy_to}")
    if lost:
        of = counted(len(lost), "instance")
        typer.echo(f"no copy, or a damaged one, of {of}, in the database as instance {', '.join(lost)}")
        raise typer.Exit(1)


@archive_commands.command("verify")
def verify_files(
    complete: Annotated[
        bool, typer.Option("--complete", help="Enter the digests of files that have none, from an older version.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Read every received file that is kept, and name those that are not what was received.

    Exit status 1: some are gone, damaged, cannot be read, or are not known to the database.
    """
    from config.settings import load
    from models.types.words import counted
    from node.archive.layout import ARCHIVE
    from node.archive.verification import enter_damage, kept, verify, without_row
    from node.audit.actors import command_line
    from node.cli.terminal.progress import progress_bar
    from node.operations.acts import Act, Deed, note

    settings = load(config)
    sessions = open_queue(settings)
    most, damaged, unknown = kept(sessions), 0, 0
    with progress_bar("verify") as progress:
        for done, found in enumerate(verify(sessions, settings.data_dir, complete=complete), start=1):
            unknown += not found.known
            if found.fault is not None:
                damaged += 1
                why = f": {found.why}" if found.why else ""
                typer.echo(f"study {found.study}: instance {found.instance}: {found.fault}{why}")
            progress(done, most, f"{damaged} not as received")
    typer.echo(f"{counted(most, 'file')} read, {damaged} not as received")
    if unknown:
        says = "entered" if complete else "not known: enter them with --complete"
        typer.echo(f"the digests of {counted(unknown, 'file')} from an older version were {says}")
    if unknown and complete:
        with sessions.begin() as session:
            note(
                session, Act(Deed.DIGESTS_ENTERED, command_line(), about=f"of {counted(unknown, 'file')}"), time.time()
            )
    unheard_of = list(without_row(sessions, settings.data_dir, time.time()))
    for path in unheard_of:
        typer.echo(f"not in the database: {path}")
    if unheard_of:
        typer.echo("Send these to the node again (mammo-node send): the database is older than they are.")
    if damaged:
        enter_damage(sessions, damaged, most, settings.data_dir / ARCHIVE, command_line(), time.time)
    if damaged or unheard_of:
        raise typer.Exit(1)


def _copies_to(place: str | None) -> None:
    from node.cli.terminal.failure import CommandFailed

    if place is None:
        raise CommandFailed("archive.copy_to is not set: received instances are in data_dir alone.")
