"""De-identified copies of images, experts' corrections and radiologists' categories, for research (docs/export.md)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dicom_io.deidentification.attributes import EDITION
from dicom_io.deidentification.cleaning import Anonymity
from dicom_io.deidentification.files import KeptBack, write_image, write_segmentation
from dicom_io.errors import NotReadable
from models.datasets.archive import NAME, VERSION, Export, ExportedImage, ExportedLesion
from models.datasets.case import LeftOut
from models.types.words import RESEARCH_USE_ONLY
from node.annotations.archive_cases import pseudonym_of_patient
from node.annotations.export import IMAGES, SEGMENTATIONS, must_be_empty
from node.annotations.pseudonyms import Pseudonyms
from node.intake.worker_process import NoAnswer, WorkerProcess
from node.research.chosen import ChosenImage, ChosenStudy

PER_FILE_S = 300
_FOR_ANY_FILE, _PER_PIXEL = 1 << 30, 48
"""Memory for one file, in bytes."""
_Row = tuple[object, ...]
_IMAGE = ("file", "patient", "exam", "laterality", "view", "rows", "columns")

ABOUT = f"""{RESEARCH_USE_ONLY}

De-identified by PS3.15 Annex E, Basic Application Level Confidentiality Profile (table E.1-1, edition {EDITION}),
without options: no dates, ages or descriptions. UIDs, patients, exams and experts have pseudonyms, made with a key that
stays in the node's data folder: the same ones in each export of this node, and none of another node's.

PIXELS ARE NOT CLEANED. Images whose headers say that annotations are burnt in, and secondary captures, were left out;
text that is burnt into another image is still in it. Look at the images before you give them to anybody.

images.csv       each image: file, patient, exam, side, view, size, and whether an expert corrected it
archive.json     the corrected images with their segmentations, for `--data archive:FOLDER` of train and evaluate
birads.csv       the radiologists' BI-RADS categories by exam and breast
"""


@dataclass(frozen=True)
class Exported:
    """What was written; `failed`: what could not be cleaned; `kept_back`: what was left out on purpose."""

    images: int
    segmentations: int
    categories: int
    failed: tuple[LeftOut, ...]
    kept_back: tuple[LeftOut, ...]


class Exporting:
    """Writes an export into a new or empty folder. A process of its own reads and cleans the files, so that none of
    them can end the command.

    Args:
        by: the program and its version, for the headers.
        max_pixels: of the largest image.
    """

    def __init__(self, out: Path, data_dir: Path, pseudonyms: Pseudonyms, by: str, max_pixels: int) -> None:
        self._out, self._data_dir, self._pseudonyms, self._by = out, data_dir, pseudonyms, by
        self._max_pixels = max_pixels
        self._worker = WorkerProcess(_FOR_ANY_FILE + _PER_PIXEL * max_pixels, PER_FILE_S)

    def write(self, studies: Sequence[ChosenStudy], progress: Callable[[], None]) -> Exported:
        """Writes all; `progress` is called after each study.

        Raises:
            NotEmpty: the folder is not empty.
            OSError, MemoryError: a fault of the machine; the folder is incomplete.
        """
        must_be_empty(self._out)
        for folder in (IMAGES, SEGMENTATIONS):
            (self._out / folder).mkdir(parents=True)
        images, truths, categories = list[_Row](), list[ExportedImage](), list[_Row]()
        failed, kept_back = list[LeftOut](), list[LeftOut]()
        for study in studies:
            before = len(images)
            for image in study.images:
                try:
                    copy = self._copy(study, image)
                except KeptBack as reason:
                    kept_back.append(LeftOut(f"study {study.id}, image {image.id}", str(reason)))
                except (NotReadable, NoAnswer) as reason:
                    failed.append(LeftOut(f"study {study.id}, image {image.id}", str(reason)))
                else:
                    images.append((*(getattr(copy, name) for name in _IMAGE), image.truth is not None))
                    truths += [copy] if image.truth is not None else []
            if len(images) > before:
                categories += [
                    (*images[-1][1:3], str(each.laterality or ""), str(each.category), str(each.source))
                    for each in study.assessments
                ]
            progress()
        listing = Export(version=VERSION, intended_use=RESEARCH_USE_ONLY, images=tuple(truths))
        (self._out / NAME).write_text(listing.model_dump_json(indent=2) + "\n", encoding="utf-8")
        _write_table(self._out / "images.csv", (*_IMAGE, "corrected"), images)
        _write_table(self._out / "birads.csv", ("patient", "exam", "laterality", "category", "source"), categories)
        (self._out / "ABOUT.txt").write_text(ABOUT, encoding="utf-8")
        drawn = sum(truth.segmentation is not None for truth in truths)
        return Exported(len(images), drawn, len(categories), tuple(failed), tuple(kept_back))

    def _copy(self, study: ChosenStudy, image: ChosenImage) -> ExportedImage:
        """Writes an image and what an expert drew in it, both or none.

        Raises:
            KeptBack: it is left out on purpose.
            NotReadable, NoAnswer: one of them cannot be cleaned.
        """
        name = self._pseudonyms.of("image", image.uid)
        patient = pseudonym_of_patient(self._pseudonyms, image.patient_id, study.uid)
        file, lesions = f"{IMAGES}/{name}.dcm", image.truth.lesions if image.truth is not None else ()
        segmentation = f"{SEGMENTATIONS}/{name}.dcm" if lesions else None
        how = Anonymity(self._pseudonyms.uid, patient, self._by)
        try:
            with _missing_is_not_readable():
                source = self._data_dir / image.path
                rows, columns = self._worker.call(write_image, source, self._out / file, how, self._max_pixels)
                if image.truth is not None and segmentation is not None:
                    source = self._data_dir / image.truth.image.correction_path
                    self._worker.call(write_segmentation, source, image.uid, self._out / segmentation, how)
        except BaseException:
            for begun in filter(None, (file, segmentation)):
                (self._out / begun).unlink(missing_ok=True)
            raise
        return ExportedImage(
            name=name,
            patient=patient,
            exam=self._pseudonyms.of("exam", study.uid),
            laterality=image.laterality,
            view=image.view,
            rows=rows,
            columns=columns,
            file=file,
            segmentation=segmentation,
            annotator=image.truth.annotator if image.truth is not None else "",
            lesions=tuple(ExportedLesion(number=lesion.segment.number, kind=lesion.kind) for lesion in lesions),
        )


@contextmanager
def _missing_is_not_readable() -> Iterator[None]:
    """A file that is gone concerns its image alone. The error names no path: it would hold UIDs."""
    try:
        yield
    except FileNotFoundError as cause:
        raise NotReadable("Its file is not in the data folder.") from cause


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[_Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
