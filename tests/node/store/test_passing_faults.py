"""Faults of the machine postpone only the jobs that they affect, and are reported; in the end these jobs fail.

A link to /proc/self/mem is a file that opens and answers EIO when it is read.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest
from road import Road, changed, texts
from simple_models import OneMass
from sqlalchemy import select

from dicom_io.errors import NotReadable, Unreachable
from dicom_io.pixels.intact import read_whole_file
from dicom_io.pixels.mammogram import read_mammogram
from dicom_io.segmentations import read_segments
from models.types.mammogram import Mammogram
from models.types.reading import Detection
from node.archive.digests import ArchivedFile
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.demo.studies import DemoStudy
from node.operations.retry import retry_study
from node.operations.studies import StudyFilter, find_studies
from node.reader.decoding import decode
from node.store.faults import FAULT_POLICY, is_passing
from node.store.states import DeliveryState, JobKind, JobState, StudyState
from node.store.tables import Result

pytestmark = pytest.mark.slow

EIO = "Input/output error (EIO)"
GIVEN_UP = f"the machine failed 10 times, {EIO}: mend that, then retry"
NO_ANSWER = Path("/proc/self/mem")


FILE_OF_AN_UNREAD_IMAGE = {"gone": Path.unlink, "damaged": lambda path: path.write_bytes(b"no DICOM")}


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


def does_not_answer(path: Path) -> Path:
    """Makes the file at `path` answer EIO; returns where its bytes are kept meanwhile."""
    kept = path.with_suffix(".kept")
    path.rename(kept)
    path.symlink_to(NO_ANSWER)
    return kept


def wait_out(road: Road, kind: JobKind) -> None:
    """Advances the clock until the waiting job of this kind is due again."""
    road.clock.seconds = max(job.next_at for job in road.jobs() if job.kind is kind and job.state is JobState.WAITING)


@pytest.mark.parametrize(
    "number",
    [
        errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS, errno.ESTALE,
        errno.ETIMEDOUT, errno.EREMOTEIO, errno.ENOTCONN, errno.EHOSTDOWN, errno.EBUSY,
    ],
)  # fmt: skip
def test_errors_of_disk_network_descriptors_and_memory_count_as_temporary(number: int) -> None:
    assert is_passing(OSError(number, "…"))
    assert not is_passing(OSError(errno.ENOENT, "…"))


@pytest.mark.parametrize("read", [read_mammogram, lambda path: read_whole_file(path, 1 << 30), read_segments])
def test_an_unresponsive_disk_is_never_reported_as_a_damaged_file(tmp_path: Path, read) -> None:
    link = tmp_path / "image.dcm"
    link.symlink_to(NO_ANSWER)
    with pytest.raises(OSError, match="Input/output error"):
        read(link)


def test_a_folder_in_place_of_a_file_is_reported_as_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotReadable, match=r"its file in the archive cannot be read, Is a directory"):
        decode(ArchivedFile(tmp_path), 1 << 30)


def test_an_image_on_an_unresponsive_disk_is_postponed_and_the_others_are_read(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(*mammogram_study.files)
    kept = does_not_answer(road.data_dir / road.instances()[0].path)
    road.read()
    assert all(instance.reading is not None for instance in road.instances()[1:])
    job = road.jobs()[0]
    assert (job.state, job.attempts, job.faults, job.error) == (JobState.WAITING, 0, 1, EIO)
    kept.replace(road.data_dir / road.instances()[0].path)
    road.read()
    assert road.instances()[0].reading is None, "it is not due yet"
    wait_out(road, JobKind.READ_IMAGE)
    road.read()
    assert road.instances()[0].reading is not None


def test_an_image_the_disk_never_returns_fails_after_ten_attempts_and_retry_reads_it(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(*mammogram_study.files)
    kept = does_not_answer(road.data_dir / road.instances()[0].path)
    began, waits = road.clock(), []
    for _ in range(FAULT_POLICY.tries - 1):
        road.read()
        waits.append(road.jobs()[0].next_at - road.clock())
        wait_out(road, JobKind.READ_IMAGE)
    road.read()
    assert waits == [5 * 2**n for n in range(9)]
    assert road.clock() - began < 3600
    assert road.instances()[0].unread_reason == GIVEN_UP
    road.close()
    road.report()
    (report,) = road.results("SR")
    assert EIO in texts(report)
    assert "damaged" not in texts(report)
    kept.replace(road.data_dir / road.instances()[0].path)
    with road.sessions.begin() as session:
        retry_study(session, road.study().id, road.clock())
    road.read()
    road.close()
    road.report()
    assert EIO not in texts(road.results("SR", revision=2)[0])


def test_a_report_whose_masks_cannot_be_read_waits_and_the_next_study_is_reported(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(*mammogram_study.files)
    road.read()
    kept = does_not_answer(road.data_dir / road.instances()[0].masks_path)
    road.close()
    road.report()
    assert road.study().why == f"its report is postponed: {EIO}"
    others = [
        changed(file, StudyInstanceUID="1.2.3", SOPInstanceUID=f"1.2.3.{n}")
        for n, file in enumerate(mammogram_study.files)
    ]
    road.all_of_it(*others)
    with road.sessions.begin() as session:
        second, first = find_studies(session, StudyFilter()).studies
    assert (first.state, second.state) == (StudyState.CLOSED, StudyState.REPORTED)
    (put_off,) = first.jobs
    assert (put_off.kind, put_off.error, put_off.attempts) == (JobKind.REPORT, EIO, 0)
    kept.replace(road.data_dir / road.instances()[0].masks_path)
    wait_out(road, JobKind.REPORT)
    road.report()
    with road.sessions.begin() as session:
        assert {study.state for study in find_studies(session, StudyFilter()).studies} == {StudyState.REPORTED}


def test_a_report_that_can_never_be_written_fails_with_its_cause(road: Road, mammogram_study: DemoStudy) -> None:
    road.receive(*mammogram_study.files)
    road.read()
    does_not_answer(road.data_dir / road.instances()[0].masks_path)
    road.close()
    for _ in range(FAULT_POLICY.tries - 1):
        road.report()
        wait_out(road, JobKind.REPORT)
    road.report()
    assert road.study().why == f"its report could not be written: {GIVEN_UP}"
    (job,) = (job for job in road.jobs() if job.kind is JobKind.REPORT)
    assert job.state is JobState.FAILED


@pytest.mark.parametrize("lose", FILE_OF_AN_UNREAD_IMAGE.values(), ids=FILE_OF_AN_UNREAD_IMAGE)
@pytest.mark.parametrize("profile", ["ohif", "all"])
def test_an_image_whose_file_is_lost_before_reading_is_named_in_the_report(
    tmp_path: Path, mammogram_study: DemoStudy, lose, profile: str
) -> None:
    road = Road(tmp_path / "data", profile=profile)
    road.receive(*mammogram_study.files)
    lose(road.data_dir / road.instances()[0].path)
    road.read()
    road.close()
    road.report()
    (report,) = road.results("SR")
    assert f"{road.instances()[0].unread_reason}".rstrip(".") in texts(report)
    assert len(road.results("SEG")) == 3


def test_a_report_that_cannot_be_written_without_lost_files_names_them(road: Road, mammogram_study: DemoStudy) -> None:
    road.receive(*mammogram_study.files)
    road.read()
    (road.data_dir / road.instances()[0].path).unlink()
    road.close()
    road.report()
    assert road.study().why.endswith("the file of image 1 is gone from the archive: send it again, then retry")
    road.receive(mammogram_study.files[0])
    road.read()
    road.close()
    road.report()
    assert road.study().state is StudyState.REPORTED


class LittleMemory(OneMass):
    """Has memory for one image at a time, and for no wide one."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        if len(images) > 1 or any(image.shape[1] > image.shape[0] for image in images):
            raise MemoryError
        return super().detect(images)


