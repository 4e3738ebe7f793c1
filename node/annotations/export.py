"""Corrected images as a folder that `--data archive:FOLDER` reads (models/datasets/archive.py)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread

from dicom_io.case_reader import CaseReader
from dicom_io.segmentations import images_of_frames, of_one_image, shape_of
from models.datasets.archive import NAME, VERSION, Export, ExportedImage, ExportedLesion
from models.datasets.case import LeftOut
from models.datasets.own.writing import Layout, write_cases
from models.errors import UserError
from models.types.words import RESEARCH_USE_ONLY
from node.annotations.archive_cases import TrueImage, cases_of_images

IMAGES = "images"
SEGMENTATIONS = "segmentations"


class NotEmpty(UserError):
    """The export folder is not empty."""


def export(images: Sequence[TrueImage], data_dir: Path, out: Path) -> None:
    """Copies images and segmentations as they were received, then writes archive.json.

    A segmentation of several images is written once per image, with only the frames of that image.

    Raises:
        NotEmpty: `out` is not empty; files of two exports must not be mixed.
        NotReadable: a segmentation has become unreadable.
    """
    must_be_empty(out)
    for folder in (IMAGES, SEGMENTATIONS):
        (out / folder).mkdir(parents=True)
    written = tuple(_export_one(image, data_dir, out) for image in images)
    written_export = Export(version=VERSION, intended_use=RESEARCH_USE_ONLY, images=written)
    (out / NAME).write_text(written_export.model_dump_json(indent=2) + "\n", encoding="utf-8")


def export_as(layout: Layout, images: Sequence[TrueImage], data_dir: Path, out: Path) -> tuple[LeftOut, ...]:
    """Writes the images as pictures in the layout of other programs; returns those without a lesion of a known kind.

    Raises:
        NotEmpty: `out` is not empty.
        DatasetError: an image is missing or damaged.
    """
    must_be_empty(out)
    out.mkdir(parents=True, exist_ok=True)
    cases = cases_of_images(images, data_dir, CaseReader())
    write_cases(cases.cases, layout, out)
    return cases.left_out


def must_be_empty(out: Path) -> None:
    """Raises NotEmpty."""
    if out.exists() and any(out.iterdir()):
        raise NotEmpty(f"{out} is not empty: give a new or an empty folder.")


def _export_one(truth: TrueImage, data_dir: Path, out: Path) -> ExportedImage:
    file = f"{IMAGES}/{truth.name}.dcm"
    shutil.copyfile(data_dir / truth.image.image_path, out / file)
    segmentation = None
    if truth.lesions:
        segmentation = f"{SEGMENTATIONS}/{truth.name}.dcm"
        _copy_segmentation(truth, data_dir / truth.image.correction_path, out / segmentation)
    rows, columns = shape_of(dcmread(out / file, stop_before_pixels=True))
    return ExportedImage(
        name=truth.name,
        patient=truth.patient,
        exam=truth.exam,
        laterality=truth.image.laterality,
        view=truth.image.view,
        rows=rows,
        columns=columns,
        file=file,
        segmentation=segmentation,
        annotator=truth.annotator,
        lesions=tuple(ExportedLesion(number=lesion.segment.number, kind=lesion.kind) for lesion in truth.lesions),
    )


def _copy_segmentation(truth: TrueImage, source: Path, target: Path) -> None:
    dataset = dcmread(source)
    if len(set(images_of_frames(dataset))) == 1:
        shutil.copyfile(source, target)
    else:
        of_one_image(dataset, truth.image.image_uid).save_as(target, enforce_file_format=True)
