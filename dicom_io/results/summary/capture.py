"""The summary page as a Secondary Capture (PS3.3 §A.8.1)."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_io.attributes import code
from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import Encoding, sides, sign
from dicom_io.results.fingerprints import exam_fingerprint
from dicom_io.results.language import ENGLISH
from dicom_io.results.lossy import lossy_compression
from dicom_io.results.sources import described_by, instance_reference, request_attributes
from dicom_io.results.summary.page import draw_page
from dicom_io.results.summary.place import Place
from models.types.exam import ExamReading
from models.types.words import RESEARCH_USE, RESEARCH_USE_ONLY

SERIES_NUMBER = 9400


def encode_summary(exam: ExamReading, sources: Mapping[str, Dataset], *, encoding: Encoding) -> Dataset:
    """Encodes the page: what was read, what was not read and why; also for a study in which nothing could be read.

    The node writes no patient data into the pixels; the header has the study's.

    Args:
        exam: the reading.
        sources: the header of each instance of the study, by SOP Instance UID.

    Raises:
        NotEncodable: there is no source to take the study from, or an image that was read has no header.
    """
    if not sources:
        raise NotEncodable("A summary page needs at least one instance of its study.")
    if any(image.sop_instance_uid not in sources for image in exam.images):
        raise NotEncodable("An image that was read is not among the sources of the summary page.")
    described = described_by(exam.images, sources)
    study, content = described.StudyInstanceUID, exam_fingerprint(exam, sources)
    if encoding.language is not ENGLISH:
        content += f" in {encoding.language.code}"
    page = Dataset()
    page.file_meta = FileMetaDataset()
    page.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    page.SOPClassUID = SecondaryCaptureImageStorage
    page.SOPInstanceUID = encoding.lasting_uid(study, content, "SC")
    page.StudyInstanceUID = study
    page.SeriesInstanceUID = encoding.lasting_uid(study, content, "SC series")
    page.SeriesNumber = SERIES_NUMBER
    page.SeriesDescription = f"AI summary{encoding.edition}, mammo-node, {RESEARCH_USE}"[:64]
    # Neither MG nor a Body Part Examined of BREAST: hanging protocols and other AI must not treat it as a view.
    page.Modality = "OT"
    page.Laterality = lateralities[0] if len(lateralities := sides(exam)) == 1 else ""  # type 2C: validators require it
    sign(page, described, encoding)
    page.update(request_attributes(described))
    _describe_image(page, exam, sources)
    _put_pixels(page, exam, sources, encoding)
    return page


def _describe_image(page: Dataset, exam: ExamReading, sources: Mapping[str, Dataset]) -> None:
    page.InstanceNumber = 1
    page.ImageType = ["DERIVED", "SECONDARY"]
    page.PatientOrientation = []
    page.ImageComments = RESEARCH_USE_ONLY
    shown = [sources[image.sop_instance_uid] for image in exam.images]
    # The images on the page may contain patient data. If one does not state whether it does, the page does not either.
    stated = {code(source, "BurnedInAnnotation") for source in shown}
    if "YES" in stated or stated <= {"NO"}:
        page.BurnedInAnnotation = "YES" if "YES" in stated else "NO"
    page.ConversionType = "WSD"  # Workstation: neither digitised nor from a video signal
    page.DateOfSecondaryCapture, page.TimeOfSecondaryCapture = page.ContentDate, page.ContentTime
    page.update(lossy_compression(shown))
    if shown:
        page.SourceImageSequence = [instance_reference(source) for source in shown]


def _put_pixels(page: Dataset, exam: ExamReading, sources: Mapping[str, Dataset], encoding: Encoding) -> None:
    places = {image.sop_instance_uid: Place(image.laterality, image.view) for image in exam.unread}
    pixels = draw_page(exam, places, encoding.bundles[0], encoding.language)
    page.Rows, page.Columns, page.SamplesPerPixel = pixels.shape
    page.PhotometricInterpretation = "RGB"
    page.PlanarConfiguration = 0
    page.BitsAllocated = page.BitsStored = 8
    page.HighBit = 7
    page.PixelRepresentation = 0
    page.PixelData = pixels.tobytes()
