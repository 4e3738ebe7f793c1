"""The presentation state: outlines at the lesions and labels beside them."""

import shutil
import subprocess
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from presentation_states import UID, encoded_state, image_file, two_lesions
from pydicom import Dataset
from readings import ENCODING, STUDY, blob, header, lesion, read_image
from skimage.measure import points_in_poly
from validators import dcentvfy, dciodvfy

from dicom_io.device import is_ours
from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import lesion_name, to_bytes
from dicom_io.results.gsps.state import encode_gsps
from dicom_io.results.labels import percent
from models.types.birads import Category, Likelihood
from models.types.exam import ExamImage

SHAPES = [(2294, 1914), (1501, 1199), (300, 207)]


def _crowded(shape: tuple[int, int] = (1501, 1199)) -> ExamImage:
    chance = np.random.default_rng(3)
    places = [(int(chance.integers(0, shape[0] - 120)), int(chance.integers(0, shape[1] - 90))) for _ in range(12)]
    return read_image(UID, shape, *(lesion(top, left, blob(120, 90, top)) for top, left in places))


def texts_of(state: Dataset) -> list[Dataset]:
    return [text for item in state.GraphicAnnotationSequence for text in item.TextObjectSequence]


def _labels(state: Dataset) -> list[Dataset]:
    return [text for text in texts_of(state) if "AnchorPoint" in text]


def _box(text: Dataset) -> tuple[float, float, float, float]:
    return (*text.BoundingBoxTopLeftHandCorner, *text.BoundingBoxBottomRightHandCorner)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_closed_line_encloses_every_lesion_at_any_image_size(shape: tuple[int, int]):
    image = two_lesions(shape)
    graphics = {
        graphic.TrackingUID: graphic
        for item in encoded_state(image).GraphicAnnotationSequence
        for graphic in item.get("GraphicObjectSequence", [])
    }
    assert len(graphics) == 2
    for number, finding in enumerate(image.reading.findings, start=1):
        graphic = graphics[lesion_name(image, number).uid]
        assert (graphic.GraphicType, graphic.GraphicAnnotationUnits, graphic.GraphicFilled) == (
            "POLYLINE",
            "PIXEL",
            "N",
        )
        ring = np.array(graphic.GraphicData).reshape(-1, 2)
        assert np.array_equal(ring[0], ring[-1])
        rows, columns = np.nonzero(finding.mask.full(shape))
        # PS3.3 C.10.5: 0\0 is the upper left corner of the first pixel, so its centre is half a pixel in.
        inside = points_in_poly(np.stack([columns + 0.5, rows + 0.5], axis=1), ring)
        assert inside.mean() > 0.97


def test_a_lesion_at_the_edges_is_outlined_inside_the_image():
    shape = (90, 80)
    graphic = encoded_state(read_image(UID, shape, lesion(0, 0, np.ones(shape, dtype=bool)))).GraphicAnnotationSequence[
        0
    ]
    ring = np.array(graphic.GraphicObjectSequence[0].GraphicData).reshape(-1, 2)
    assert (ring.min(axis=0).tolist(), ring.max(axis=0).tolist()) == ([0, 0], [80, 90])


def test_labels_are_one_short_line_with_number_kind_and_score():
    assert [text.UnformattedTextValue for text in _labels(encoded_state(two_lesions()))] == [
        "1 mass, score 0.62",
        "2 calcifications, score 0.20",
    ]


def test_a_calibrated_lesion_is_labelled_with_its_probability_and_no_category():
    finding = replace(lesion(100, 60, blob(90, 71)), likelihood=Likelihood(0.123, Category.FOUR_B))
    image = read_image(UID, (300, 207), finding)
    image = replace(image, reading=replace(image.reading, spacing_mm=(0.1, 0.1)))
    (label,) = _labels(encoded_state(image))
    assert label.UnformattedTextValue == "1 mass, score 0.62, probability 12 %, 9 mm"


def test_a_probability_is_never_rounded_to_certainty():
    assert [percent(p) for p in (0.00001, 0.004, 0.0994, 0.0999, 0.12, 0.99, 0.9999)] == [
        "< 0.1 %", "0.4 %", "9.9 %", "9.99 %", "12 %", "99 %", "> 99 %",
    ]  # fmt: skip


@pytest.mark.parametrize("image", [two_lesions(), two_lesions((1501, 1199)), _crowded()])
def test_labels_cover_no_lesion_and_no_other_label_and_stay_inside_the_image(image: ExamImage):
    rows, columns = image.reading.shape
    boxes = [_box(text) for text in texts_of(encoded_state(image))]
    assert all(0 <= left < right <= columns and 0 <= top < bottom <= rows for left, top, right, bottom in boxes)
    assert not any(_overlap(box, other) for box, other in combinations(boxes, 2))
    lesions = [finding.mask.box for finding in image.reading.findings]
    edges = [(box.left, box.top, box.right, box.bottom) for box in lesions]
    assert not any(_overlap(box, edge) for box in boxes[:-1] for edge in edges)


