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
from dicom_io.results.sources import name_class, request_attributes, stand_in
from models.types.exam import ExamImage

SERIES_NUMBER = 9300


def encode_gsps(source: Dataset, image: ExamImage, *, encoding: Encoding, title: str = "") -> Dataset:
    """The findings of one image, in a series of its own; the image itself is shown as it is without them.

    Args:
        source: the image's header (pixel data is not looked at); of a grayscale image (`is_grey`).
        image: its reading, with at least one finding.
        title: what it is called among several images of its view ("R CC, image 2").

    Raises:
        NotEncodable: there are no findings, or a mask is empty or reaches out of the image.
    """
    check_masks(image)
    title = title or place(image)
    display = as_displayed(source, image.reading.tones)
    drawn = [(finding.kind, finding.mask, finding.malignancy, finding.likelihood) for finding in image.reading.findings]
    content = fingerprint((title, image.reading.shape, image.reading.spacing_mm, drawn), [source])
    uid = partial(encoding.lasting_uid, source.StudyInstanceUID, content, display.to_json(), image.sop_instance_uid)
    seen = stand_in(source, image.reading.shape)
    seen.SamplesPerPixel = 1
    layers, annotations = annotate(seen, image)
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[seen],
        series_instance_uid=uid("GSPS series"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid("GSPS"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=str(image.reading.bundle)[:64],
        device_serial_number=encoding.device.serial_number,
        content_label="FINDINGS",
        content_description=f"Lesions found by {image.reading.bundle}; research use only"[:64],
        content_creator_name=f"{MANUFACTURER}^",
        graphic_layers=layers,
        graphic_annotations=annotations,
        series_description=f"{title} outlines, research use only{encoding.edition}, mammo-node"[:64],
    )
    name_class(state, source)
    sign(state, source, encoding)
    state.update(request_attributes(source))
    state.PresentationCreationDate, state.PresentationCreationTime = state.ContentDate, state.ContentTime
    del state.ContentDate, state.ContentTime  # which presentation states do not have
    state.DisplayedAreaSelectionSequence[0].PresentationPixelAspectRatio = list(pixel_aspect_ratio(source))
    state.update(display)
    state.Laterality = image.laterality or ""
    return state
