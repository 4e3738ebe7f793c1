"""`mammo-node tokens`: the tokens of programs that use the interface."""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from typing import Annotated

import typer

from config.web import Role
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, open_queue

token_commands = typer.Typer(
    help="Tokens of programs that use the interface /api/v1: add, list, remove.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="What the token is for: letters, digits and . _ - @.")]
_SECRET_BYTES = 32


@token_commands.command("add")
def add_token(
    name: Name,
    role: Annotated[
        Role, typer.Option("--role", help="viewer: sees; operator: also retries; administrator: everything.")
    ] = Role.VIEWER,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Make a token and print it, once: only its digest is stored."""
    from config.settings import load
    from node.operations.api_tokens import add

    with open_queue(load(config)).begin() as session:
        token = add(session, name, role, secrets.token_urlsafe(_SECRET_BYTES), time.time())
    typer.echo(f"token {name} ({role}) added. It is shown this once:", err=True)
    typer.echo(token)


@token_commands.command("list")
def list_tokens(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the tokens' names and roles; the tokens themselves cannot be shown again."""
    import json

    from config.settings import load
    from node.operations.api_tokens import tokens
    from node.store.database import read_only

    with read_only(open_queue(load(config))) as session:
        found = tokens(session)
    if as_json:
        typer.echo(json.dumps([{"name": one.name, "role": one.role, "created_at": one.created_at} for one in found]))
        return
    for one in found:
        since = datetime.fromtimestamp(one.created_at).astimezone().date()
        typer.echo(f"{one.name}  {one.role}, since {since}")
    if not found:
        typer.echo("no tokens: no program may use the interface")


@token_commands.command("remove")
def remove_token(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Remove a token; it lets nobody in any more."""
    from config.settings import load
    from node.operations.api_tokens import remove

    with open_queue(load(config)).begin() as session:
        remove(session, name, time.time())
    typer.echo(f"token {name} removed")
