"""Live updates: open pages are told by server-sent events that something was committed, and fetch themselves again."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from node.logs import place_of
from node.store.changes import ChangeWatch
from node.store.database import Sessions

log = logging.getLogger(__name__)

MOST_LISTENERS = 100
AT_MOST_EVERY_S = 3.0
SAYS_IT_IS_THERE_EVERY_S = 20.0
ENDS_AFTER_S = 900.0
"""A stream ends then; the browser asks for the next one, and must still be allowed to."""
_AFTER_A_FAULT_S = 5.0


class Live:
    """Notices commits in a thread of its own and wakes the open pages.

    Args:
        now: UTC seconds since the epoch.
    """

    def __init__(self, sessions: Sessions, now: Callable[[], float]) -> None:
        self._sessions = sessions
        self._now = now
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._listeners = 0
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    def start(self) -> None:
        """Begins to watch; called in the event loop that the pages are answered in."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, name="live", daemon=True).start()

    def changed(self) -> None:
        """Tells the open pages that something changed that is not in the database; from any thread."""
        with suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(self._wake)

    def stop(self) -> None:
        """Ends the streams, so that the server need not wait for them."""
        self._stop.set()
        self._ended.set()
        self._wake()

    @property
    def is_full(self) -> bool:
        """Whether as many pages listen as may."""
        return self._listeners >= MOST_LISTENERS

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events: `changed` at most every three seconds; they carry no data."""
        self._listeners += 1
        try:
            yield "retry: 3000\n\n"
            ends_at = asyncio.get_running_loop().time() + ENDS_AFTER_S
            while not self._stop.is_set() and asyncio.get_running_loop().time() < ends_at:
                try:
                    await asyncio.wait_for(self._changed.wait(), SAYS_IT_IS_THERE_EVERY_S)
                except TimeoutError:
                    yield ": still here\n\n"
                else:
                    yield "event: changed\ndata:\n\n"
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._ended.wait(), AT_MOST_EVERY_S)
        finally:
            self._listeners -= 1

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                with ChangeWatch(self._sessions, self._now) as changes:
                    while not self._stop.is_set():
                        changes.wait(self._stop, None)
                        self._loop.call_soon_threadsafe(self._wake)
            except SQLAlchemyError as fault:
                log.error("live updates stop for a moment: %s", place_of(fault))
                self._stop.wait(_AFTER_A_FAULT_S)
            except RuntimeError:  # the event loop has ended
                return
