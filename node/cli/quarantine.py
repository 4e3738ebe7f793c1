"""`mammo-node quarantine`: takes an image out of a study in quarantine."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile, open_queue

quarantine_commands = typer.Typer(help="Take an image out of a study in quarantine.", no_args_is_help=True)


@quarantine_commands.command("set-aside")
def set_image_aside(
    study: Annotated[int, typer.Argument(help="The study's id, the number that `status` shows before it.")],
    image: Annotated[int, typer.Argument(help="The image's number, as `status STUDY` shows it.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Take IMAGE out of a STUDY in quarantine, to which it does not belong. Its file is kept in the folder quarantine.

    The study is checked again, and leaves quarantine if its images agree about the patient now. When the image comes
    again, also in another study, it is accepted.
    """
    from config.settings import load
    from node.audit.actors import command_line
    from node.operations.set_aside import set_aside
    from node.retention.deleting import delete_doomed

    settings = load(config)
    sessions = open_queue(settings)
    with sessions.begin() as session:
        done = set_aside(session, settings.data_dir, study, image, time.time(), command_line())
    delete_doomed(sessions, settings.data_dir)
    for line in done:
        typer.echo(f"study {study}: {line}")
