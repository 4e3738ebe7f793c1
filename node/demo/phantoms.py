"""Sets of phantoms on disk: drawn by `models.phantom`, written as DICOM by `dicom_io.phantom`.

    OUT/phantoms.json                the options of the set
    OUT/studies/PATIENT/RCC.dcm …    four images, to be sent to a node or read by it
    OUT/truth/PATIENT/truth.json     the ground truth (models.datasets.phantom_truth), written last
    OUT/truth/PATIENT/RCC-SEG.dcm …  the outlines of the lesions

The truth is in a folder of its own, so that it is not sent or read together with `studies`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dicom_io.durable import write_durably
from dicom_io.phantom import VERSION, PhantomStudy, PhantomView, TrueSegment, phantom_mammogram, phantom_truth
from dicom_io.results.encoding import to_bytes
from models.datasets.case import Pathology
from models.datasets.phantom_truth import NAME, StudyTruth, TrueBreast, TrueImage, TrueLesion
from models.errors import UserError
from models.phantom.exam import PhantomExam, PhantomImage, Prevalence, category, draw_exam
from models.phantom.lesions import LesionType
from models.types.mammogram import Laterality

_MARKER = "phantoms.json"


class NotAPhantomFolder(UserError):
    """The folder holds something else; the message is for the person at the prompt."""


@dataclass(frozen=True)
class PhantomSet:
    """The options of a set: study n of equal sets is the same, independent of the number of studies."""

    seed: int
    spacing_mm: float
    prevalence: Prevalence

    def as_json(self) -> dict[str, Any]:
        return {"made_by": f"mammo-node phantom {VERSION}", **asdict(self)}


def write_set(phantoms: PhantomSet, studies: int, out: Path) -> Iterator[Path]:
    """Writes studies 1 to `studies` and yields each study's truth.json once it is written.

    Studies that an earlier run has finished are left as they are.

    Raises:
        NotAPhantomFolder: `out` holds other files, or phantoms that were made with something else.
        ValueError: a pixel size that phantoms cannot have.
    """
    _claim(out, phantoms)
    for number in range(1, studies + 1):
        patient = f"PHANTOM-{phantoms.seed}-{number:04d}"
        path = out / "truth" / patient / NAME
        if not path.exists():
            exam = draw_exam(number, phantoms.seed, phantoms.spacing_mm, phantoms.prevalence)
            study = PhantomStudy(patient, json.dumps(phantoms.as_json()))
            truth = _write_images(exam, study, out)
            write_durably(path, (truth.model_dump_json(indent=2) + "\n").encode())
        yield path


def _claim(out: Path, phantoms: PhantomSet) -> None:
    marker = out / _MARKER
    wanted = phantoms.as_json()
    if marker.is_file():
        try:
            found = json.loads(marker.read_bytes())
        except ValueError as error:
            raise NotAPhantomFolder(f"{marker} is damaged. Delete the folder, or give another one.") from error
        if found != wanted:
            raise NotAPhantomFolder(
                f"{out} holds phantoms that were made with other options ({_MARKER} has them). "
                "Give those, or another folder."
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise NotAPhantomFolder(f"{out} holds something else than phantoms. Give an empty or a new folder.")
    else:
        write_durably(marker, (json.dumps(wanted, indent=2) + "\n").encode())


def _write_images(exam: PhantomExam, study: PhantomStudy, out: Path) -> StudyTruth:
    images = tuple(_write_image(number, image, study, out) for number, image in enumerate(exam.images, start=1))
    findings = {side: exam.findings(side) for side in (Laterality.RIGHT, Laterality.LEFT)}
    return StudyTruth(
        patient=study.patient_id,
        seed=exam.seed,
        number=exam.number,
        spacing_mm=exam.images[0].spacing_mm,
        birads=category([finding for of_breast in findings.values() for finding in of_breast]),
        density=exam.density,
        breasts=tuple(
            TrueBreast(laterality=side, pathology=_pathology(found), birads=category(found))
            for side, found in findings.items()
        ),
        images=images,
    )


def _pathology(findings: tuple[LesionType, ...]) -> Pathology:
    if not findings:
        return Pathology.NORMAL
    return Pathology.MALIGNANT if any(finding.malignant for finding in findings) else Pathology.BENIGN


def _write_image(number: int, image: PhantomImage, study: PhantomStudy, out: Path) -> TrueImage:
    view = PhantomView(study, number, image.laterality, image.view, image.pixels, image.spacing_mm, image.thickness_mm)
    mammogram = phantom_mammogram(view)
    name = f"{image.laterality}{image.view}"
    file = f"studies/{study.patient_id}/{name}.dcm"
    write_durably(out / file, to_bytes(mammogram))
    segmentation = f"truth/{study.patient_id}/{name}-SEG.dcm" if image.lesions else None
    labels = [
        f"{image.laterality} {image.view} {lesion.finding.kind.in_words} {lesion.number}" for lesion in image.lesions
    ]
    if segmentation is not None:
        segments = [
            TrueSegment(label, lesion.finding.kind, lesion.mask)
            for label, lesion in zip(labels, image.lesions, strict=True)
        ]
        write_durably(out / segmentation, to_bytes(phantom_truth(mammogram, segments)))
    rows, columns = image.pixels.shape
    return TrueImage(
        file=file,
        segmentation=segmentation,
        laterality=image.laterality,
        view=image.view,
        rows=rows,
        columns=columns,
        lesions=tuple(
            TrueLesion(
                number=lesion.number,
                label=label,
                segment=segment,
                kind=lesion.finding.kind,
                malignant=lesion.finding.malignant,
                subtype=lesion.finding.subtype,
                birads=lesion.finding.birads,
                box=(lesion.mask.box.top, lesion.mask.box.left, lesion.mask.box.bottom, lesion.mask.box.right),
                area_px=lesion.mask.area_px,
                area_mm2=round(lesion.mask.area_px * image.spacing_mm**2, 2),
                behind_nipple_mm=round(lesion.behind_nipple_mm, 1),
            )
            for segment, (label, lesion) in enumerate(zip(labels, image.lesions, strict=True), start=1)
        ),
    )
