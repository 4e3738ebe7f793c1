"""An executor that is lost takes its batches with it: their images go back into the queue, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from road import Road

from node.archive.digests import ArchivedFile
from node.demo.studies import DemoStudy
from node.reader.executor import ExecutorLost, Outcome, Outcomes
from node.store.states import JobState


@dataclass
class Elsewhere:
    """Takes a batch and one more ahead; `reading` is what happens when the first is read."""

    reading: Callable[[], None]
    ahead: bool = True
    begun: list[int] = field(default_factory=list)

    def begin(self, files: Sequence[ArchivedFile]) -> Outcomes:
        self.begun.append(len(files))
        return self._outcomes

    def _outcomes(self, on_reading: Callable[[Sequence[int]], None]) -> Iterator[tuple[int, Outcome]]:
        self.reading()
        yield from ()


@pytest.mark.parametrize(("counts", "attempts"), [(True, 1), (False, 0)])
def test_the_images_of_a_lost_executor_are_claimed_again_and_an_attempt_is_counted_if_one_of_them_may_be_the_cause(
    tmp_path: Path, mammogram_study: DemoStudy, counts: bool, attempts: int
) -> None:
    road = Road(tmp_path / "data")
    road.receive(*mammogram_study.files)

    def lost() -> None:
        raise ExecutorLost("gone", counts=counts)

    limits = replace(road.reader.limits, batch=1)
    with pytest.raises(ExecutorLost):
        replace(road.reader, executor=Elsewhere(lost), limits=limits).run(threading.Event())
    assert [(job.state, job.attempts) for job in road.jobs()] == [(JobState.WAITING, attempts)] * 2 + [
        (JobState.WAITING, 0)
    ] * 2
    road.read()
    assert all(instance.reading is not None for instance in road.instances())


def test_a_reader_that_is_told_to_stop_gives_back_the_batch_that_was_only_begun(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path / "data")
    road.receive(*mammogram_study.files)
    stop = threading.Event()
    executor = Elsewhere(stop.set)
    replace(road.reader, executor=executor, limits=replace(road.reader.limits, batch=2)).run(stop)
    assert executor.begun == [2, 2]
    # The first batch was read to its end, here without an outcome; the second waits again as if never claimed.
    assert [(job.state, job.attempts) for job in road.jobs()] == [(JobState.RUNNING, 1)] * 2 + [
        (JobState.WAITING, 0)
    ] * 2
