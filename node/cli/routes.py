"""`mammo-node routes`: tests the routes of the settings."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile

if TYPE_CHECKING:
    from node.operations.routing_of_a_file import RoutedFile

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
    from node.cli.terminal.failure import CommandFailed
    from node.operations.routing_of_a_file import route_file

    try:
        routed = route_file(load(config), file, calling, time.time())
    except NotReadable as error:
        raise CommandFailed(f"{file}: {error}") from error
    typer.echo(json.dumps(_values(routed), indent=2) if as_json else _as_text(routed))
    raise typer.Exit(0 if routed.against is None else 1)


def _values(routed: RoutedFile) -> dict[str, object]:
    return {
        "kind": str(routed.kind),
        "routes": list(routed.why),
        "read": routed.against is None,
        "not_read_because": routed.against,
        "urgency": str(routed.urgency),
        "destinations": list(routed.destinations),
    }


def _as_text(routed: RoutedFile) -> str:
    lines = [f"It is: {routed.kind}", *(f"  {sentence}" for sentence in routed.why)]
    if routed.against is not None:
        return "\n".join([*lines, f"It is not read: {routed.against}"])
    names = ", ".join(routed.destinations) or "no destination: they stay in data_dir"
    lines.append(f"Its urgency: {routed.urgency} (the C-STORE's Priority may raise it)")
    return "\n".join([*lines, f"It is read{routed.unless}. Results go to: {names}"])
