"""Grayscale Softcopy Presentation State (PS3.3 §A.33.1): one image's findings as outlines with labels beside them."""

from __future__ import annotations

from functools import partial

from highdicom.pr import GrayscaleSoftcopyPresentationState
from pydicom import Dataset

from dicom_io.device import MANUFACTURER, MODEL
from dicom_io.results.encoding import Encoding, place, sign
from dicom_io.results.fingerprints import fingerprint
from dicom_io.results.gsps.display import as_displayed, pixel_aspect_ratio
from dicom_io.results.gsps.graphics import annotate
from dicom_io.results.masks import check_masks
from dicom_io.results.sources import request_attributes, set_referenced_class, stand_in
from models.types.exam import ExamImage
from models.types.words import RESEARCH_USE

SERIES_NUMBER = 9300


def encode_gsps(source: Dataset, image: ExamImage, *, encoding: Encoding, title: str = "") -> Dataset:
    """Encodes the findings of one image, in its own series; the image looks as it does without presentation state.

    Args:
        source: the header of a grayscale image (`is_grey`; pixel data is not used).
        image: its reading, with at least one finding.
        title: its name if the exam has several images of its view ("R CC, image 2"); otherwise breast and view.

    Raises:
        NotEncodable: there are no findings, or a mask is empty or extends beyond the image.
    """
    check_masks(image)
    title = title or place(image)
    display = as_displayed(source, image.reading.tones)
    labelled = [
        (finding.kind, finding.mask, finding.malignancy, finding.likelihood) for finding in image.reading.findings
    ]
    content = fingerprint((title, image.reading.shape, image.reading.spacing_mm, labelled), [source])
    uid = partial(encoding.lasting_uid, source.StudyInstanceUID, content, display.to_json(), image.sop_instance_uid)
    referenced = stand_in(source, image.reading.shape)
    referenced.SamplesPerPixel = 1
    layers, annotations = annotate(referenced, image)
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[referenced],
        series_instance_uid=uid("GSPS series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid("GSPS"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=str(image.reading.bundle)[:64],
        device_serial_number=encoding.device.serial_number,
        content_label="FINDINGS",
        content_description=f"Lesions found by {image.reading.bundle}; {RESEARCH_USE}"[:64],
        content_creator_name=f"{MANUFACTURER}^",
        graphic_layers=layers,
        graphic_annotations=annotations,
        series_description=f"{title} outlines, {RESEARCH_USE}{encoding.edition}, mammo-node"[:64],
    )
    set_referenced_class(state, source)
    sign(state, source, encoding)
    state.update(request_attributes(source))
    state.PresentationCreationDate, state.PresentationCreationTime = state.ContentDate, state.ContentTime
    del state.ContentDate, state.ContentTime  # not attributes of presentation states
    state.DisplayedAreaSelectionSequence[0].PresentationPixelAspectRatio = list(pixel_aspect_ratio(source))
    state.update(display)
    state.Laterality = image.laterality or ""
    return state
