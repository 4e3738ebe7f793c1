"""Progress and remaining time of a long command: a bar on a terminal, else a line every EVERY_S seconds."""

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
        yield ProgressLines(time.monotonic, lambda line: typer.echo(f"{what}: {line}", err=True))
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(TextColumn("{task.description}"), *columns, TextColumn("{task.fields[how]}"), console=console) as bar:
        task = bar.add_task(what, total=None, how="")
        yield lambda done, total, how: bar.update(task, completed=done, total=total, how=how)


def image_bar(*, hidden: bool) -> Bar:
    """A bar on standard error that counts images or files; `hidden` if the command prints JSON."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Bar(*columns, console=Console(stderr=True), disable=hidden)


class ProgressLines:
    """Writes a line with the remaining time at the first step, then every EVERY_S seconds, and at the end. Where the
    number of all steps changes, another part of the work begins.

    Args:
        clock: returns seconds from any origin.
        write: is called with each line.
    """

    def __init__(self, clock: Callable[[], float], write: Callable[[str], None]) -> None:
        self._clock, self._write = clock, write
        self._first: tuple[float, int] | None = None
        self._next, self._total = 0.0, 0

    def __call__(self, done: int, total: int, how: str) -> None:
        now = self._clock()
        if self._first is None or total != self._total:
            self._first, self._next, self._total = (now, done), now, total
        if now < self._next and done < total:
            return
        began, before = self._first
        seconds = 0.0 if done == before else (now - began) / (done - before) * (total - done)
        left = f", about {timedelta(seconds=round(seconds))} left" if seconds else ""
        self._write(f"{done} of {total}{left}: {how}")
        self._next = now + EVERY_S
