"""`mammo-node retry`: retries the failed jobs and deliveries of a study."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile, open_queue


def retry(
    study: Annotated[int, typer.Argument(help="The study's id, the number that `status` shows before it.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Retry a study: failed reading and reporting, lost masks, dead and uncommitted deliveries, quarantine.

    A study in quarantine is released and read as it is: review it first (`status` shows the reason). The running node
    does the work.
    """
    from config.settings import load
    from node.audit.actors import command_line
    from node.operations.retry import retry as retry_by

    settings = load(config)
    with open_queue(settings).begin() as session:
        done = retry_by(session, settings, study, time.time(), command_line())
    for line in done:
        typer.echo(f"study {study}: {line}")
