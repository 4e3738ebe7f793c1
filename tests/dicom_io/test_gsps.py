"""The presentation state: outlines at the lesions, labels beside them, and the image displayed as before."""

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian
from readings import ENCODING, STUDY, blob, header, lesion, read_image
from skimage.measure import points_in_poly
from validators import dcentvfy, dciodvfy

from dicom_io.device import is_ours
from dicom_io.errors import NotEncodable
from dicom_io.pixels.mammogram import read_mammogram
from dicom_io.results.encode import encode_results
from dicom_io.results.encoding import lesion_name, to_bytes
from dicom_io.results.gsps.state import encode_gsps
from dicom_io.results.labels import percent
from dicom_io.results.profiles import IN_PROFILES, PROFILES, ResultKind
from models.readings.exam import put_together
from models.types.birads import Category, Likelihood
from models.types.exam import ExamImage
from models.types.reading import FindingKind

UID = "1.2.826.0.1.3680043.10.2"
SHAPES = [(2294, 1914), (1501, 1199), (300, 207)]


def _two_lesions(shape: tuple[int, int] = (300, 207)) -> ExamImage:
    mass = lesion(100, 60, blob(90, 71, 1))
    cluster = lesion(20, 120, blob(33, 40, 2), FindingKind.CALCIFICATION, malignancy=0.2)
    return read_image(UID, shape, mass, cluster)


def _crowded(shape: tuple[int, int] = (1501, 1199)) -> ExamImage:
    chance = np.random.default_rng(3)
    places = [(int(chance.integers(0, shape[0] - 120)), int(chance.integers(0, shape[1] - 90))) for _ in range(12)]
    return read_image(UID, shape, *(lesion(top, left, blob(120, 90, top)) for top, left in places))


def _encoded(image: ExamImage, source: Dataset | None = None, **changes: object) -> Dataset:
    source = source or header(UID, image.reading.shape)
    return dcmread(BytesIO(to_bytes(encode_gsps(source, image, encoding=replace(ENCODING, **changes)))))


def _texts(state: Dataset) -> list[Dataset]:
    return [text for item in state.GraphicAnnotationSequence for text in item.TextObjectSequence]


def _labels(state: Dataset) -> list[Dataset]:
    return [text for text in _texts(state) if "AnchorPoint" in text]


def _box(text: Dataset) -> tuple[float, float, float, float]:
    return (*text.BoundingBoxTopLeftHandCorner, *text.BoundingBoxBottomRightHandCorner)


