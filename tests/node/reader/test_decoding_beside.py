"""On a GPU images are decoded in processes beside the reader, and the next batch while a batch is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from failing_readers import MOST_PIXELS, dies_of_wide
from road import Road, changed
from simple_models import OneMass, pipeline_of

from dicom_io.errors import NotReadable
from models.anatomy.breast import breast_mask_of
from models.readings.preview import preview_of
from models.types.mammogram import Mammogram
from models.types.reading import Detection
from node.archive.digests import ArchivedFile
from node.demo.studies import DemoStudy
from node.reader.decoding import DecoderHere, DecoderPool, decode
from node.reader.local import LocalExecutor
from node.store.states import JobState
from node.store.tables import Job


def on_its_side(file: Path, folder: Path) -> Path:
    image = changed(file)
    image.PixelData = image.pixel_array.T.tobytes()
    image.Rows, image.Columns = image.Columns, image.Rows
    image.save_as(folder / "wide.dcm", enforce_file_format=True)
    return folder / "wide.dcm"


@pytest.mark.slow
def test_a_decoder_that_dies_takes_one_image_with_it(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    first, second, *_ = mammogram_study.files
    pool = DecoderPool(1, MOST_PIXELS, attempts=2, timeout_s=60, decoding=dies_of_wide)
    waiting = [
        pool.begin(ArchivedFile(file)) for file in (first, on_its_side(first, tmp_path), tmp_path / "gone", second)
    ]
    read, dead, gone, again = waiting
    here = decode(ArchivedFile(first), MOST_PIXELS)
    assert (read().pixels == here.pixels).all()
    assert (preview_of(read()) == preview_of(here)).all()
    read().pixels[:] = 0  # what the models' process needs of all pixels was found beside, and came with them
    assert (breast_mask_of(read()) == breast_mask_of(here)).all()
    assert preview_of(read()).any()
    with pytest.raises(NotReadable, match=r"unreadable: kills the reader \(2 attempts\)"):
        dead()
    with pytest.raises(NotReadable, match="its file is gone"):
        gone()
    assert again().view == decode(ArchivedFile(second), MOST_PIXELS).view


@dataclass(frozen=True)
class LooksAtTheQueue(OneMass):
    """Notes, at each batch, how many images it has, and how many jobs are claimed."""

    road: list[Road] = field(default_factory=list)
    seen: list[tuple[int, int]] = field(default_factory=list)

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        claimed = sum(job.state is JobState.RUNNING for job in self.road[0].jobs())
        self.seen.append((len(images), claimed))
        return super().detect(images)


class Beside(DecoderHere):
    """Decodes here, and says that it decodes beside."""

    beside = True


def reading_on(road: Road, models: OneMass, **limits: float) -> None:
    """The road's reader reads as on a GPU: `run` without waiting for more work."""
    reader = road.reader = replace(
        road.reader,
        executor=LocalExecutor(pipeline_of(models), Beside(MOST_PIXELS)),
        limits=replace(road.reader.limits, **limits),
    )
    begun = reader._begin()
    while begun:
        begun = reader._read_on(begun) or reader._begin()


def test_the_next_batch_is_claimed_while_a_batch_is_read(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path / "data")
    road.receive(*mammogram_study.files)
    models = LooksAtTheQueue(road=[road])
    reading_on(road, models, batch=2)
    assert models.seen == [(2, 4), (2, 2)]
    assert all(instance.reading is not None for instance in road.instances())


def test_beside_an_image_that_was_tried_before_none_is_claimed(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path / "data")
    road.receive(*mammogram_study.files)
    with road.sessions.begin() as session:
        session.get_one(Job, road.jobs()[0].id).attempts = 1
    models = LooksAtTheQueue(road=[road])
    reading_on(road, models, batch=2)
    assert sorted(models.seen) == [(1, 1), (1, 1), (2, 3)]
    assert [claimed for images, claimed in models.seen if images == 2] == [3]


def test_a_batch_that_is_not_full_waits_a_moment_for_more_images(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path / "data")
    first, *others = mammogram_study.files
    road.receive(first)
    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        road.receive(*others)

    road.reader = replace(road.reader, pause=pause)
    models = LooksAtTheQueue(road=[road])
    reading_on(road, models, gather_s=0.02)
    assert paused == [0.02]
    assert models.seen == [(4, 4)]


@dataclass(frozen=True)
class Hanging(DecoderHere):
    """Decodes beside; each image that is waited for takes nearly as long as its attempts may."""

    road: Road
    overdue: list[int]
    beside = True

    def begin(self, file: ArchivedFile) -> Callable[[], Mammogram]:
        decoded = super().begin(file)

        def wait() -> Mammogram:
            self.road.clock.seconds += 450
            running = [job for job in self.road.jobs() if job.state is JobState.RUNNING]
            self.overdue.append(sum(job.lease_until < self.road.clock() for job in running))
            return decoded()

        return wait


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_images_that_hang_their_decoders_cost_no_other_image_its_lease(
    tmp_path: Path, mammogram_study: DemoStudy, batch: int
) -> None:
    """The supervisor would kill the reader, and count an attempt for all that it holds."""
    road = Road(tmp_path / "data")
    road.receive(*mammogram_study.files)
    overdue: list[int] = []
    decoder = Hanging(MOST_PIXELS, road, overdue)
    road.reader = replace(
        road.reader,
        executor=LocalExecutor(replace(pipeline_of(OneMass()), clock=road.clock), decoder),
        limits=replace(road.reader.limits, batch=batch, lease_s=600),
    )
    begun = road.reader._begin()
    while begun:
        begun = road.reader._read_on(begun) or road.reader._begin()
    assert overdue == [0, 0, 0, 0]