def test_images_too_large_for_the_memory_together_are_read_one_by_one_without_a_failed_attempt(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = Road(tmp_path / "data", models=LittleMemory())
    wide = changed(mammogram_study.files[1])
    wide.PixelData = wide.pixel_array.T.tobytes()
    wide.Rows, wide.Columns = wide.Columns, wide.Rows
    road.receive(mammogram_study.files[0], wide, *mammogram_study.files[2:])
    road.read()
    assert [instance.reading is not None for instance in road.instances()] == [True, False, True, True]
    assert [(job.attempts, job.error) for job in road.jobs() if job.faults] == [(0, "not enough memory")]


class Shelf:
    """A destination that reads and accepts what is sent."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def send(self, path: Path) -> None:
        if not path.is_symlink() and not path.exists():
            raise Unreachable("it is not there")
        path.read_bytes()
        self.taken.append(path.name)

    def close(self) -> None:
        pass


def test_a_result_that_the_disk_does_not_return_delays_no_other(road: Road, mammogram_study: DemoStudy) -> None:
    road.all_of_it(*mammogram_study.files)
    with road.sessions.begin() as session:
        path = session.scalars(select(Result.path).order_by(Result.id)).first()
    does_not_answer(road.data_dir / path)
    shelf = Shelf()
    Deliverer("pacs", shelf, RetryPolicy(30, 3600, 86400), road.sessions, road.data_dir, road.clock).deliver_due()
    first, *others = road.deliveries()
    assert (first.state, first.error) == (DeliveryState.WAITING, f"it cannot be read here: {EIO}")
    assert first.next_at > road.clock()
    assert {other.state for other in others} == {DeliveryState.SENT}
    assert len(shelf.taken) == len(others)