def a_lut(first: int, bits: int, entries: range) -> Dataset:
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    lut.add_new("LUTData", "OW", np.array(entries, dtype="<u2").tobytes())
    return lut


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_closed_line_encloses_every_lesion_at_any_image_size(shape: tuple[int, int]):
    image = _two_lesions(shape)
    graphics = {
        graphic.TrackingUID: graphic
        for item in _encoded(image).GraphicAnnotationSequence
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
    graphic = _encoded(read_image(UID, shape, lesion(0, 0, np.ones(shape, dtype=bool)))).GraphicAnnotationSequence[0]
    ring = np.array(graphic.GraphicObjectSequence[0].GraphicData).reshape(-1, 2)
    assert (ring.min(axis=0).tolist(), ring.max(axis=0).tolist()) == ([0, 0], [80, 90])


def test_labels_are_one_short_line_with_number_kind_and_score():
    assert [text.UnformattedTextValue for text in _labels(_encoded(_two_lesions()))] == [
        "1 mass, score 0.62",
        "2 calcifications, score 0.20",
    ]


def test_a_calibrated_lesion_is_labelled_with_its_probability_and_no_category():
    finding = replace(lesion(100, 60, blob(90, 71)), likelihood=Likelihood(0.123, Category.FOUR_B))
    image = read_image(UID, (300, 207), finding)
    image = replace(image, reading=replace(image.reading, spacing_mm=(0.1, 0.1)))
    (label,) = _labels(_encoded(image))
    assert label.UnformattedTextValue == "1 mass, score 0.62, probability 12 %, 9 mm"


def test_a_probability_is_never_rounded_to_certainty():
    assert [percent(p) for p in (0.00001, 0.004, 0.0994, 0.0999, 0.12, 0.99, 0.9999)] == [
        "< 0.1 %", "0.4 %", "9.9 %", "9.99 %", "12 %", "99 %", "> 99 %",
    ]  # fmt: skip


@pytest.mark.parametrize("image", [_two_lesions(), _two_lesions((1501, 1199)), _crowded()])
def test_labels_cover_no_lesion_and_no_other_label_and_stay_inside_the_image(image: ExamImage):
    rows, columns = image.reading.shape
    boxes = [_box(text) for text in _texts(_encoded(image))]
    assert all(0 <= left < right <= columns and 0 <= top < bottom <= rows for left, top, right, bottom in boxes)
    assert not any(_overlap(box, other) for box, other in combinations(boxes, 2))
    lesions = [finding.mask.box for finding in image.reading.findings]
    edges = [(box.left, box.top, box.right, box.bottom) for box in lesions]
    assert not any(_overlap(box, edge) for box in boxes[:-1] for edge in edges)


def test_a_label_is_anchored_at_its_lesion():
    image = _crowded()
    for label, finding in zip(_labels(_encoded(image)), image.reading.findings, strict=True):
        x, y = label.AnchorPoint
        box = finding.mask.box
        assert label.AnchorPointVisibility == "Y"
        assert box.left <= x <= box.right
        assert box.top <= y <= box.bottom


def test_each_kind_of_lesion_has_its_own_layer_and_colour():
    state = _encoded(_two_lesions())
    assert [layer.GraphicLayer for layer in state.GraphicLayerSequence] == ["MASSES", "CALCIFICATIONS", "NOTE"]
    colours = [tuple(layer.GraphicLayerRecommendedDisplayCIELabValue) for layer in state.GraphicLayerSequence]
    assert len(set(colours)) == 3


def test_a_presentation_state_says_research_use_only_and_names_no_person():
    state = _encoded(_two_lesions())
    words = [text.UnformattedTextValue for text in _texts(state)]
    assert words[-1] == "mammo-node: research use only"
    assert "research use only" in state.SeriesDescription
    source = header(UID, (1, 1))
    for secret in ("Müller", source.PatientID, source.AccessionNumber, source.StudyDate):
        assert not any(secret in text for text in words)


def test_a_presentation_state_belongs_to_its_study_and_image_and_is_recognised_as_the_nodes():
    state, source = _encoded(_two_lesions()), header(UID, (300, 207))
    for keyword in ("PatientName", "PatientID", "AccessionNumber", "StudyDate"):
        assert state[keyword].value == source[keyword].value
    assert (state.StudyInstanceUID, state.Modality, state.SeriesNumber, state.Laterality) == (STUDY, "PR", 9300, "R")
    (series,) = state.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    assert series.ReferencedImageSequence[0].ReferencedSOPInstanceUID == UID
    assert is_ours(state)


def test_the_same_reading_gives_the_same_bytes_and_a_later_revision_the_same_uid():
    image = _two_lesions()
    source = header(UID, (300, 207))
    assert to_bytes(encode_gsps(source, image, encoding=ENCODING)) == to_bytes(
        encode_gsps(source, image, encoding=ENCODING)
    )
    assert _encoded(image, revision=2).SOPInstanceUID == _encoded(image).SOPInstanceUID


def test_only_a_change_that_is_displayed_gives_a_new_object():
    image = _two_lesions()
    uid = _encoded(image).SOPInstanceUID
    warned = replace(image.reading, malignancy=0.9, warnings=("Mind this.",), nipple=(1, 2), prevalence=0.01)
    assert _encoded(replace(image, reading=warned)).SOPInstanceUID == uid
    scored = tuple(replace(finding, malignancy=0.1) for finding in image.reading.findings)
    rescored = replace(image, reading=replace(image.reading, findings=scored))
    assert _encoded(rescored).SOPInstanceUID != uid, "labels tell the scores"


def test_another_window_in_the_header_gives_a_new_object():
    source = header(UID, (300, 207))
    source.WindowCenter, source.WindowWidth = 500, 1000
    changed = _encoded(_two_lesions(), source)
    assert changed.SOPInstanceUID != _encoded(_two_lesions()).SOPInstanceUID
    assert changed.SoftcopyVOILUTSequence[0].WindowCenter == 500


def test_a_single_frame_tomosynthesis_keeps_the_window_and_rescale_of_its_functional_groups():
    source, group, window, rescale = header(UID, (300, 207)), Dataset(), Dataset(), Dataset()
    source.SOPClassUID, source.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.13.1.3", 1
    window.WindowCenter, window.WindowWidth = 500, 1000
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 2, -7, "US"
    group.FrameVOILUTSequence, group.PixelValueTransformationSequence = [window], [rescale]
    source.SharedFunctionalGroupsSequence = [group]
    state = _encoded(_two_lesions(), source)
    assert state.SoftcopyVOILUTSequence[0].WindowCenter == 500
    assert (state.RescaleSlope, state.RescaleIntercept) == (2, -7)


@pytest.mark.parametrize(
    ("function", "width", "is_window"),
    [("LINEAR", 0, False), ("LINEAR", 1, True), ("SIGMOID", 0, False), ("LINEAR_EXACT", 0.5, True)],
)
def test_a_window_of_width_zero_is_ignored(function: str, width: float, is_window: bool):
    source = header(UID, (300, 207))
    source.WindowCenter, source.WindowWidth, source.VOILUTFunction = 500, width, function
    assert ("SoftcopyVOILUTSequence" in _encoded(_two_lesions(), source)) is is_window


def _ramp(least: int, greatest: int) -> NDArray[np.uint16]:
    return np.linspace(least, greatest, 300 * 207).round().astype(np.uint16).reshape(300, 207)


UNFIT: dict[str, dict[str, object]] = {
    "a window above all values": {"WindowCenter": 60000, "WindowWidth": 100},
    "the window of 16 bits": {"WindowCenter": 32768, "WindowWidth": 65536},
    "a sigmoid elsewhere": {"WindowCenter": 60000, "WindowWidth": 10, "VOILUTFunction": "SIGMOID"},
    "a first window above all values": {"WindowCenter": [60000, 2000], "WindowWidth": [10, 3000]},
    "a slope that leaves nothing": {"RescaleSlope": 0, "WindowCenter": 2048, "WindowWidth": 4096},
    "an intercept beyond the window": {"RescaleIntercept": -30000, "WindowCenter": 2048, "WindowWidth": 4096},
    "16 bits over 12-bit entries": {"VOILUTSequence": [a_lut(0, 16, range(4096))]},
    "a table for 8 bits": {"VOILUTSequence": [a_lut(0, 8, range(256))]},
    "a Modality LUT for 8 bits": {"ModalityLUTSequence": [a_lut(0, 8, range(16))]},
    "no window": {},
}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("stated", UNFIT.values(), ids=UNFIT)
def test_a_window_that_does_not_fit_the_pixels_is_not_copied(
    stated: dict[str, object], photometric: str, tmp_path: Path
):
    path, source = _image_file(tmp_path, (300, 207), photometric, "none")
    del source.RescaleSlope, source.RescaleIntercept, source.RescaleType
    for keyword, value in stated.items():
        setattr(source, keyword, value)
    source.PixelData = _ramp(300, 3700).tobytes()
    source.save_as(path, enforce_file_format=True)
    read = read_mammogram(path)
    assert read.pixels.max() - read.pixels.min() > 0.5, "the reading fell back to what shows the picture"
    image = _two_lesions()
    image = replace(image, reading=replace(image.reading, tones=read.tones))
    state = tmp_path / "state.dcm"
    state.write_bytes(to_bytes(encode_gsps(source, image, encoding=ENCODING)))
    assert dciodvfy(state) == []
    shown = np.frombuffer(_rendered(path, "-p", str(state))[-300 * 207 :], np.uint8).reshape(300, 207) / 255
    # Away from the outlines and labels, which are drawn in white.
    assert np.median(np.abs(shown - read.pixels)) < 0.02


@pytest.mark.parametrize("stated", ["RGB", "YBR_FULL_422", "PALETTE COLOR"])
def test_an_image_in_colour_has_no_grayscale_presentation_state(stated: str):
    source, image = header(UID, (300, 207)), _two_lesions()
    source.PhotometricInterpretation, source.SamplesPerPixel = stated, 1 if stated == "PALETTE COLOR" else 3
    exam = put_together([image], [], {})
    kinds = {
        encoded.kind for encoded in encode_results(exam, {UID: source}, replace(ENCODING, profile=PROFILES["all"]))
    }
    assert kinds == {*IN_PROFILES} - {ResultKind.GSPS}


def test_pixels_that_are_not_square_keep_their_proportions():
    area = _encoded(_two_lesions()).DisplayedAreaSelectionSequence[0]
    assert area.PresentationPixelAspectRatio == [7, 8], "0.07 mm high and 0.08 mm wide"
    assert area.DisplayedAreaBottomRightHandCorner == [207, 300]


def test_a_header_with_nothing_but_uids_is_enough():
    source = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        source[keyword] = header(UID, (1, 1))[keyword]
    state = _encoded(_two_lesions(), source)
    assert state.PresentationLUTShape == "IDENTITY"
    assert "SoftcopyVOILUTSequence" not in state


def test_an_outline_that_cannot_be_drawn_is_refused():
    with pytest.raises(NotEncodable, match="without findings"):
        _encoded(read_image(UID, (80, 90)))
    with pytest.raises(NotEncodable, match="finding 1 reaches out"):
        _encoded(read_image(UID, (80, 90), lesion(70, 0, blob(20, 20))))
    with pytest.raises(NotEncodable, match="finding 1 is empty"):
        _encoded(read_image(UID, (80, 90), lesion(0, 0, np.zeros((5, 5), dtype=bool))))


def _image_file(folder: Path, shape: tuple[int, int], photometric: str, voi: str) -> tuple[Path, Dataset]:
    """A 12-bit image with a ramp, with a window (and its explanation), a VOI LUT or neither."""
    dataset = header(UID, shape)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "US"
    dataset.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [0.07, 0.07]
    if voi == "window":
        dataset.WindowCenter, dataset.WindowWidth, dataset.WindowCenterWidthExplanation = 900, 700, "NORMAL"
    if voi == "lut":
        lut = Dataset()
        lut.LUTDescriptor = [4096, 0, 12]
        lut.add_new("LUTData", "OW", (4095 * np.linspace(0, 1, 4096) ** 2).astype("<u2").tobytes())
        dataset.VOILUTSequence = [lut]
    ramp = np.linspace(0, 4095, shape[0] * shape[1]).reshape(shape).astype("<u2")
    dataset.add_new("PixelData", "OW", ramp.tobytes())
    path = folder / "image.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path, dataset


def _rendered(image: Path, *options: str) -> bytes:
    """The picture that DCMTK renders of an image, with or without a presentation state."""
    if shutil.which("dcmp2pgm") is None:
        pytest.skip("dcmp2pgm is not installed (Debian: dcmtk)")
    bitmap = image.with_suffix(".pgm")
    subprocess.run(["dcmp2pgm", "-q", *options, str(image), str(bitmap)], check=True, capture_output=True)
    return bitmap.read_bytes()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("voi", ["window", "lut", "none"])
def test_the_image_is_displayed_as_without_the_presentation_state(photometric: str, voi: str, tmp_path: Path):
    image, source = _image_file(tmp_path, (300, 207), photometric, voi)
    state = tmp_path / "state.dcm"
    state.write_bytes(to_bytes(encode_gsps(source, _two_lesions(), encoding=ENCODING)))
    assert _rendered(image, "-p", str(state)) == _rendered(image)
    assert len(set(_rendered(image)[-300 * 207 :])) > 50, "and it is not just black"


@pytest.mark.parametrize("image", [_two_lesions(shape) for shape in SHAPES] + [_crowded()])
def test_the_validators_find_no_errors(image: ExamImage, tmp_path: Path):
    source_path, source = _image_file(tmp_path, image.reading.shape, "MONOCHROME2", "window")
    path = tmp_path / "gsps.dcm"
    path.write_bytes(to_bytes(encode_gsps(source, image, encoding=ENCODING)))
    assert dciodvfy(path) == []
    assert dcentvfy([path, source_path]) == []
    if shutil.which("dcmpschk"):
        checked = subprocess.run(["dcmpschk", str(path)], capture_output=True, text=True, check=False)
        assert "Test passed" in checked.stdout + checked.stderr
