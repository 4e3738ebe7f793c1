"""`mammo-node`: one command a file. A command's own imports stand inside it, so that `--help` answers at once and no
command but those that read images ever imports torch."""

from __future__ import annotations

import sys

import typer

from config.settings import SettingsError
from dicom_io.errors import DicomError
from node.cli.check import check
from node.cli.config_show import config_show
from node.cli.failure import CommandFailed
from node.cli.retry import retry
from node.cli.send import send
from node.cli.status import status


def build() -> typer.Typer:
    """The command line."""
    app = typer.Typer(
        name="mammo-node",
        help="A DICOM node that reads mammograms and sends back SEG and structured reports. Research use only.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in (send, status, retry, check):
        app.command()(command)
    config = typer.Typer(help="The node's settings.", no_args_is_help=True)
    config.command("show")(config_show)
    app.add_typer(config, name="config")
    return app


def main() -> None:
    """Runs a command; what the person at the prompt can mend is told in one message, with exit status 2."""
    try:
        build()()
    except (SettingsError, DicomError, CommandFailed) as error:
        sys.exit(_told(error))


def _told(error: Exception) -> int:
    typer.secho(str(error), fg="red", err=True)
    return 2
