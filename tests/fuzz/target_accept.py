"""Receiving: whatever comes is answered, and every file that is kept has its row."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

from dicom_bytes import MAMMOGRAM, damaged_files, images, written
from hypothesis import strategies as some
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import delete, select

MODULES = (
    "dicom_io/attributes.py",
    "dicom_io/headers.py",
    "dicom_io/pixels/file_meta.py",
    "dicom_io/pixels/intact.py",
    "dicom_io/pixels/pixel_element.py",
    "node/annotations/received.py",
    "node/arrivals.py",
    "node/receiving.py",
    "node/resends.py",
)
_KEPT = 200
"""So many files are kept before the archive is looked at and emptied."""
_INSTANCE, _STUDY = b"1.2.3.4.1000000001", b"1.2.3.4.2000000001"


@cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    from annotating import disc, segmentation
    from assessing import overall, report

    from models.types import Category

    others = []
    for dataset in (report(overall(Category.TWO)), segmentation({"mass": disc((16, 12), 5, 5, 3)})):
        dataset.SOPInstanceUID, dataset.StudyInstanceUID = _INSTANCE.decode(), _STUDY.decode()
        others.append((ExplicitVRLittleEndian, written(dataset)))
    return (*images(), *others)


def inputs() -> some.SearchStrategy[bytes]:
    """A file, behind a byte that says whether its UIDs are known already."""
    again = some.sampled_from([b"new"] * 60 + [b"old", b"one"])
    return some.tuples(again, damaged_files(seeds())).map(b"".join)


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], None]]:
    from dicom_io.network.answers import Status
    from dicom_io.network.scp import ReceivedFile
    from dicom_io.pixels.intact import read_whole_file
    from node.database import open_database, sessions_of
    from node.receiving import Receiving, ReceivingLimits
    from node.same_pixels import PixelComparison
    from node.tables import Annotation, Instance, Job, ReceivedAssessment, Study

    data_dir = folder / "data"
    data_dir.mkdir()
    sessions = sessions_of(open_database(f"sqlite:///{folder / 'queue.sqlite'}"))
    receiving = Receiving(sessions, data_dir, ReceivingLimits(max_image_bytes=1 << 20), frozenset(), lambda: 1.7e9)

    class Never(PixelComparison):
        """A process for each comparison would be all that is measured; tests/receiving has them."""

        def is_same(self, one: Path, other: Path) -> bool:
            return False

    receiving._pixels = Never(10_000)
    numbers, kept = count(1_000_000_001), [0]

    def run(data: bytes) -> None:
        known, file = data[:3], data[3:]
        number = next(numbers) if known == b"new" else 1_000_000_000
        file = file.replace(_INSTANCE, b"1.2.3.4.%d" % number)
        file = file.replace(_STUDY, b"1.2.3.4.2%09d" % (number if known != b"one" else 7))
        path = receiving.incoming / "incoming.part"
        path.write_bytes(file)
        try:
            header = read_whole_file(path, 1 << 20).dataset
            said = str(header.get("SOPClassUID", MAMMOGRAM)), str(header.get("SOPInstanceUID", "1.2"))
        except Exception:  # noqa: BLE001 - only what the request says besides; accept sees the file itself
            said = MAMMOGRAM, "1.2"
        answer = receiving.accept(ReceivedFile(path, "PACS", "127.0.0.1", *said, ExplicitVRLittleEndian))
        path.unlink(missing_ok=True)
        assert answer.status not in (Status.PROCESSING_FAILURE, Status.NO_STORAGE), answer.status.name
        kept[0] += answer.status is Status.SUCCESS
        if kept[0] >= _KEPT:
            kept[0] = 0
            assert not orphans(folder), "a file without a row"
            empty()

    def empty() -> None:
        with sessions.begin() as session:
            for table in (ReceivedAssessment, Annotation, Job, Instance, Study):
                session.execute(delete(table))
        for name in ("archive", "quarantine"):
            for study in (data_dir / name).iterdir():
                shutil.rmtree(study)

    yield run


def orphans(folder: Path) -> int:
    """Files of the archive that no row names."""
    from node.database import open_database, sessions_of
    from node.tables import Instance

    with sessions_of(open_database(f"sqlite:///{folder / 'queue.sqlite'}")).begin() as session:
        rows = set(session.scalars(select(Instance.path)))
    archive = {path.relative_to(folder / "data").as_posix() for path in (folder / "data/archive").rglob("*.dcm")}
    # Older versions of an instance stay, under its name without a number or with a lower one.
    named = {path.removesuffix(".dcm").partition("_")[0] for path in rows}
    return sum(path.removesuffix(".dcm").partition("_")[0] not in named for path in archive)
