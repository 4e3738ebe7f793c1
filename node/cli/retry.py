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
    from node.operations.acts import COMMAND_LINE, Act, note
    from node.operations.retry import NOTHING_TO_RETRY, lost_masks, retry_study
    from node.peers import committing

    settings = load(config)
    asked_to_commit = {destination.name for destination in committing(settings)}
    with open_queue(settings).begin() as session:
        lost = lost_masks(session, study, settings.data_dir)
        done = retry_study(session, study, time.time(), asked_to_commit, lost)
        note(session, Act("retried", COMMAND_LINE, study=study))
    for line in done or [NOTHING_TO_RETRY]:
        typer.echo(f"study {study}: {line}")
