"""Summary of Detections and Summary of Analyses of a Mammography CAD SR (TID 4015 to 4018)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.results import codes
from dicom_io.results.cad_sr.composites import masses_of
from dicom_io.results.cad_sr.items import Part, Relation, algorithm, code_item, container_item
from dicom_io.results.cad_sr.library import ImageLibrary
from models.types.exam import ExamImage, ExamReading
from models.types.reading import BundleId


@dataclass(frozen=True)
class _Names:
    """The concept names of a summary, of its two lists and of their entries."""

    summary: Code
    succeeded: Code
    failed: Code
    performed: Code


_DETECTIONS = _Names(
    codes.SUMMARY_OF_DETECTIONS, codes.SUCCESSFUL_DETECTIONS, codes.FAILED_DETECTIONS, codes.DETECTION_PERFORMED
)
_ANALYSES = _Names(
    codes.SUMMARY_OF_ANALYSES, codes.SUCCESSFUL_ANALYSES, codes.FAILED_ANALYSES, codes.ANALYSIS_PERFORMED
)


@dataclass(frozen=True)
class _Task:
    """A detection or analysis: its code, the part of the bundle that does it, and its images."""

    what: Code
    part: Part
    images: Sequence[ExamImage]


def summary_of_detections(exam: ExamReading, library: ImageLibrary, bundle: BundleId) -> Dataset:
    """The detections: masses and calcification clusters, each in all images."""
    tasks = [_Task(what, Part.DETECTION, exam.images) for what in dict.fromkeys(codes.SINGLE_IMAGE_FINDINGS.values())]
    return _summary(_DETECTIONS, tasks, tasks, library, bundle)


def summary_of_analyses(exam: ExamReading, library: ImageLibrary, bundle: BundleId) -> Dataset:
    """The analyses: all images, and lesions, pairs of lesions and masses with calcifications if there are any."""
    tied = {finding.sop_instance_uid for tie in exam.ties for finding in tie.findings}
    calcified = {mass.sop_instance_uid for mass in masses_of(exam.images).values()}
    overall = _Task(codes.OVERALL_ANALYSIS, Part.WHOLE_IMAGES, exam.images)
    of_lesions = [
        _Task(codes.INDIVIDUAL_ANALYSIS, Part.LESIONS, [image for image in exam.images if image.reading.findings]),
        _Task(
            codes.COLLOCATION_ANALYSIS,
            Part.TWO_VIEWS,
            [image for image in exam.images if image.sop_instance_uid in tied],
        ),
        _Task(
            codes.COLLOCATION_ANALYSIS,
            Part.DETECTION,
            [image for image in exam.images if image.sop_instance_uid in calcified],
        ),
    ]
    return _summary(_ANALYSES, [overall, *of_lesions], [overall], library, bundle)


def _summary(
    named: _Names,
    succeeded: Iterable[_Task],
    failed: Iterable[_Task],
    library: ImageLibrary,
    bundle: BundleId,
) -> Dataset:
    """Lists what succeeded for the images that were read and what failed for the others. If no image was suitable: Not
    Attempted, without lists."""
    if not library.attempted:
        return code_item(named.summary, Relation.CONTAINS, codes.NOT_ATTEMPTED)
    lists = []
    if library.read:
        done = [item for task in succeeded for item in _done(named.performed, task, library)]
        lists.append(container_item(named.succeeded, Relation.INFERRED_FROM, done))
    if library.unread:
        uids = [source.SOPInstanceUID for source in library.unread]
        tried = [_performed(named.performed, task, bundle, uids, library) for task in failed]
        lists.append(container_item(named.failed, Relation.INFERRED_FROM, tried))
    return code_item(
        named.summary, Relation.CONTAINS, codes.RESULT_STATUSES[bool(library.read), bool(library.unread)], lists
    )


def _done(performed: Code, task: _Task, library: ImageLibrary) -> Iterator[Dataset]:
    """One item per bundle: an image that arrived late may have been read with newer models."""
    for bundle in dict.fromkeys(image.reading.bundle for image in task.images):
        uids = [image.sop_instance_uid for image in task.images if image.reading.bundle == bundle]
        yield _performed(performed, task, bundle, uids, library)


def _performed(performed: Code, task: _Task, bundle: BundleId, uids: Iterable[str], library: ImageLibrary) -> Dataset:
    images = [library.refer(Relation.HAS_PROPERTIES, uid) for uid in uids]
    return code_item(performed, Relation.CONTAINS, task.what, [*algorithm(bundle, task.part), *images])
