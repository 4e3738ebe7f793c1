"""`mammo-node`: one file per command. A command imports its modules when it is called, so that `--help` is fast and
only commands that read images import torch."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from models.errors import UserError
from node.cli.ablate import ablate
from node.cli.annotations import annotation_commands
from node.cli.archive import archive_commands
from node.cli.audit import audit_commands
from node.cli.birads import birads_commands
from node.cli.check import check
from node.cli.config_show import config_show
from node.cli.conformance import conformance
from node.cli.database import database_commands
from node.cli.deliveries import delivery_commands
from node.cli.demo import demo
from node.cli.evaluate import evaluate
from node.cli.export import export
from node.cli.models_command import models
from node.cli.phantom import phantom
from node.cli.pull import pull
from node.cli.purge import purge
from node.cli.quarantine import quarantine_commands
from node.cli.read import read
from node.cli.reference import reference
from node.cli.reread import reread
from node.cli.retry import retry
from node.cli.routes import route_commands
from node.cli.send import send
from node.cli.serve import serve
from node.cli.status import status
from node.cli.tokens import token_commands
from node.cli.train import train
from node.cli.users import user_commands
from node.cli.webhooks import webhook_commands


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"mammo-node {version('mammo-node')}")
        raise typer.Exit


def build() -> typer.Typer:
    """The command line."""
    app = typer.Typer(
        name="mammo-node",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for command in (demo, check, serve, read, status, retry, reread, reference, send, pull, export, purge, conformance):
        app.command()(command)
    for research_command in (phantom, evaluate, ablate):
        app.command()(research_command)
    config = typer.Typer(help="The node's settings.", no_args_is_help=True)
    config.command("show")(config_show)
    app.add_typer(config, name="config")
    app.add_typer(train, name="train")
    app.add_typer(models, name="models")
    app.add_typer(annotation_commands, name="annotations")
    app.add_typer(birads_commands, name="birads")
    app.add_typer(route_commands, name="routes")
    app.add_typer(delivery_commands, name="deliveries")
    app.add_typer(quarantine_commands, name="quarantine")
    app.add_typer(database_commands, name="database")
    app.add_typer(archive_commands, name="archive")
    app.add_typer(user_commands, name="users")
    app.add_typer(token_commands, name="tokens")
    app.add_typer(webhook_commands, name="webhooks")
    app.add_typer(audit_commands, name="audit")
    return app


def _options(
    asked: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and exit.")
    ] = False,
) -> None:
    """A DICOM node that reads mammograms and sends back SEG and structured reports. Research use only."""


def main() -> None:
    """Runs a command; a problem that the user can solve ends it with one message and exit status 2."""
    os.umask(0o077)  # files may contain patient data: readable by their owner only
    try:
        build()()
    except Exception as error:  # raised again if it is an error of the program
        message = _for_people(error)
        if message is None:
            raise
        typer.secho(message, fg="red", err=True)
        sys.exit(2)


def _for_people(error: Exception) -> str | None:
    """The message for a problem that the user can solve; None: it is an error of the program."""
    from sqlalchemy.exc import DatabaseError, DBAPIError

    from config.settings import SettingsError
    from node.store.database import why_not_opened
    from node.store.faults import is_passing

    if isinstance(error, DBAPIError) and (is_passing(error) or type(error) is DatabaseError):  # SQLite: damaged
        return f"The queue does not answer: {why_not_opened(error)}. Nothing was changed."
    return str(error) if isinstance(error, UserError | SettingsError) else None
