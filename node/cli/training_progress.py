"""How far a long work is and how long it will take: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

EVERY_S = 30.0
"""Seconds between two lines."""

Told = Callable[[int, int, str], None]


@contextmanager
def training_progress() -> Iterator[Told]:
    """Something to be told the steps done, the steps there are, and how it goes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(time.monotonic, lambda line: typer.echo(line, err=True))
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(*columns, TextColumn("{task.fields[how]}"), console=console) as bar:
        task = bar.add_task("training", total=None, how="reading the images")
        yield lambda done, total, how: bar.update(task, completed=done, total=total, how=how)


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
        left = "" if done == before else f", about {_rounded((now - began) / (done - before) * (total - done))} left"
        self._say(f"{done} of {total}{left}: {how}")
        self._next = now + EVERY_S


def _rounded(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
