"""Every kind of lesion has its code, colour, layer and words in the objects, and comes back as the same kind."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from cad_reports import L_CC, L_MLO, PLACES, R_CC, R_MLO, cad_exam, cad_of, cad_sources, code_of
from presentation_states import UID, encoded_state
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes as CODES
from pydicom.valuerep import validate_value
from readings import ENCODING, blob, header, lesion, read_image
from reports import named, number, report_on, some_exam
from validators import dciodvfy, dsrdump, pixelmed

from dicom_io.results import codes
from dicom_io.results.cad_sr.report import encode_cad_sr
from dicom_io.results.colours import COLOURS
from dicom_io.results.encoding import lesion_name, to_bytes
from dicom_io.results.gsps.graphics import LAYERS
from dicom_io.results.labels import lesion_label
from dicom_io.results.seg.segmentation import encode_seg
from dicom_io.segments import segments_of
from models.types.exam import ExamImage, FindingId, Tie
from models.types.reading import FindingKind

SHAPE = (120, 101)
BOTH = FindingKind.MASS_WITH_CALCIFICATIONS
CALCIFIED = lesion(40, 30, blob(31, 40, 1), BOTH)
WITHIN = lesion(50, 40, blob(12, 14, 2), FindingKind.CALCIFICATION)
ELSEWHERE = lesion(5, 60, blob(22, 17, 2), FindingKind.CALCIFICATION)
PLAIN = lesion(44, 28, blob(30, 34, 3))
DENSITY, MASS, CLUSTER, CALCIFIED_MASS = "129793001", "129788004", "129769006", "111459"


def _tie(first: tuple[str, int], second: tuple[str, int], certainty: float) -> Tie:
    return Tie((FindingId(*first), FindingId(*second)), (30.0, 31.0), certainty)


def _one_of_each() -> ExamImage:
    return read_image(
        UID, SHAPE, *(lesion(5, 5 + 30 * at, blob(22, 17, at), kind) for at, kind in enumerate(FindingKind))
    )


def _segmentation(image: ExamImage) -> Dataset:
    return dcmread(BytesIO(to_bytes(encode_seg(header(UID, SHAPE), image, encoding=ENCODING))))


@pytest.mark.parametrize("kind", FindingKind)
def test_every_kind_has_a_code_a_colour_a_layer_and_a_name_that_fit(kind: FindingKind) -> None:
    for table in (codes.FINDINGS, codes.SINGLE_IMAGE_FINDINGS, COLOURS, LAYERS):
        assert kind in table
    validate_value("CS", LAYERS[kind], 2)
    image = read_image(UID, SHAPE, lesion(5, 5, blob(22, 17), kind))
    validate_value("LO", lesion_name(image, 1).label, 2)
    assert f"1 {kind.in_words}, " in lesion_label(image, 1)


def test_codes_colours_and_layers_tell_the_kinds_apart() -> None:
    for table in (codes.FINDINGS, COLOURS, LAYERS):
        assert len(set(table.values())) == len(FindingKind)


def test_the_codes_are_those_of_the_standards_context_groups() -> None:
    """PS3.16: CID 6014 for findings of one image, CID 6016 for composites and CID 6054 for breast imaging findings."""
    single, composite, breast = (
        {concept.value for concept in getattr(CODES, f"cid{number}").concepts.values()} for number in (6014, 6016, 6054)
    )
    for kind in FindingKind:
        assert codes.SINGLE_IMAGE_FINDINGS[kind].value in single
        assert codes.FINDINGS[kind].value in composite & breast


def test_a_segment_of_every_kind_is_read_back_as_that_kind() -> None:
    assert [segment.kind for segment in segments_of(_segmentation(_one_of_each()))] == list(FindingKind)


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("Mass 1", FindingKind.MASS),
        ("mass with calcifications", BOTH),
        ("Calcified mass", BOTH),
        ("MASS + microcalcs", BOTH),
        ("mass without calcifications", FindingKind.MASS),
        ("non-calcified mass", FindingKind.MASS),
        ("mass, no suspicious calcifications", FindingKind.MASS),
        ("Calcifications outside of a mass", FindingKind.CALCIFICATION),
        ("calcifications, no mass", FindingKind.CALCIFICATION),
        ("microcalcs", FindingKind.CALCIFICATION),
        ("Tumour", FindingKind.MASS),
        ("nodule 2", FindingKind.MASS),
        ("Segment 1", None),
        ("no calcifications", None),
    ],
)
def test_a_segment_without_a_known_code_has_the_kind_that_its_label_names(label: str, kind: FindingKind | None) -> None:
    seg = _segmentation(read_image(UID, SHAPE, PLAIN))
    (segment,) = seg.SegmentSequence
    segment.SegmentLabel, segment.SegmentDescription = label, ""
    coded = segment.SegmentedPropertyTypeCodeSequence[0]
    coded.CodeValue, coded.CodeMeaning = "85756007", "Tissue"
    assert [found.kind for found in segments_of(seg)] == [kind]


def test_each_kind_has_a_layer_of_its_own_in_the_presentation_state() -> None:
    layers = [item.GraphicLayer for item in encoded_state(_one_of_each()).GraphicLayerSequence]
    assert layers == [*LAYERS.values(), "NOTE"]


def test_the_measurement_report_names_the_finding_of_every_kind() -> None:
    report = report_on(some_exam([read_image(R_CC, SHAPE, *_one_of_each().reading.findings)]))
    assert [code_of(item) for item in named(report, "121071")] == [codes.FINDINGS[kind].value for kind in FindingKind]


EXAMS = {
    "in one view": cad_exam({**dict.fromkeys(PLACES, ()), R_CC: (CALCIFIED, WITHIN, ELSEWHERE)}),
    "in the only image": cad_exam({R_CC: (CALCIFIED, WITHIN)}),
    "in two views": cad_exam(
        dict.fromkeys((R_CC, R_MLO), (CALCIFIED, WITHIN)),
        ties=(_tie((R_CC, 1), (R_MLO, 1), 0.7), _tie((R_CC, 2), (R_MLO, 2), 0.6)),
    ),
    "as a plain mass in the other view": cad_exam(
        {R_CC: (CALCIFIED, WITHIN), R_MLO: (PLAIN,)}, ties=(_tie((R_MLO, 1), (R_CC, 1), 0.7),)
    ),
    "as calcifications alone in the other view": cad_exam(
        {R_CC: (CALCIFIED, WITHIN), R_MLO: (WITHIN,)}, ties=(_tie((R_CC, 2), (R_MLO, 1), 0.6),)
    ),
    "without its calcifications": cad_exam({L_CC: (CALCIFIED,), L_MLO: (CALCIFIED,)}),
}
COMPOSITES = {
    "in one view": [(CALCIFIED_MASS, "111157", None, [DENSITY, CLUSTER])],
    "in the only image": [(CALCIFIED_MASS, "111156", None, [DENSITY, CLUSTER])],
    "in two views": [(CALCIFIED_MASS, "111158", 60, [DENSITY, DENSITY, CLUSTER, CLUSTER])],
    "as a plain mass in the other view": [(CALCIFIED_MASS, "111158", 70, [DENSITY, DENSITY, CLUSTER])],
    "as calcifications alone in the other view": [(CALCIFIED_MASS, "111158", 60, [DENSITY, CLUSTER, CLUSTER])],
    "without its calcifications": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMS)
def test_a_mass_with_calcifications_is_a_composite_of_both_in_the_cad_report(name: str) -> None:
    cad = cad_of(EXAMS[name])
    written = [
        (
            code_of(composite),
            code_of(named(composite, "111057")[0]),
            number(composite, "111011") if named(composite, "111011") else None,
            [code_of(finding) for finding in named(composite, "111059")],
        )
        for composite in named(cad, "111015")
    ]
    assert written == COMPOSITES[name]
    findings = sum(len(image.reading.findings) for image in EXAMS[name].images)
    tracked = [item.UID for item in named(cad, "112040")]
    assert len(tracked) == len(set(tracked)) == findings, "each finding once"


@pytest.mark.slow
def test_reports_of_masses_with_calcifications_pass_the_validators(tmp_path: Path) -> None:
    paths = [tmp_path / f"{at}.dcm" for at in range(len(EXAMS))]
    for path, exam in zip(paths, EXAMS.values(), strict=True):
        path.write_bytes(to_bytes(encode_cad_sr(exam, cad_sources(), encoding=ENCODING)))
    measured = tmp_path / "sr.dcm"
    report_on(some_exam([read_image(R_CC, SHAPE, *_one_of_each().reading.findings)])).save_as(measured)
    assert pixelmed(*paths, measured) == []
    assert [(dciodvfy(path), dsrdump(path)) for path in (*paths, measured)] == [([], [])] * (len(EXAMS) + 1)


@pytest.mark.slow
def test_segmentation_and_presentation_state_of_every_kind_pass_dciodvfy(tmp_path: Path) -> None:
    for at, dataset in enumerate((_segmentation(_one_of_each()), encoded_state(_one_of_each()))):
        dataset.save_as(tmp_path / f"{at}.dcm")
        assert dciodvfy(tmp_path / f"{at}.dcm") == []


MASS_ONLY, CALCIFICATIONS = FindingKind.MASS, FindingKind.CALCIFICATION


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("Lesion no. 1 mass", MASS_ONLY),
        ("Finding No 3: mass, left", MASS_ONLY),
        ("no. 2 calcifications", CALCIFICATIONS),
        ("Mass no.2 with calcs", BOTH),
        ("mass no 4", MASS_ONLY),
        ("noncalcified mass", MASS_ONLY),
        ("non-calcified mass", MASS_ONLY),
        ("uncalcified mass", MASS_ONLY),
        ("calcified mass", BOTH),
        ("mass free of calcifications", MASS_ONLY),
        ("calcification-free mass", MASS_ONLY),
        ("mass w/o calcs", MASS_ONLY),
        ("mass, negative for calcifications", MASS_ONLY),
        ("mass lacking microcalcifications", MASS_ONLY),
        ("mass not associated with calcification", MASS_ONLY),
        ("mass without any suspicious pleomorphic calcifications", MASS_ONLY),
        ("mass, calcifications not seen", MASS_ONLY),
        ("Calcifications: none. Mass", MASS_ONLY),
        ("mass without calcification or distortion", MASS_ONLY),
        ("mass without spiculation and with calcs", BOTH),
        ("no skin thickening, mass with calcs", BOTH),
        ("microcalcifications outside of a mass", CALCIFICATIONS),
        ("not a mass but calcs", CALCIFICATIONS),
        ("calcs in mass", BOTH),
        ("mass or calcification", None),
        ("mass vs. calcification", None),
        ("neither mass nor calcs", None),
        ("no mass or calcifications", None),
        ("non-mass enhancement", None),
    ],
)
def test_an_experts_label_gives_the_kind_that_it_says_and_not_what_it_says_is_absent(
    label: str, kind: FindingKind | None
) -> None:
    item = Dataset()
    item.SegmentNumber = 1
    item.SegmentLabel = label
    dataset = Dataset()
    dataset.SegmentSequence = [item]
    assert [segment.kind for segment in segments_of(dataset)] == [kind]
