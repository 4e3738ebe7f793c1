"""The progress of long work and the time that is left: a bar on a terminal, a line every half minute in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

EVERY_S = 30.0
"""Seconds between two lines."""

Progress = Callable[[int, int, str], None]


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Yields a function that is called with the steps done, the number of all steps, and a line of text."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(time.monotonic, lambda line: typer.echo(f"{what}: {line}", err=True))
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(TextColumn("{task.description}"), *columns, TextColumn("{task.fields[how]}"), console=console) as bar:
        task = bar.add_task(what, total=None, how="")
        yield lambda done, total, how: bar.update(task, completed=done, total=total, how=how)


def image_bar(*, hidden: bool) -> Bar:
    """A bar on standard error for a count of images or files; `hidden` where JSON is printed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Bar(*columns, console=Console(stderr=True), disable=hidden)


class Lines:
    """A line at the first step, then one each half minute, with the time that is left, and one at the end.

    Args:
        clock: seconds from any origin.
        say: takes each line.
    """

    def __init__(self, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self._clock, self._say = clock, say
        self._first: tuple[float, int] | None = None
        self._next = 0.0

    def __call__(self, done: int, total: int, how: str) -> None:
        now = self._clock()
        if self._first is None:
            self._first, self._next = (now, done), now
        if now < self._next and done < total:
            return
        began, before = self._first
        seconds = 0.0 if done == before else (now - began) / (done - before) * (total - done)
        left = f", about {timedelta(seconds=round(seconds))} left" if seconds else ""
        self._say(f"{done} of {total}{left}: {how}")
        self._next = now + EVERY_S
