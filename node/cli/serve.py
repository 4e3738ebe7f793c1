"""`mammo-node serve`: the node itself."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile

LAST_S = 0.5


def serve(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run the node: receive studies, read them, send the results.

    Stops on SIGTERM or Ctrl-C within 8 seconds, whatever hangs: associations are finished or aborted, and what was
    being read, reported or sent is done again at the next start. Whatever was acknowledged with Success is kept, even
    if the machine loses its power.
    """
    from config.settings import load
    from node.logs import set_up_logging

    settings = load(config)  # before what takes long to import: a mistake is told at once
    set_up_logging(settings.log_level)
    from sqlalchemy.exc import SQLAlchemyError

    from node.app import build_service
    from node.archive.lock import only_node
    from node.service import ServiceFailed
    from node.store.database import why_not_opened

    try:
        with only_node(settings.data_dir):
            service = build_service(settings)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: service.stop())
            try:
                service.run()
            finally:
                _leave_behind_what_hangs()
    except SQLAlchemyError as error:
        raise CommandFailed(f"The queue cannot be used: {why_not_opened(error)}.") from error
    except ServiceFailed as error:
        raise CommandFailed(f"The node stops: {error}. Its log says more.") from error


def _leave_behind_what_hangs() -> None:
    """Python waits at its end for every thread, also for one that waits for a peer or a database: then no longer."""
    failed = sys.exc_info()[0] is not None

    def end() -> None:
        time.sleep(LAST_S)
        os._exit(2 if failed else 0)

    threading.Thread(target=end, daemon=True).start()
