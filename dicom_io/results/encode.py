"""Encodes all objects of a revision of a study, and reads them back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from pydicom import Dataset

from dicom_io.results.checks import check_together
from dicom_io.results.encoding import Encoding, titles_of, to_bytes
from dicom_io.results.geometry import outlined_once
from dicom_io.results.outputs import OUTPUTS, Basis
from dicom_io.results.profiles import ResultKind
from models.types.exam import ExamImage, ExamReading


@dataclass(frozen=True)
class ResultObject:
    """An encoded object.

    Attributes:
        content: the file (PS3.10).
    """

    kind: ResultKind
    sop_instance_uid: str
    content: bytes


@dataclass(frozen=True)
class _Encoded:
    """An object as a data set (without pixels if it is of an image) and as the file that is stored."""

    kind: ResultKind
    dataset: Dataset
    content: bytes


def encode_results(
    exam: ExamReading,
    sources: Mapping[str, Dataset],
    encoding: Encoding,
    predecessors: Mapping[ResultKind, Dataset] | None = None,
    rejected: Collection[str] = (),
) -> list[ResultObject]:
    """All objects of the encoding's profile, checked: those of each image with findings, then those of the exam.

    Args:
        sources: the header of each instance of the study, by SOP Instance UID.
        predecessors: the documents of the same profile that this revision replaces.
        rejected: SOP Instance UIDs that were rejected at any destination. An object that is valid again gets another
            UID.

    Raises:
        NotEncodable: an object cannot be written, a SEG does not read back as the masks it was made of, or a check
            fails (see checks.py).
    """
    exam = outlined_once(exam)
    before = predecessors or {}
    encoded: list[_Encoded] = []
    segs: dict[str, Dataset] = {}
    for image, title in zip(exam.images, titles_of(exam.images), strict=True):
        if image.reading.findings:
            of_image = list(_of_image(image, title, sources[image.sop_instance_uid], encoding, rejected))
            encoded += of_image
            for result in of_image:
                if result.kind is ResultKind.SEG:
                    segs[image.sop_instance_uid] = result.dataset
    encoded += _of_exam(Basis(exam, sources, segs, None), encoding, before, rejected)
    check_together([(result.kind, result.dataset) for result in encoded], exam, sources, before.get(ResultKind.SR))
    return [ResultObject(result.kind, result.dataset.SOPInstanceUID, result.content) for result in encoded]


def _of_image(
    image: ExamImage, title: str, source: Dataset, encoding: Encoding, rejected: Collection[str]
) -> Iterator[_Encoded]:
    """The objects of an image with findings, of the kinds that the image can have."""
    own = encoding.by_readers_of([image])
    for kind, output in OUTPUTS.items():
        if kind not in encoding.profile.kinds or output.of_image is None or not output.suits(source):
            continue
        dataset = _not_rejected(partial(output.of_image, source, image, title=title), own, rejected)
        content = to_bytes(dataset)
        output.check(content, image)
        if "PixelData" in dataset:
            del dataset.PixelData  # other objects need only its header
        yield _Encoded(kind, dataset, content)


def _of_exam(
    basis: Basis, encoding: Encoding, predecessors: Mapping[ResultKind, Dataset], rejected: Collection[str]
) -> Iterator[_Encoded]:
    """The objects of the exam, in the order of OUTPUTS."""
    with_findings = [image for image in basis.exam.images if image.reading.findings]
    for kind, output in OUTPUTS.items():
        about = with_findings if output.only_findings else basis.exam.images
        if kind not in encoding.profile.kinds or output.of_exam is None or (output.only_findings and not about):
            continue
        encode = partial(output.of_exam, replace(basis, predecessor=predecessors.get(kind)))
        avoided = () if output.of_revision else rejected
        dataset = _not_rejected(encode, encoding.by_readers_of(about), avoided)
        yield _Encoded(kind, dataset, to_bytes(dataset))


def _not_rejected(encode: Callable[..., Dataset], encoding: Encoding, rejected: Collection[str]) -> Dataset:
    """The object with the first of its UIDs that was not rejected."""
    dataset = encode(encoding=encoding)
    while dataset.SOPInstanceUID in rejected:
        encoding = replace(encoding, again=encoding.again + 1)
        dataset = encode(encoding=encoding)
    return dataset
