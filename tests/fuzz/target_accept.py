"""Receiving: every input is answered, and every stored file has its row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

from dicom_bytes import INSTANCE, MAMMOGRAM, STUDY, damaged_files, images, instance_uid, study_uid, written
from hypothesis import strategies as some
from pydicom.uid import ExplicitVRLittleEndian
from receiving_half import ReceivingHalf, orphans

MODULES = (
    "dicom_io/attributes.py",
    "dicom_io/headers.py",
    "dicom_io/pixels/file_meta.py",
    "dicom_io/pixels/intact.py",
    "dicom_io/pixels/pixel_element.py",
    "node/annotations/received.py",
    "node/intake/register.py",
    "node/intake/receiving.py",
    "node/intake/received_again.py",
)
KEPT = 3
_EMPTIED_AFTER = 500
__all__ = ["MODULES", "inputs", "opened", "orphans"]


@cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    from annotating import disc, segmentation
    from assessing import overall, report

    from models.types.birads import Category

    others = []
    for dataset in (report(overall(Category.TWO)), segmentation({"mass": disc((16, 12), 5, 5, 3)})):
        dataset.SOPInstanceUID, dataset.StudyInstanceUID = INSTANCE.decode(), STUDY.decode()
        others.append((ExplicitVRLittleEndian, written(dataset)))
    return (*images(), *others)


def inputs() -> some.SearchStrategy[bytes]:
    """A file, after a byte that selects whether its UIDs are already stored."""
    again = some.sampled_from([b"new"] * 60 + [b"old", b"one"])
    return some.tuples(again, damaged_files(seeds())).map(b"".join)


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], str]]:
    from dicom_io.network.answers import Status
    from dicom_io.network.scp import ReceivedFile
    from dicom_io.pixels.intact import read_whole_file

    half = ReceivingHalf(folder)
    receiving = half.receiving
    numbers, fed = count(1), count(1)

    def run(data: bytes) -> str:
        known, file = data[:3], data[3:]
        number = next(numbers) if known == b"new" else 0
        file = file.replace(INSTANCE, instance_uid(number))
        file = file.replace(STUDY, study_uid(number if known != b"one" else 7))
        path = receiving.incoming / "incoming.part"
        path.write_bytes(file)
        try:
            header = read_whole_file(path, 1 << 20).dataset
            identity = str(header.get("SOPClassUID", MAMMOGRAM)), str(header.get("SOPInstanceUID", "1.2"))
        except Exception:  # noqa: BLE001 - only what the request says besides; accept sees the file itself
            identity = MAMMOGRAM, "1.2"
        answer = receiving.accept(ReceivedFile(path, "PACS", "127.0.0.1", *identity, ExplicitVRLittleEndian))
        path.unlink(missing_ok=True)
        assert answer.status not in (Status.PROCESSING_FAILURE, Status.NO_STORAGE), answer.status.name
        if next(fed) % _EMPTIED_AFTER == 0:
            half.empty()
        return answer.status.name.lower()

    yield run
