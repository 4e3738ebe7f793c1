"""`mammo-node deliveries`: what was to go to a destination that is none any more."""

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
    help="What was to go to a destination that the settings do not name any more.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="The name that the destination had, as `status` shows it.")]


@delivery_commands.command("drop")
def drop_deliveries(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Forget what was to be delivered to NAME. The results themselves stay in the data folder."""
    from config.settings import load
    from node.delivery.orphaned import drop

    settings = load(config)
    _must_be_gone(settings, name)
    with open_queue(settings).begin() as session:
        typer.echo(f"{counted(drop(session, name), 'delivery', 'deliveries')} to {name} dropped")


@delivery_commands.command("move")
def move_deliveries(
    name: Name,
    to: Annotated[str, typer.Argument(help="The name of a destination in the settings.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Have what was to be delivered to NAME delivered to another destination, as it was written."""
    from config.settings import load
    from node.delivery.orphaned import move

    settings = load(config)
    _must_be_gone(settings, name)
    if to not in {destination.name for destination in settings.destinations}:
        raise CommandFailed(f"There is no destination {to} in {config}.")
    with open_queue(settings).begin() as session:
        typer.echo(f"{counted(move(session, name, to, time.time()), 'delivery', 'deliveries')} to {name} moved to {to}")


def _must_be_gone(settings: Settings, name: str) -> None:
    if name in {destination.name for destination in settings.destinations}:
        raise CommandFailed(
            f"{name} is a destination in the settings: take it out of them first, and restart the node."
        )
