"""The main function of the web page's process."""

from __future__ import annotations

import logging
import ssl
import sys
import threading
import time
from types import FrameType

from config.settings import Settings
from dicom_io.network.tls import ServerTls, TlsFiles
from node.logs import set_up_logging
from node.store.clock import steady
from node.store.database import open_queue
from node.store.database_clock import node_clock

log = logging.getLogger(__name__)


def run_web(settings: Settings) -> None:
    """Serves the page until the process is ended."""
    # Here, so that the main process, which names this function, does not load them.
    import uvicorn

    from node.web.application import build_application

    set_up_logging(settings.log_level)
    web = settings.web
    if web.port is None:
        raise ValueError("web.port is not set")
    sessions = open_queue(settings.database)
    clock = node_clock(sessions, time.time, steady)
    threading.Thread(target=clock.follow, args=(threading.Event(),), name="the database's clock", daemon=True).start()
    application = build_application(settings, sessions, clock)

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            application.state.desk.live.stop()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        application,
        host=web.host,
        port=web.port,
        ssl_certfile=web.certificate,
        ssl_keyfile=web.key,
        log_config=None,
        access_log=False,  # addresses say who looked at what
        server_header=False,
        proxy_headers=False,  # anybody may write them
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    config.load()
    if config.ssl is not None:
        _follow_files(config.ssl, ServerTls(TlsFiles(web.certificate, web.key, None), asks=False))
    try:
        Server(config).run()
    except SystemExit:  # uvicorn's, after it has logged why
        log.error("the web page cannot listen on %s:%d: the port is in use, or not this machine's", web.host, web.port)
        sys.exit(1)


def _follow_files(listening: ssl.SSLContext, tls: ServerTls) -> None:
    """Each connection gets the certificate that the files have then: a renewed one needs no new start."""

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = tls.context()

    listening.sni_callback = choose  # it is called for connections without a server's name, too
