"""Key Object Selection (PS3.3 §A.35.4, TID 2010): the images with findings."""

from __future__ import annotations

from collections.abc import Mapping

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom import Dataset

from dicom_io.device import MANUFACTURER
from dicom_io.errors import NotEncodable
from dicom_io.results import codes
from dicom_io.results.encoding import Encoding, sign
from dicom_io.results.fingerprints import fingerprint
from dicom_io.results.observer import device_observer
from dicom_io.results.sources import referenced_request, set_referenced_class, stand_in
from models.types.exam import ExamReading
from models.types.words import RESEARCH_USE

SERIES_NUMBER = 9500


def encode_key_objects(exam: ExamReading, sources: Mapping[str, Dataset], *, encoding: Encoding) -> Dataset:
    """The images with findings, in the order of the reading.

    Args:
        exam: the reading, with at least one finding.
        sources: the header of each instance of the study, by SOP Instance UID.

    Raises:
        NotEncodable: there are no findings, or an image with findings has no header.
    """
    found = [image for image in exam.images if image.reading.findings]
    if not found:
        raise NotEncodable("An exam without findings gets no key objects.")
    if any(image.sop_instance_uid not in sources for image in found):
        raise NotEncodable("An image with findings is not among the sources of the key objects.")
    images = [stand_in(sources[image.sop_instance_uid], image.reading.shape) for image in found]
    models = ", ".join(map(str, encoding.bundles))
    described = sources[found[0].sop_instance_uid]
    study = described.StudyInstanceUID
    content = fingerprint("images with findings", [sources[image.sop_instance_uid] for image in found])
    key_objects = KeyObjectSelectionDocument(
        evidence=images,
        content=KeyObjectSelection(
            document_title=codes.OF_INTEREST,
            referenced_objects=images,
            observer_device_context=device_observer(encoding.device),
            description=f"Images with AI findings by {models}; {RESEARCH_USE}, not for diagnosis",
        ),
        series_instance_uid=encoding.lasting_uid(study, content, "KO series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=encoding.lasting_uid(study, content, "KO"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        series_description=f"AI key images{encoding.edition}, mammo-node, {RESEARCH_USE}"[:64],
    )
    for image in found:
        set_referenced_class(key_objects, sources[image.sop_instance_uid])
    sign(key_objects, described, encoding)
    key_objects.update(referenced_request(described))
    for item in key_objects.ContentSequence:
        if item.ValueType == "IMAGE":
            del item.ConceptNameCodeSequence  # TID 2010 gives the references no name
    return key_objects
