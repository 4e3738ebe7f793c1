"""An application served at a port of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from ports import held_port
from running import eventually


@contextmanager
def serving(application: FastAPI) -> Iterator[str]:
    """The application's address while a thread serves it."""
    with held_port() as port:
        server = uvicorn.Server(uvicorn.Config(application, port=port, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            eventually("the application is served", lambda: server.started or not thread.is_alive())
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(timeout=60)
