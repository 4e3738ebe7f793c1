"""`mammo-node users`: the accounts of the page."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from config.web import Role
from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, open_queue

user_commands = typer.Typer(help="Accounts of the page: add, list, remove, change a password.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The account's name: letters, digits and . _ - @.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        help="A file whose first line is the password, or - for standard input. Left out: it is asked for.",
        allow_dash=True,
        dir_okay=False,
    ),
]


@user_commands.command("add")
def add_user(
    name: Name,
    role: Annotated[
        Role, typer.Option("--role", help="viewer: sees; operator: also retries; administrator: everything.")
    ] = Role.VIEWER,
    password_file: PasswordFile = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Add an account. With the first one, the page asks everybody to sign in, and may be shown to other machines."""
    from config.settings import load
    from node.operations.accounts import add

    queue = open_queue(load(config))
    password = _password(password_file)
    with queue.begin() as session:
        add(session, name, role, password, time.time())
    typer.echo(f"account {name} ({role}) added")


@user_commands.command("list")
def list_users(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the accounts with their roles."""
    import json

    from config.settings import load
    from node.operations.accounts import accounts
    from node.store.database import read_only

    with read_only(open_queue(load(config))) as session:
        found = accounts(session)
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {"name": one.name, "role": one.role, "created_at": one.created_at, "issuer": one.issuer or None}
                    for one in found
                ]
            )
        )
        return
    for one in found:
        since = datetime.fromtimestamp(one.created_at).astimezone().date()
        typer.echo(f"{one.name}  {one.role}, since {since}" + (f", signs in at {one.issuer}" if one.issuer else ""))
    if not found:
        typer.echo("no accounts: the page is shown at this machine only, and changes nothing")


@user_commands.command("remove")
def remove_user(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Remove an account; whoever is signed in with it is signed out."""
    from config.settings import load
    from node.operations.accounts import remove

    with open_queue(load(config)).begin() as session:
        remove(session, name, time.time())
    typer.echo(f"account {name} removed")


@user_commands.command("password")
def change_password(name: Name, password_file: PasswordFile = None, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Change an account's password; whoever is signed in with it is signed out."""
    from config.settings import load
    from node.operations.accounts import set_password

    queue = open_queue(load(config))
    password = _password(password_file)
    with queue.begin() as session:
        set_password(session, name, password, time.time())
    typer.echo(f"password of {name} changed")


def _password(file: Path | None) -> str:
    """The password: of a file, or asked for twice at the terminal."""
    if file is None:
        asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return asked
    try:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"--password-file {file}: cannot be read: {error}") from error
    return text.partition("\n")[0].rstrip("\r")
