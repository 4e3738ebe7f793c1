"""`mammo-node deliveries`: sends results again, and handles those of a removed destination."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.words import counted
from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile, open_queue

if TYPE_CHECKING:
    from config.settings import Settings

delivery_commands = typer.Typer(
    help="Send results again; handle those of a destination that was removed from the settings.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="The name that the destination had, as `status` shows it.")]


@delivery_commands.command("resend")
def resend_results(
    study: Annotated[int, typer.Argument(help="The study's id, the number that `status` shows before it.")],
    to: Annotated[str, typer.Argument(help="The name of a destination in the settings.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Send the results of a STUDY to a destination again, also those that it has stored."""
    from config.settings import load
    from node.audit.actors import command_line
    from node.operations.acts import Act, Deed, note
    from node.operations.resend import resend
    from node.peers import result_destination

    settings = load(config)
    destination = next((known for known in settings.destinations if known.name == to), None)
    if destination is None:
        raise CommandFailed(f"There is no destination {to} in {config}.")
    with open_queue(settings).begin() as session:
        number = resend(session, study, result_destination(destination), time.time())
        note(session, Act(Deed.SENT_AGAIN, command_line(), study=study, about=to), time.time())
    typer.echo(f"study {study}: {counted(number, 'result')} will be sent to {to}")


@delivery_commands.command("retry")
def retry_deliveries(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of destinations in the settings.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Send everything again that was given up for a destination, once it is mended. The running node does the work."""
    from config.settings import load
    from node.audit.actors import command_line
    from node.operations.given_up import retry_destination

    settings = load(config)
    known = {destination.name for destination in settings.destinations}
    if unknown := [name for name in names if name not in known]:
        raise CommandFailed(f"There is no destination {unknown[0]} in {config}.")
    sessions = open_queue(settings)
    for name in dict.fromkeys(names):
        done = retry_destination(sessions, name, time.time(), command_line())
        waited = f", and {counted(done.late, 'result')} sooner than they would be" if done.late else ""
        typer.echo(f"{name}: {counted(done.given_up, 'result')} that had been given up will be sent again{waited}")


@delivery_commands.command("drop")
def drop_deliveries(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Drop the open deliveries to NAME. The results themselves stay in the data folder."""
    from config.settings import load
    from node.audit.actors import command_line
    from node.delivery.orphaned import drop
    from node.operations.acts import Act, Deed, note

    settings = load(config)
    _must_be_gone(settings, name)
    with open_queue(settings).begin() as session:
        dropped = counted(drop(session, name), "delivery", "deliveries")
        note(session, Act(Deed.DELIVERIES_DROPPED, command_line(), about=f"{dropped} to {name}"), time.time())
    typer.echo(f"{dropped} to {name} dropped")


@delivery_commands.command("move")
def move_deliveries(
    name: Name,
    to: Annotated[str, typer.Argument(help="The name of a destination in the settings.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Move the open deliveries from NAME to another destination. The objects do not change."""
    from config.settings import load
    from node.audit.actors import command_line
    from node.delivery.orphaned import move
    from node.operations.acts import Act, Deed, note
    from node.peers import profile

    settings = load(config)
    _must_be_gone(settings, name)
    takes = {destination.name: profile(destination) for destination in settings.destinations}
    if to not in takes:
        raise CommandFailed(f"There is no destination {to} in {config}.")
    with open_queue(settings).begin() as session:
        moved = counted(move(session, name, to, takes[to], time.time()), "delivery", "deliveries")
        note(session, Act(Deed.DELIVERIES_MOVED, command_line(), about=f"{moved} to {name}, to {to}"), time.time())
    typer.echo(f"{moved} to {name} moved to {to}")


def _must_be_gone(settings: Settings, name: str) -> None:
    if name in {destination.name for destination in settings.destinations}:
        raise CommandFailed(f"{name} is a destination in the settings: remove it there first, and restart the node.")
