"""Reads an export of `mammo-node annotations export`: a node's images with experts' outlines (docs/annotation.md).

The folder holds `archive.json`, `images/*.dcm` and `segmentations/*.dcm`. Patients, exams and images have pseudonyms,
which only the node's own key can resolve; the DICOM files are as they were received. BI-RADS, density and pathology
are not known: reports are not read yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from models.datasets.case import Case, Cases, DatasetError, LeftOut, Lesion
from models.datasets.dicom import DicomReader
from models.datasets.listed import check_files, read_listing
from models.types.mammogram import Laterality, Mammogram
from models.types.reading import FindingKind
from models.types.region import Mask
from models.types.words import counted

DATASET = "archive"
NAME = "archive.json"
VERSION = 1
NO_KIND = (
    "a lesion in it is neither called a mass nor a calcification: name its segment so in the viewer and send it again"
)
_CURE = "Export it again: mammo-node annotations export, into an empty folder."


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExportedLesion(_Record):
    """A segment of the image's segmentation, by its Segment Number; `kind` is None where the kind is not stated.

    Its label is not here: it is free text, in which an expert may have written anything.
    """

    number: int
    kind: FindingKind | None


class ExportedImage(_Record):
    """One image.

    Attributes:
        rows, columns: of image and segmentation.
        file, segmentation: relative to the folder; without lesions there is no segmentation.
        annotator: the expert's pseudonym; "" where not stated.
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


@dataclass(frozen=True, eq=False)
class ArchiveImage:
    """An image that an expert corrected, exported or still in the node's archive.

    Attributes:
        place: its name in messages.
        kinds: of its lesions; None where not stated.
        read: returns the image.
        draw: takes the image that `read` returned; returns the lesions' masks, in the order of `kinds`.
    """

    place: str
    name: str
    patient: str
    exam: str
    laterality: Laterality | None
    view: str | None
    kinds: tuple[FindingKind | None, ...]
    read: Callable[[], Mammogram]
    draw: Callable[[Mammogram], Sequence[Mask]]


def cases_of(images: Iterable[ArchiveImage]) -> Cases:
    """The images as cases.

    A lesion whose kind is not stated is not used. Its image is then used only for the outlines of its other lesions (it
    is not `marked_up`), or left out if there are no others.
    """
    cases, left_out, mended = [], [], []
    for image in images:
        unknown = image.kinds.count(None)
        if unknown and unknown == len(image.kinds):
            left_out.append(LeftOut(image.place, NO_KIND))
            continue
        if unknown:
            mended.append(f"{image.place}: used for the outlines of its other lesions alone, for {NO_KIND}.")
        cases.append(_case(image, marked_up=not unknown))
    return Cases(tuple(cases), tuple(left_out), tuple(mended))


def read_archive(folder: Path, reader: DicomReader) -> Cases:
    """The images of an export; no pixels are read.

    Raises:
        DatasetError: there is no archive.json, it is damaged, or a file that it names is missing.
    """
    path = folder / NAME
    export = read_listing(
        path, Export, missing="Give the folder that was --out of mammo-node annotations export.", damaged=_CURE
    )
    if export.version != VERSION:
        raise DatasetError(f"{path} is of version {export.version}; this program reads version {VERSION}. {_CURE}")
    check_files(folder, path, export.images, _CURE)
    return cases_of([_image(folder, image, reader) for image in export.images])


def _case(image: ArchiveImage, *, marked_up: bool) -> Case:
    def read_lesions(read: Mammogram) -> tuple[Lesion, ...]:
        drawn = zip(image.draw(read), image.kinds, strict=True)
        return tuple(Lesion(mask=mask, outlined=True, kind=kind) for mask, kind in drawn if kind is not None)

    return Case(
        name=image.name,
        dataset=DATASET,
        patients=(image.patient,),
        exam=image.exam,
        laterality=image.laterality,
        view=image.view,
        pathology=None,
        birads=None,
        density=None,
        marked_up=marked_up,
        label_is_fair=True,
        official=None,
        read=image.read,
        read_lesions=read_lesions,
        kinds=frozenset(kind for kind in image.kinds if kind is not None),
    )


def _image(folder: Path, image: ExportedImage, reader: DicomReader) -> ArchiveImage:
    return ArchiveImage(
        place=image.name,
        name=image.name,
        patient=image.patient,
        exam=image.exam,
        laterality=image.laterality,
        view=image.view,
        kinds=tuple(lesion.kind for lesion in image.lesions),
        read=partial(reader.mammogram, folder / image.file),
        draw=lambda read: _masks(folder, image, reader, read.shape),
    )


def _masks(folder: Path, image: ExportedImage, reader: DicomReader, shape: tuple[int, int]) -> list[Mask]:
    if image.segmentation is None:
        return []
    path = folder / image.segmentation
    masks = [mask for _, mask in reader.segments(path, shape)]
    if len(masks) != len(image.lesions):
        raise DatasetError(
            f"{path} holds {counted(len(masks), 'segment')}, and {folder / NAME} names {len(image.lesions)}. {_CURE}"
        )
    return masks
