"""Phantoms that `mammo-node phantom` wrote: synthetic exams with known lesions (docs/phantoms.md).

The folder read here holds `studies/PATIENT/*.dcm`, and `truth/PATIENT/truth.json` with the outlines as DICOM SEG beside
it (`phantom_truth.py`). A study with a missing image makes the set unusable: it is easier to generate the phantoms
again than to repair them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from models.datasets.case import Case, Cases, DatasetError, Lesion, Pathology
from models.datasets.dicom import DicomReader
from models.datasets.listed import check_files, read_listing
from models.datasets.phantom_truth import NAME, StudyTruth, TrueImage
from models.types.mammogram import Mammogram

_CURE = "Make the phantoms again: mammo-node phantom, with the same seed, into an empty folder."


def read_phantoms(folder: Path, reader: DicomReader) -> Cases:
    """The images of the set; no pixels are read.

    Raises:
        DatasetError: there is no truth, it is damaged, or a file that it names is missing.
    """
    truths = sorted((folder / "truth").glob(f"*/{NAME}"))
    if not truths:
        raise DatasetError(
            f"{folder} holds no phantoms: there is no truth/*/{NAME} in it. "
            "Give the folder that was --out of mammo-node phantom."
        )
    return Cases(tuple(case for path in truths for case in _cases(folder, path, reader)), ())


def _cases(folder: Path, path: Path, reader: DicomReader) -> list[Case]:
    truth = read_listing(path, StudyTruth, missing=_CURE, damaged=_CURE)
    check_files(folder, path, truth.images, _CURE)
    breasts = {breast.laterality: breast for breast in truth.breasts}
    cases = []
    for image in truth.images:
        if image.laterality not in breasts:
            raise DatasetError(f"{path} has images of the {image.laterality} breast but no entry for it. {_CURE}")
        breast = breasts[image.laterality]
        cases.append(
            Case(
                name=f"{truth.patient}/{image.laterality}{image.view}",
                dataset="phantom",
                patients=(truth.patient,),
                exam=truth.patient,
                laterality=image.laterality,
                view=image.view,
                pathology=breast.pathology,
                birads=breast.birads,
                density=truth.density,
                marked_up=True,
                label_is_fair=True,
                official=None,
                read=partial(reader.mammogram, folder / image.file),
                read_lesions=_drawer(folder, image, reader),
                kinds=frozenset(lesion.kind for lesion in image.lesions),
            )
        )
    return cases


def _drawer(folder: Path, image: TrueImage, reader: DicomReader) -> Callable[[Mammogram], tuple[Lesion, ...]]:
    def draw(read: Mammogram) -> tuple[Lesion, ...]:
        if image.segmentation is None:
            return ()
        path = folder / image.segmentation
        if read.shape != (image.rows, image.columns):
            raise DatasetError(
                f"{folder / image.file} has {read.shape[0]} × {read.shape[1]} pixels, but its truth states "
                f"{image.rows} × {image.columns}. {_CURE}"
            )
        masks = dict(reader.segments(path, read.shape))
        if missing := [lesion.label for lesion in image.lesions if lesion.label not in masks]:
            raise DatasetError(f"{path} lacks the segment {missing[0]}. {_CURE}")
        return tuple(
            Lesion(
                mask=masks[lesion.label],
                outlined=True,
                kind=lesion.kind,
                pathology=Pathology.MALIGNANT if lesion.malignant else Pathology.BENIGN,
                birads=lesion.birads,
                subtype=lesion.subtype,
            )
            for lesion in image.lesions
        )

    return draw
