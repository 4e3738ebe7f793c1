"""`mammo-node webhooks`: what webhooks were told, a message to try one, trying again, and forgetting one."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from models.types.words import counted
from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, open_queue

if TYPE_CHECKING:
    from config.settings import Settings
    from config.webhooks import Webhook

webhook_commands = typer.Typer(
    help="Webhooks: what they were told, try one, try again, forget one.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="The webhook's name in the settings.")]


@webhook_commands.command("list")
def list_webhooks(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the webhooks, with what waits, what was given up, and why."""
    from config.settings import load
    from node.operations.webhooks import webhook_words
    from node.store.database import read_only

    settings = load(config)
    with read_only(open_queue(settings)) as session:
        words = webhook_words(session, [webhook.name for webhook in settings.webhooks], time.time())
    if as_json:
        typer.echo(json.dumps([asdict(word) for word in words]))
        return
    for word in words:
        error = f": {word.error}" if word.error else ""
        typer.echo(f"{word.name}  {word.delivered} told in 24 h, {word.given_up} given up, {word.waiting} wait{error}")
    if not words:
        typer.echo("no webhooks: add [[webhooks]] to the settings")


@webhook_commands.command("test")
def try_one(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Send a message of the type "test", and say whether it was taken."""
    from config.settings import load
    from dicom_io.errors import DestinationError
    from node.operations.webhooks import try_webhook

    settings = load(config)
    webhook = _webhook(settings, name)
    try:
        try_webhook(settings, webhook, f"msg_{uuid4().hex}", time.time())
    except DestinationError as error:
        raise CommandFailed(f"webhook {name}: {error}") from error
    typer.echo(f"webhook {name} took the message")


@webhook_commands.command("retry")
def retry_notices(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Try again what was given up. The running node does the work."""
    from config.settings import load
    from node.operations.webhooks import tell_again

    settings = load(config)
    _webhook(settings, name)
    with open_queue(settings).begin() as session:
        number = tell_again(session, time.time(), webhook=name)
    typer.echo(f"webhook {name}: {counted(number, 'notice')} will be sent again")


@webhook_commands.command("drop")
def drop_notices(
    name: Annotated[str, typer.Argument(help="The name that the webhook had in the settings.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Forget a webhook that was removed from the settings, and drop what waits for it."""
    from config.settings import load
    from node.audit.actors import command_line
    from node.operations.acts import Act, Deed, note
    from node.store.events import unsubscribe

    settings = load(config)
    if name in {webhook.name for webhook in settings.webhooks}:
        raise CommandFailed(f"{name} is a webhook in the settings: remove it there first, and restart the node.")
    with open_queue(settings).begin() as session:
        dropped = counted(unsubscribe(session, name), "notice")
        note(session, Act(Deed.NOTICES_DROPPED, command_line(), about=f"{dropped} for {name}"), time.time())
    typer.echo(f"{dropped} for webhook {name} dropped")


def _webhook(settings: Settings, name: str) -> Webhook:
    for webhook in settings.webhooks:
        if webhook.name == name:
            return webhook
    raise CommandFailed(f"There is no webhook {name} in the settings: `mammo-node webhooks list` shows them.")
