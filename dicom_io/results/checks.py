"""The final checks of a profile's objects before they are sent: identity, references and coordinates.

The checks are independent of the encoders. Objects that fail are not sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.attributes import items, text
from dicom_io.device import is_ours
from dicom_io.errors import NotEncodable
from dicom_io.headers import stated_patient
from dicom_io.patient_identity import contradiction
from dicom_io.results import codes
from dicom_io.results.drawn_points import DrawnPoints, content, drawn_points, name_of, tracking_uid_of, within
from dicom_io.results.encoding import lesion_name
from dicom_io.results.profiles import ResultKind
from dicom_io.results.sources import demographics
from models.types.exam import ExamReading
from models.types.mammogram import Laterality
from models.types.region import Mask

_STATED = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientName")
_EDGE_PX = 2
_EVIDENCE = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")


@dataclass(frozen=True, eq=False)
class _Lesion:
    """The constraints on a lesion wherever it is drawn.

    Attributes:
        near_edge: where a point of its outline may lie: within _EDGE_PX of the edge of the mask or of its convex hull;
            bool, begins _EDGE_PX + 1 pixels above and left of the mask's box.
    """

    sop_instance_uid: str
    laterality: Laterality | None
    mask: Mask
    near_edge: NDArray[np.bool_]

    def is_drawn_at(self, xy: NDArray[np.float64]) -> bool:
        """Whether an outline (x, y, n × 2) runs along its edge, or a single point lies in its box."""
        box = self.mask.box
        if len(xy) == 1:
            return bool(((xy >= (box.left, box.top)) & (xy <= (box.right, box.bottom))).all())
        columns, rows = (np.floor(xy).astype(int) - (box.left, box.top) + _EDGE_PX + 1).T
        height, width = self.near_edge.shape
        inside = (rows >= 0) & (columns >= 0) & (rows < height) & (columns < width)
        return bool(inside.all() and self.near_edge[rows, columns].all())


def check_together(
    objects: Sequence[tuple[ResultKind, Dataset]],
    exam: ExamReading,
    sources: Mapping[str, Dataset],
    predecessor: Dataset | None,
) -> None:
    """Checks all objects of a revision for one destination.

    Args:
        objects: the encoded objects; pixels are not checked (seg.read_back does that).
        sources: the header of each instance of the study, by SOP Instance UID.
        predecessor: the report that is replaced.

    Raises:
        NotEncodable: an object is another patient's or study's, is not marked as ours, bears another's UID, refers to
            what is neither a source nor among the objects nor the predecessor, does not list its evidence, points
            outside an image or beside its lesion, names the other breast, or does not name the lesions of the reading.
    """
    _check_uids(objects, sources, predecessor)
    instances = [*sources.values(), *(dataset for _, dataset in objects), *([predecessor] if predecessor else [])]
    classes = {text(instance, "SOPInstanceUID"): text(instance, "SOPClassUID") for instance in instances}
    identities, lesions = identities_of(exam, sources), _lesions(exam)
    shapes = {image.sop_instance_uid: image.reading.shape for image in exam.images}
    for kind, dataset in objects:
        _check_identity(kind, dataset, identities)
        _check_origin(kind, dataset)
        _check_references(kind, dataset, classes)
        _check_evidence(kind, dataset)
        for place in drawn_points(dataset):
            _check_place(kind, place, shapes, lesions)
        _check_sides(kind, dataset, lesions)
    _check_lesions(objects, lesions)


def _check_uids(
    objects: Sequence[tuple[ResultKind, Dataset]], sources: Mapping[str, Dataset], predecessor: Dataset | None
) -> None:
    taken = set(sources)
    if predecessor is not None:
        taken.add(text(predecessor, "SOPInstanceUID"))
    for kind, dataset in objects:
        uid = text(dataset, "SOPInstanceUID")
        if not uid or uid in taken:
            raise NotEncodable(f"The {kind} bears the UID of another object.")
        taken.add(uid)


def identities_of(exam: ExamReading, sources: Mapping[str, Dataset]) -> Mapping[str, set[str]]:
    """What the images that were read state of study and patient; where none was, all instances of the study.

    Raises:
        NotEncodable: the instances belong to two patients or studies.
    """
    by_source = {uid: _identity(source) for uid, source in sources.items()}
    studies = {identity["StudyInstanceUID"] for identity in by_source.values()}
    apart = "StudyInstanceUID" if len(studies) > 1 else contradiction(map(stated_patient, sources.values()))
    if apart:
        raise NotEncodable(f"The instances of the study disagree in their {apart}.")
    read = {image.sop_instance_uid for image in exam.images}
    return {keyword: {by_source[uid][keyword] for uid in by_source if uid in read or not read} for keyword in _STATED}


def _identity(source: Dataset) -> dict[str, str]:
    who = demographics(source)
    who.StudyInstanceUID = source.StudyInstanceUID
    return {keyword: text(who, keyword) for keyword in _STATED}


def _check_identity(kind: ResultKind, dataset: Dataset, identities: Mapping[str, set[str]]) -> None:
    for keyword, stated in identities.items():
        if text(dataset, keyword) not in stated:
            raise NotEncodable(f"The {kind} has another {keyword} than the images it is about.")


def _check_origin(kind: ResultKind, dataset: Dataset) -> None:
    if not is_ours(dataset):
        raise NotEncodable(f"The {kind} is not marked as ours: it would come back as another maker's.")
    if text(dataset, "VerificationFlag") not in ("", "UNVERIFIED") or "VerifyingObserverSequence" in dataset:
        raise NotEncodable(f"The {kind} claims that a person verified it.")


def _check_references(kind: ResultKind, dataset: Dataset, classes: Mapping[str, str]) -> None:
    for item in within(dataset):
        if "ReferencedSOPInstanceUID" not in item:
            continue
        sop_class = classes.get(text(item, "ReferencedSOPInstanceUID"))
        if sop_class is None:
            raise NotEncodable(f"The {kind} refers to an object that is neither a source nor sent with it.")
        if text(item, "ReferencedSOPClassUID") != sop_class:
            raise NotEncodable(f"The {kind} refers to an object under another SOP class than it has.")


def _check_evidence(kind: ResultKind, dataset: Dataset) -> None:
    listed = {
        text(item, "ReferencedSOPInstanceUID")
        for keyword in _EVIDENCE
        for study in items(dataset, keyword)
        for item in within(study)
    }
    references = (item for each in content(dataset) for item in items(each, "ReferencedSOPSequence"))
    if any(text(reference, "ReferencedSOPInstanceUID") not in listed for reference in references):
        raise NotEncodable(f"The {kind} refers to an object that it does not list as evidence.")


def _check_place(
    kind: ResultKind,
    place: DrawnPoints,
    shapes: Mapping[str, tuple[int, int]],
    lesions: Mapping[str, _Lesion],
) -> None:
    if place.sop_instance_uid not in shapes:
        raise NotEncodable(f"The {kind} points into an image that was not read.")
    rows, columns = shapes[place.sop_instance_uid]
    if not len(place.xy) or not ((place.xy >= 0) & (place.xy <= (columns, rows))).all():
        raise NotEncodable(f"The {kind} points outside its image.")
    if place.tracking_uid in lesions:
        lesion = lesions[place.tracking_uid]
        if lesion.sop_instance_uid != place.sop_instance_uid or not lesion.is_drawn_at(place.xy):
            raise NotEncodable(f"The {kind} draws a lesion where it is not.")


def _check_sides(kind: ResultKind, dataset: Dataset, lesions: Mapping[str, _Lesion]) -> None:
    """Where a lesion's group states a laterality, of its finding site, it is the image's."""
    for group in content(dataset):
        if (lesion := lesions.get(tracking_uid_of(group))) is None:
            continue
        own = {codes.LATERALITIES[lesion.laterality].value} if lesion.laterality else set()
        for modifier in content(group):
            if name_of(modifier) == codes.LATERALITY.value:
                stated = {text(code, "CodeValue") for code in items(modifier, "ConceptCodeSequence")}
                if stated != own:
                    raise NotEncodable(f"The {kind} places a lesion in another breast than its image shows.")


def _check_lesions(objects: Sequence[tuple[ResultKind, Dataset]], lesions: Collection[str]) -> None:
    """SEG and SR name the lesions of the reading, each once, and so the same ones."""
    of_segs = [uid for kind, seg in objects if kind is ResultKind.SEG for uid in _segments(seg)]
    of_reports = [uid for kind, report in objects if kind is ResultKind.SR for uid in _planar_regions(report)]
    for kind, named in ((ResultKind.SEG, of_segs), (ResultKind.SR, of_reports)):
        if any(kind is written for written, _ in objects) and sorted(named) != sorted(lesions):
            raise NotEncodable(f"The lesions that the {kind} tracks are not those of the reading.")


def _lesions(exam: ExamReading) -> dict[str, _Lesion]:
    """The lesions of the exam by their tracking UIDs."""
    return {
        lesion_name(image, number).uid: _Lesion(
            image.sop_instance_uid, image.laterality, finding.mask, _near_edge(finding.mask)
        )
        for image in exam.images
        for number, finding in enumerate(image.reading.findings, start=1)
    }


def _near_edge(mask: Mask) -> NDArray[np.bool_]:
    around = _EDGE_PX + 1
    lines = np.pad(np.zeros(mask.crop.shape, dtype=np.uint8), around)
    contours, _ = cv2.findContours(np.pad(mask.crop.astype(np.uint8), around), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(lines, [*contours, cv2.convexHull(np.vstack(contours))], -1, 1)
    return cv2.dilate(lines, np.ones((2 * _EDGE_PX + 1, 2 * _EDGE_PX + 1), np.uint8)).astype(np.bool_)


def _segments(seg: Dataset) -> Iterator[str]:
    for segment in items(seg, "SegmentSequence"):
        yield text(segment, "TrackingUID")


def _planar_regions(report: Dataset) -> Iterator[str]:
    """The tracking UIDs of the groups with a lesion (TID 1410)."""
    for item in content(report):
        if any(text(template, "TemplateIdentifier") == "1410" for template in items(item, "ContentTemplateSequence")):
            yield tracking_uid_of(item)
