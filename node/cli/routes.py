"""`mammo-node routes`: tests the routes of the settings."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile

route_commands = typer.Typer(help="Which studies are read, and where their results go.", no_args_is_help=True)


@route_commands.command("test")
def route_test(
    file: Annotated[Path, typer.Argument(help="A DICOM file, as a sender would send it.", exists=True, dir_okay=False)],
    calling: Annotated[str, typer.Option("--from", help="The AE title that would send it.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show the decision for an image, and why: matching routes, whether it is read, who gets the results.

    Nothing is sent or stored. The exit status is 1 if it would not be read.
    """
    from config.settings import load
    from dicom_io.errors import NotReadable
    from dicom_io.headers import describe
    from dicom_io.instance_kinds import InstanceKind
    from dicom_io.network.priority import MEDIUM
    from dicom_io.pixels.intact import read_whole_file
    from node.cli.terminal.failure import CommandFailed
    from node.intake.register import never_read
    from node.intake.urgency import urgency_of
    from node.routing import route
    from node.store.unread import sentence
    from node.store.urgency import Urgency

    settings = load(config)
    try:
        whole = read_whole_file(file, settings.receiver.max_image_mb * 1_000_000)
        header = describe(whole.dataset)
    except NotReadable as error:
        raise CommandFailed(f"{file}: {error}") from error
    decision = route(settings.routes, header, calling, time.time())
    sender = next((sender for sender in settings.senders if sender.ae_title == calling), None)
    why = never_read(header, reads_secondary_capture=sender is not None and sender.reads_secondary_capture)
    against = None if why is None else sentence(why, header.no_view)
    if not decision.read:
        against = f"the route {decision.route} says that it is not read"
    known = [destination.name for destination in settings.destinations]
    outcome = {
        "kind": str(header.kind),
        "routes": list(decision.why),
        "read": against is None,
        "not_read_because": against,
        "urgency": str(urgency_of(header, MEDIUM, sender, decision.urgency) or Urgency.ROUTINE),
        "destinations": [] if against else list(known if decision.destinations is None else decision.destinations),
    }
    raw = header.kind is InstanceKind.FOR_PROCESSING
    typer.echo(json.dumps(outcome, indent=2) if as_json else _as_text(outcome, decision.why, raw=raw))
    raise typer.Exit(0 if outcome["read"] else 1)


def _as_text(outcome: dict[str, object], why: tuple[str, ...], *, raw: bool) -> str:
    lines = [f"It is: {outcome['kind']}", *(f"  {sentence}" for sentence in why)]
    if not outcome["read"]:
        return "\n".join([*lines, f"It is not read: {outcome['not_read_because']}"])
    destinations = outcome["destinations"]
    names = ", ".join(destinations) if isinstance(destinations, list) else ""
    unless = ", unless an image for presentation of the same view comes too" if raw else ""
    lines.append(f"Its urgency: {outcome['urgency']} (the C-STORE's Priority may raise it)")
    return "\n".join([*lines, f"It is read{unless}. Results go to: {names or 'no destination: they stay in data_dir'}"])
