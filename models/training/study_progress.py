"""The progress of a study of several trainings and evaluations, one after another, as one count of image passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from models.training.recipe import Progress


class StudyProgress:
    """Counts the passes of this call. What an earlier call has finished is taken off the total and not counted, so that
    the remaining time can be estimated from the counted passes.

    Args:
        progress: called with the passes done by this call, the passes of all of it, and a line of text.
        total: image passes of the whole study.
    """

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total, self._done = float(total), 0.0

    @contextmanager
    def phase(self, passes: int, name: str) -> Iterator[Progress]:
        """Yields the progress function of a training or an evaluation of so many image passes. Its first call shows
        which share was done before; a phase without a call was finished before."""
        before, skipped = self._done, list[float]()

        def step(done: int, total: int, text: str) -> None:
            if not skipped:
                skipped.append((done - 1) / total)
                self._total -= passes * skipped[0]
            # A calibration repeats the training, and counts from 1 again: the count never falls.
            self._done = max(self._done, before + passes * max(0.0, done / total - skipped[0]))
            self._progress(round(self._done), round(self._total), f"{name}: {text}")

        yield step
        if skipped:
            self._done = before + passes * (1 - skipped[0])
        else:
            self._total -= passes