def test_a_label_is_anchored_at_its_lesion():
    image = _crowded()
    for label, finding in zip(_labels(encoded_state(image)), image.reading.findings, strict=True):
        x, y = label.AnchorPoint
        box = finding.mask.box
        assert label.AnchorPointVisibility == "Y"
        assert box.left <= x <= box.right
        assert box.top <= y <= box.bottom


def test_each_kind_of_lesion_has_its_own_layer_and_colour():
    state = encoded_state(two_lesions())
    assert [layer.GraphicLayer for layer in state.GraphicLayerSequence] == ["MASSES", "CALCIFICATIONS", "NOTE"]
    colours = [tuple(layer.GraphicLayerRecommendedDisplayCIELabValue) for layer in state.GraphicLayerSequence]
    assert len(set(colours)) == 3


def test_a_presentation_state_says_research_use_only_and_names_no_person():
    state = encoded_state(two_lesions())
    words = [text.UnformattedTextValue for text in texts_of(state)]
    assert words[-1] == "mammo-node: research use only"
    assert "research use only" in state.SeriesDescription
    source = header(UID, (1, 1))
    for secret in ("Müller", source.PatientID, source.AccessionNumber, source.StudyDate):
        assert not any(secret in text for text in words)


def test_a_presentation_state_belongs_to_its_study_and_image_and_is_recognised_as_the_nodes():
    state, source = encoded_state(two_lesions()), header(UID, (300, 207))
    for keyword in ("PatientName", "PatientID", "AccessionNumber", "StudyDate"):
        assert state[keyword].value == source[keyword].value
    assert (state.StudyInstanceUID, state.Modality, state.SeriesNumber, state.Laterality) == (STUDY, "PR", 9300, "R")
    (series,) = state.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    assert series.ReferencedImageSequence[0].ReferencedSOPInstanceUID == UID
    assert is_ours(state)


def test_the_same_reading_gives_the_same_bytes_and_a_later_revision_the_same_uid():
    image = two_lesions()
    source = header(UID, (300, 207))
    assert to_bytes(encode_gsps(source, image, encoding=ENCODING)) == to_bytes(
        encode_gsps(source, image, encoding=ENCODING)
    )
    assert encoded_state(image, revision=2).SOPInstanceUID == encoded_state(image).SOPInstanceUID


def test_only_a_change_that_is_displayed_gives_a_new_object():
    image = two_lesions()
    uid = encoded_state(image).SOPInstanceUID
    warned = replace(image.reading, malignancy=0.9, warnings=("Mind this.",), nipple=(1, 2), prevalence=0.01)
    assert encoded_state(replace(image, reading=warned)).SOPInstanceUID == uid
    scored = tuple(replace(finding, malignancy=0.1) for finding in image.reading.findings)
    rescored = replace(image, reading=replace(image.reading, findings=scored))
    assert encoded_state(rescored).SOPInstanceUID != uid, "labels tell the scores"


def test_a_header_with_nothing_but_uids_is_enough():
    source = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        source[keyword] = header(UID, (1, 1))[keyword]
    state = encoded_state(two_lesions(), source)
    assert state.PresentationLUTShape == "IDENTITY"
    assert "SoftcopyVOILUTSequence" not in state


def test_an_outline_that_cannot_be_drawn_is_refused():
    with pytest.raises(NotEncodable, match="without findings"):
        encoded_state(read_image(UID, (80, 90)))
    with pytest.raises(NotEncodable, match="finding 1 reaches out"):
        encoded_state(read_image(UID, (80, 90), lesion(70, 0, blob(20, 20))))
    with pytest.raises(NotEncodable, match="finding 1 is empty"):
        encoded_state(read_image(UID, (80, 90), lesion(0, 0, np.zeros((5, 5), dtype=bool))))


@pytest.mark.parametrize("image", [two_lesions(shape) for shape in SHAPES] + [_crowded()])
def test_the_validators_find_no_errors(image: ExamImage, tmp_path: Path):
    source_path, source = image_file(tmp_path, image.reading.shape, "MONOCHROME2", "window")
    path = tmp_path / "gsps.dcm"
    path.write_bytes(to_bytes(encode_gsps(source, image, encoding=ENCODING)))
    assert dciodvfy(path) == []
    assert dcentvfy([path, source_path]) == []
    if shutil.which("dcmpschk"):
        checked = subprocess.run(["dcmpschk", str(path)], capture_output=True, text=True, check=False)
        assert "Test passed" in checked.stdout + checked.stderr
