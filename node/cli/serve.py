"""`mammo-node serve`: runs the node."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile

log = logging.getLogger(__name__)

EXIT_AFTER_S = 0.5
"""Seconds that threads have to end after the service has stopped."""


Only = Annotated[
    list[str] | None,
    typer.Option(help="Run only this part: receive, read, report, deliver or web. Several: repeat it, or use commas."),
]


AliveFile = Annotated[
    Path | None,
    typer.Option(help="Write this file each second while all goes on: for `python -m node.alive`.", dir_okay=False),
]


def serve(config: ConfigFile = DEFAULT_CONFIG, only: Only = None, alive_file: AliveFile = None) -> None:
    """Run the node: receive studies, read them, send the results.

    With --only one process runs some parts of the node, and others run the rest, on one data_dir and one queue. With
    PostgreSQL each part may run in several processes, on several machines.

    Stops on SIGTERM or Ctrl-C within 8 seconds, even if a thread hangs: associations are finished or aborted, and
    unfinished reading, reports and deliveries start again at the next start. Every instance that was acknowledged with
    Success is kept, even after a power failure.
    """
    from config.notify_socket import notify_socket
    from config.settings import load
    from node.announcement import starting
    from node.logs import set_up_logging

    settings = load(config)  # before the slow imports, so that a mistake in the settings is reported at once
    set_up_logging(settings.log_level)
    from node.parts import parts_of

    parts = parts_of(only or [])
    log.info("mammo-node %s", starting(settings, parts))
    from sqlalchemy.exc import SQLAlchemyError

    from node.app import build_service
    from node.archive.lock import part_of_a_node
    from node.liveness import Signs
    from node.service import ServiceFailed
    from node.store.database import migrate_alone, must_be_migrated, why_not_opened
    from node.store.faults import RAISED_AS, describe_fault, is_passing

    try:
        with part_of_a_node(settings.data_dir, settings.database, parts, partial(migrate_alone, settings.database)):
            must_be_migrated(settings.database)
            service = build_service(settings, parts, Signs(notify_socket(), alive_file))
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: service.stop())
            try:
                service.run()
                log.info("mammo-node has stopped, as it was told to")
            finally:
                _exit_in_spite_of_hanging_threads()
    except SQLAlchemyError as error:
        raise CommandFailed(f"The queue cannot be used: {why_not_opened(error)}.") from error
    except ServiceFailed as error:
        raise CommandFailed(f"The node stops: {error}. See its log for details.") from error
    except RAISED_AS as fault:
        if not is_passing(fault):
            raise
        raise CommandFailed(f"The machine keeps the node from running: {describe_fault(fault)}. Mend that.") from fault


def _exit_in_spite_of_hanging_threads() -> None:
    """Ends the process after EXIT_AFTER_S. Python would wait for every thread, also for one that waits for a peer or a
    database."""
    failed = sys.exc_info()[0] is not None

    def end() -> None:
        time.sleep(EXIT_AFTER_S)
        os._exit(2 if failed else 0)

    threading.Thread(target=end, daemon=True).start()
