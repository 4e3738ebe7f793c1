"""What `mammo-node annotations export` wrote: a node's images with the outlines that experts drew (docs/annotation.md).

The folder holds `archive.json`, `images/*.dcm` and `segmentations/*.dcm`. Patients, exams and images have names that
only the node's own key leads back to; the DICOM files are as they were received.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.datasets.case import Case, Cases, DatasetError, LeftOut, Lesion
from models.datasets.dicom import DicomReader
from models.types import FindingKind, Laterality, Mammogram

NAME = "archive.json"
VERSION = 1
_CURE = "Export it again: mammo-node annotations export, into an empty folder."


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExportedLesion(_Record):
    """A segment of the image's segmentation; `kind` is None where nobody said what it is."""

    label: str
    kind: FindingKind | None


class ExportedImage(_Record):
    """One image.

    Attributes:
        rows, columns: of image and segmentation.
        file, segmentation: relative to the folder; without lesions there is no segmentation.
        annotator: the expert, by a name that tells nobody who; "" where not stated.
        lesions: in the order of the segmentation's segments.
    """

    name: str
    patient: str
    exam: str
    laterality: Laterality | None
    view: str | None
    rows: int
    columns: int
    file: str
    segmentation: str | None
    annotator: str
    lesions: tuple[ExportedLesion, ...]


class Export(_Record):
    """`archive.json`."""

    version: int
    intended_use: str
    images: tuple[ExportedImage, ...]


def read_archive(folder: Path, reader: DicomReader) -> Cases:
    """The images of an export; no pixels are read.

    Raises:
        DatasetError: there is no archive.json, it is damaged, or a file that it names is missing.
    """
    export = _read(folder / NAME)
    cases, left_out = [], []
    for image in export.images:
        for named in (image.file, image.segmentation):
            if named is not None and not (folder / named).is_file():
                raise DatasetError(f"{folder / named} is missing, and {folder / NAME} names it. {_CURE}")
        if image.lesions and image.segmentation is None:
            raise DatasetError(f"{folder / NAME} names lesions of {image.file} but no segmentation. {_CURE}")
        complete = all(lesion.kind is not None for lesion in image.lesions)
        if not complete:
            left_out.append(LeftOut(image.name, "a lesion in it is neither called a mass nor a calcification"))
        cases.append(
            Case(
                name=image.name,
                dataset="archive",
                patients=(image.patient,),
                exam=image.exam,
                laterality=image.laterality,
                view=image.view,
                pathology=None,
                birads=None,
                density=None,
                marked_up=complete,
                label_is_fair=True,
                official=None,
                read=_opener(folder / image.file, reader),
                read_lesions=_drawer(folder, image, reader),
                kinds=frozenset(lesion.kind for lesion in image.lesions if lesion.kind is not None),
            )
        )
    return Cases(tuple(cases), tuple(left_out))


def _read(path: Path) -> Export:
    try:
        export = Export.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}. Give the folder that was --out of mammo-node annotations export."
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DatasetError(f"{path} is damaged ({where}: {first['msg']}). {_CURE}") from error
    if export.version != VERSION:
        raise DatasetError(f"{path} is of version {export.version}; this program reads version {VERSION}. {_CURE}")
    return export


def _opener(path: Path, reader: DicomReader) -> Callable[[], Mammogram]:
    return lambda: reader.mammogram(path)


def _drawer(folder: Path, image: ExportedImage, reader: DicomReader) -> Callable[[Mammogram], tuple[Lesion, ...]]:
    def draw(read: Mammogram) -> tuple[Lesion, ...]:
        if image.segmentation is None:
            return ()
        path = folder / image.segmentation
        segments = reader.segments(path, read.shape)
        if [label for label, _ in segments] != [lesion.label for lesion in image.lesions]:
            raise DatasetError(f"{path} holds other segments than {folder / NAME} names. {_CURE}")
        return tuple(
            Lesion(mask=mask, outlined=True, kind=lesion.kind)
            for (_, mask), lesion in zip(segments, image.lesions, strict=True)
            if lesion.kind is not None
        )

    return draw
