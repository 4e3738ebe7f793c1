from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from readings import BUNDLE, ENCODING, STUDY, blob, header, lesion, read_image
from reports import named, number, value, walk
from validators import dcentvfy, dciodvfy, dsrdump, pixelmed

from dicom_io.device import is_ours
from dicom_io.errors import NotEncodable
from dicom_io.results.cad_sr.report import encode_cad_sr
from dicom_io.results.encoding import Encoding, lesion_name, to_bytes
from dicom_io.results.seg.segmentation import encode_seg
from dicom_io.results.statements import NO_FINDINGS, NOTHING_READ
from models.readings.exam import put_together
from models.types.birads import Agreement, Assessment, Category, Concordance, Likelihood
from models.types.exam import ExamImage, ExamReading, FindingId, Tie, UnreadImage
from models.types.mammogram import Laterality
from models.types.reading import BundleId, Finding, FindingKind
from models.types.words import RESEARCH_USE_ONLY

pytestmark = pytest.mark.slow

SHAPE = (120, 101)
R_CC, L_CC, R_MLO, L_MLO, TOMO, OLD_REPORT = (f"{STUDY}.{last}" for last in range(2, 8))
PLACES = {R_CC: ("R", "CC"), L_CC: ("L", "CC"), R_MLO: ("R", "MLO"), L_MLO: ("L", "MLO")}
MASS = lesion(40, 30, blob(31, 40, 1), malignancy=0.625)
CLUSTER = lesion(5, 60, blob(22, 17, 2), FindingKind.CALCIFICATION, malignancy=0.25)
LIKELY = Likelihood(0.3, Category.FOUR_B)
TIES = (
    Tie((FindingId(R_CC, 1), FindingId(R_MLO, 1)), (30.0, 33.0), 0.7),
    Tie((FindingId(L_CC, 2), FindingId(L_MLO, 2)), (41.0, 40.0), 0.55),
)


def _sources() -> dict[str, Dataset]:
    """Headers of four views, and the UIDs alone of a tomosynthesis and an old report."""
    sources = {uid: header(uid, SHAPE, side, view) for uid, (side, view) in PLACES.items()}
    sources[R_CC].ContentDate, sources[R_CC].ContentTime = "20260301", "101315"
    for uid, sop_class in ((TOMO, "1.2.840.10008.5.1.4.1.1.13.1.3"), (OLD_REPORT, "1.2.840.10008.5.1.4.1.1.88.11")):
        sources[uid] = Dataset()
        sources[uid].SOPClassUID, sources[uid].SOPInstanceUID = sop_class, uid
        sources[uid].StudyInstanceUID, sources[uid].SeriesInstanceUID = STUDY, f"{uid}.1"
    return sources


def _image(uid: str, *findings: Finding) -> ExamImage:
    side, view = PLACES[uid]
    return read_image(uid, SHAPE, *findings, laterality=Laterality(side), view=view)


def _exam(
    findings: Mapping[str, tuple[Finding, ...]], unread: tuple[UnreadImage, ...] = (), ties: tuple[Tie, ...] = ()
) -> ExamReading:
    exam = put_together([_image(uid, *found) for uid, found in findings.items()], unread, [])
    return replace(exam, missing=(), ties=ties)


def _unread(uid: str, *, on_purpose: bool = False) -> UnreadImage:
    return UnreadImage(uid, "for-presentation", "its pixels are corrupt", on_purpose)


def _found_everywhere() -> ExamReading:
    """Calibrated, with lesions in all views, two of them seen in two views."""
    mass, cluster = (replace(finding, likelihood=LIKELY) for finding in (MASS, CLUSTER))
    exam = _exam(dict.fromkeys(PLACES, (mass, cluster)), ties=TIES)
    return replace(exam, likelihood=LIKELY)


def _found_in_one_view() -> ExamReading:
    return _exam({uid: (MASS,) if uid == L_MLO else () for uid in PLACES})


def _nothing_found() -> ExamReading:
    return _exam(dict.fromkeys(PLACES, ()))


def _one_unreadable() -> ExamReading:
    return _exam({R_CC: (MASS,), L_CC: (), R_MLO: ()}, (_unread(L_MLO),))


def _all_unreadable() -> ExamReading:
    return _exam({}, tuple(map(_unread, PLACES)))


def _not_suitable() -> ExamReading:
    return _exam({}, (UnreadImage(TOMO, "tomosynthesis", "only single images are read so far"),))


def _cad(exam: ExamReading, sources: dict[str, Dataset] | None = None, encoding: Encoding = ENCODING) -> Dataset:
    return dcmread(BytesIO(to_bytes(encode_cad_sr(exam, sources or _sources(), encoding=encoding))))


def _the(item: Dataset, code: str) -> Dataset:
    """The single item of this name."""
    (found,) = named(item, code)
    return found


def _code(item: Dataset) -> str:
    """The coded value of an item."""
    return str(item.ConceptCodeSequence[0].CodeValue)


def _at(root: Dataset, position: Sequence[int]) -> Dataset:
    """The item at a Referenced Content Item Identifier."""
    found = root
    for step in position[1:]:
        found = found.ContentSequence[step - 1]
    return found


def _images_under(cad: Dataset, container: str) -> dict[str, list[str]]:
    """The images to which the entries of a list refer, by the algorithm that was performed."""
    return {
        _code(entry): [
            _at(cad, item.ReferencedContentItemIdentifier).ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for item in entry.ContentSequence
            if "ReferencedContentItemIdentifier" in item
        ]
        for found in named(cad, container)
        for entry in found.ContentSequence
    }


def _texts(cad: Dataset) -> list[str]:
    return str(_the(cad, "111033").TextValue).splitlines()


def _outcome(cad: Dataset) -> tuple[str, str, str]:
    """CAD Processing and Findings Summary, Summary of Detections, Summary of Analyses."""
    return value(cad, "111017"), value(cad, "111064"), value(cad, "111065")


@pytest.mark.parametrize(
    "exam",
    [_found_everywhere(), _nothing_found(), _one_unreadable(), _all_unreadable(), _not_suitable()],
    ids=["all views and ties", "none", "one view, one unreadable", "all unreadable", "not suitable"],
)
def test_a_cad_report_passes_the_validators_without_errors(exam: ExamReading, tmp_path: Path):
    path = tmp_path / "cad.dcm"
    path.write_bytes(to_bytes(encode_cad_sr(exam, _sources(), encoding=ENCODING)))
    assert (dciodvfy(path), dsrdump(path), pixelmed(path)) == ([], [], [])


def test_a_cad_report_agrees_with_a_segmentation_of_its_study(tmp_path: Path):
    exam, sources = _found_in_one_view(), _sources()
    objects = [
        encode_cad_sr(exam, sources, encoding=ENCODING),
        encode_seg(sources[L_MLO], exam.images[-1], encoding=ENCODING),
    ]
    paths = [tmp_path / name for name in ("cad.dcm", "seg.dcm")]
    for path, dataset in zip(paths, objects, strict=True):
        path.write_bytes(to_bytes(dataset))
    assert dcentvfy(paths) == []


def test_the_validators_find_planted_errors(tmp_path: Path):
    cad = _cad(_found_in_one_view())
    _the(cad, "111041").ContentSequence[0].RelationshipType = "CONTAINS"
    del _the(cad, "111034").ContentSequence[0]
    del cad.VerificationFlag
    path = tmp_path / "broken.dcm"
    cad.save_as(path)
    assert dciodvfy(path) != []
    assert dsrdump(path) != []
    assert pixelmed(path) != []


def test_no_findings_partial_failure_failure_and_unsuitable_images_have_different_codes():
    succeeded, partially, failed, not_attempted = "111222", "111223", "111224", "111225"
    assert _outcome(_cad(_found_in_one_view())) == ("111242", succeeded, succeeded)
    assert _outcome(_cad(_nothing_found())) == ("111241", succeeded, succeeded)
    assert _outcome(_cad(_one_unreadable())) == ("111244", partially, partially)
    assert _outcome(_cad(_exam({R_CC: ()}, (_unread(L_CC),)))) == ("111243", partially, partially)
    assert _outcome(_cad(_all_unreadable())) == ("111245", failed, failed)
    assert _outcome(_cad(_not_suitable())) == ("111245", not_attempted, not_attempted)


def test_no_findings_failure_and_unsuitable_images_have_different_texts():
    assert NO_FINDINGS in _texts(_cad(_nothing_found()))
    assert NO_FINDINGS not in _texts(_cad(_all_unreadable()))
    assert NOTHING_READ in _texts(_cad(_all_unreadable()))
    assert "Not read: for-presentation: its pixels are corrupt." in _texts(_cad(_one_unreadable()))
    assert "Not read: tomosynthesis: only single images are read so far." in _texts(_cad(_not_suitable()))
    assert _texts(_cad(_nothing_found()))[0] == RESEARCH_USE_ONLY


def test_a_study_of_a_specimen_alone_is_reported_as_unsuitable():
    sources = {L_CC: header(L_CC, SHAPE, "L", "SPECIMEN")}
    assert _outcome(_cad(_exam({}, (_unread(L_CC),)), sources)) == ("111245", "111225", "111225")


def test_each_algorithm_names_the_images_it_succeeded_and_failed_with():
    cad = _cad(_one_unreadable())
    read = [R_CC, L_CC, R_MLO]
    assert _images_under(cad, "111063") == {"129793001": read, "129769006": read}, "masses, clusters"
    assert _images_under(cad, "111025") == {"129793001": [L_MLO], "129769006": [L_MLO]}
    assert _images_under(cad, "111062") == {"111234": read, "111233": [R_CC]}, "images were classified, then lesions"
    assert _images_under(cad, "111024") == {"111234": [L_MLO]}
    names = [item.TextValue for item in named(_the(cad, "111063"), "111001")]
    assert names == [f"{BUNDLE.name}, detection"] * 2


def test_lesions_in_two_views_are_reported_as_an_analysis_of_those_images():
    assert _images_under(_cad(_found_everywhere()), "111062")["133884007"] == list(PLACES)
    assert "133884007" not in _images_under(_cad(_found_in_one_view()), "111062")


def test_images_read_with_newer_models_are_listed_separately():
    exam = _nothing_found()
    late = replace(exam.images[-1], reading=replace(exam.images[-1].reading, bundle=BundleId("newer", "2.0")))
    cad = _cad(replace(exam, images=(*exam.images[:-1], late)))
    entries = [item for item in _the(cad, "111063").ContentSequence if _code(item) == "129793001"]
    assert [_the(entry, "111003").TextValue for entry in entries] == [BUNDLE.version, "2.0"]


def test_copies_that_are_not_read_on_purpose_are_not_reported_as_a_failure():
    raw = _unread(L_MLO, on_purpose=True)
    cad = _cad(_exam({R_CC: (), L_CC: ()}, (raw,)))
    assert _outcome(cad) == ("111241", "111222", "111222")
    assert cad.CompletionFlag == "COMPLETE"
    assert len(named(cad, "111028")[0].ContentSequence) == 2


@pytest.mark.parametrize(
    "exam", [_found_everywhere(), _one_unreadable(), _all_unreadable()], ids=["4", "3 + 1", "0 + 4"]
)
def test_every_referenced_image_is_in_the_image_library(exam: ExamReading):
    cad = _cad(exam)
    references = [item for item in walk(cad) if "ReferencedContentItemIdentifier" in item]
    assert references
    assert {_at(cad, item.ReferencedContentItemIdentifier).ValueType for item in references} == {"IMAGE"}
    assert all(item.ReferencedContentItemIdentifier[:2] == [1, 2] for item in references)
    assert all("ValueType" not in item for item in references)


def test_the_image_library_holds_side_view_orientation_dates_and_spacings():
    entries = _the(_cad(_one_unreadable()), "111028").ContentSequence
    assert [entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for entry in entries] == [R_CC, L_CC, R_MLO, L_MLO]
    left, right, cc, mlo = "80248007", "73056007", "399162004", "399368009"
    listed = [(value(entry, "111027"), value(entry, "111031")) for entry in entries]
    assert listed == [(right, cc), (left, cc), (right, mlo), (left, mlo)]
    first = entries[0]
    assert (_the(first, "111044").TextValue, _the(first, "111043").TextValue) == ("P", "L")
    assert (_the(first, "111060").Date, _the(first, "111061").Time) == ("20260301", "101112")
    assert (_the(first, "111018").Date, _the(first, "111019").Time) == ("20260301", "101315")
    assert (number(first, "111026"), number(first, "111066")) == (0.08, 0.07), "horizontal, vertical"


def test_attributes_missing_from_the_header_are_not_invented():
    bare = {L_CC: _sources()[TOMO]}
    bare[L_CC].SOPInstanceUID = L_CC
    exam = put_together([read_image(L_CC, SHAPE, laterality=None, view=None)], [], [])
    (entry,) = _the(_cad(exam, bare), "111028").ContentSequence
    assert "ContentSequence" not in entry


def test_a_lesion_has_the_names_of_its_segment_and_lies_inside_its_image():
    exam = _found_everywhere()
    cad = _cad(exam)
    findings = {_the(item, "112040").UID: item for item in named(cad, "111059")}
    assert len(findings) == len(named(cad, "111059")) == 8
    for image in exam.images:
        for place, finding in enumerate(image.reading.findings, start=1):
            name = lesion_name(image, place)
            item = findings[name.uid]
            assert _the(item, "112039").TextValue == name.identifier
            box = finding.box
            for graphic in (_the(item, "111010"), _the(item, "111041")):
                x, y = np.array(graphic.GraphicData).reshape(-1, 2).T
                assert box.left <= x.min() <= x.max() <= box.right
                assert box.top <= y.min() <= y.max() <= box.bottom
                entry = _at(cad, graphic.ContentSequence[0].ReferencedContentItemIdentifier)
                assert entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.sop_instance_uid


def test_a_mass_in_one_view_is_coded_as_density_and_in_two_views_as_mass():
    cad = _cad(_found_everywhere())
    composites = named(cad, "111015")
    assert [_code(item) for item in composites] == ["129788004", "129769006"]
    assert [number(item, "111011") for item in composites] == [70, 55]
    assert [_code(item) for item in named(composites[0], "111059")] == ["129793001", "129793001"]
    assert [_code(item) for item in named(composites[1], "111059")] == ["129769006", "129769006"]
    assert len(named(cad, "111034")) == 2 + 4, "an impression each: two tied lesions, four single findings"


def test_a_finding_matched_twice_is_written_once_and_an_unlikely_match_gives_no_composite():
    right_cc, other, third = FindingId(R_CC, 1), FindingId(R_MLO, 1), FindingId(L_MLO, 1)
    ties = (
        Tie((right_cc, other), (30.0, 33.0), 0.7),
        Tie((right_cc, third), (30.0, 31.0), 0.6),
        Tie((FindingId(L_CC, 2), FindingId(L_MLO, 2)), (41.0, 40.0), 0.41),
    )
    cad = _cad(replace(_found_everywhere(), ties=ties))
    (composite,) = named(cad, "111015")
    assert number(composite, "111011") == 60, "as sure as its weakest tie"
    assert len(named(composite, "111059")) == 3
    tracked = [_the(item, "112040").UID for item in named(cad, "111059")]
    assert len(tracked) == len(set(tracked)) == 8


def test_a_probability_of_cancer_is_written_only_for_calibrated_scores():
    calibrated, scored = _cad(_found_everywhere()), _cad(_found_in_one_view())
    assert [number(item, "111047") for item in named(calibrated, "111047")] == [30] * 8
    assert named(scored, "111047") == []
    assert number(scored, "111012") == 90, "the detector's confidence"


CODED = replace(ENCODING, coded_category=True)


def test_no_coded_category_is_written_but_the_recall_and_the_range_that_holds_the_probability():
    cad = _cad(_found_everywhere())
    assert named(cad, "111005") == []
    assert (value(cad, "RECALL"), value(cad, "CATEGORY_RANGE")) == ("ABOVE", "RANGE_4B")
    assert _the(cad, "CATEGORY_RANGE").ConceptCodeSequence[0].CodeMeaning == "> 10 to <= 50 %, the range of 4B"
    assert named(_cad(_found_in_one_view()), "RECALL") == []
    assert _cad(_found_everywhere(), encoding=CODED).SOPInstanceUID != cad.SOPInstanceUID, "other content, other UID"


def test_if_the_site_requests_it_a_coded_category_is_written_as_that_of_an_algorithm():
    cad = _cad(_found_everywhere(), encoding=CODED)
    category = _the(cad, "111005")
    assert _code(category) == "MA.II.A.5.4B"
    assert value(category, "272741003") == "63762007", "both breasts"
    beside = [item for item in _the(cad, "111017").ContentSequence if item.RelationshipType == "HAS PROPERTIES"]
    assert f"{BUNDLE.name}, score of whole images" in [item.get("TextValue") for item in beside]
    assert not any(item.get("ValueType") == "PNAME" for item in walk(cad)), "no person observed"
    assert is_ours(cad)
    assert cad.VerificationFlag == "UNVERIFIED"
    assert named(_cad(_found_in_one_view(), encoding=CODED), "111005") == []


def test_the_range_1_to_2_has_no_code_and_is_not_rounded_to_1_or_2():
    exam = replace(_nothing_found(), likelihood=Likelihood(0.001, Category.ONE_OR_TWO))
    assert named(_cad(exam, encoding=CODED), "111005") == []


def test_a_partly_read_exam_is_not_reported_as_complete():
    assert _cad(_nothing_found()).CompletionFlag == "COMPLETE"
    assert _cad(_one_unreadable()).CompletionFlag == "PARTIAL"
    assert _cad(replace(_nothing_found(), missing=("left MLO",))).CompletionFlag == "PARTIAL"


def test_an_assessment_of_a_radiologist_gives_the_same_object_and_another_finding_a_new_one():
    exam = _nothing_found()
    assessment = Assessment(Laterality.LEFT, Category.FIVE, "HL7")
    compared = replace(exam, concordances=(Concordance(Laterality.LEFT, assessment, None, Agreement.AI_LOWER),))
    revision = replace(ENCODING, revision=2)
    first, second, third = _cad(exam), _cad(compared, encoding=revision), _cad(_found_in_one_view(), encoding=revision)
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert _texts(first) == _texts(second)
    assert third.SOPInstanceUID != first.SOPInstanceUID
    assert third.SeriesInstanceUID != first.SeriesInstanceUID


def test_a_new_document_refers_to_its_predecessor_and_an_unchanged_one_to_none():
    first, sources = _cad(_nothing_found()), _sources()
    again, other = (
        encode_cad_sr(exam, sources, encoding=ENCODING, predecessor=first)
        for exam in (_nothing_found(), _found_in_one_view())
    )
    assert "PredecessorDocumentsSequence" not in again
    replaced = other.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert replaced.ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_an_exam_with_an_image_of_unknown_side_has_no_category_per_breast():
    exam = _found_everywhere()
    unknown = replace(exam, images=(replace(exam.images[0], laterality=None), *exam.images[1:]))
    for reading, sides in ((exam, 1), (unknown, 0)):
        (category,) = named(_cad(reading, encoding=CODED), "111005")
        assert len(named(category, "272741003")) == sides


def test_a_corrected_side_of_an_unread_image_gives_another_object():
    sources = _sources()
    sources[L_MLO].ImageLaterality = "R"
    assert _cad(_one_unreadable(), sources).SOPInstanceUID != _cad(_one_unreadable()).SOPInstanceUID


def test_the_same_reading_gives_the_same_bytes():
    once, again = (to_bytes(encode_cad_sr(_found_everywhere(), _sources(), encoding=ENCODING)) for _ in range(2))
    assert once == again


def test_a_reading_that_cannot_be_reported_is_refused():
    with pytest.raises(NotEncodable, match="at least one image"):
        encode_cad_sr(_exam({}, (_unread(OLD_REPORT),)), _sources(), encoding=ENCODING)
    with pytest.raises(NotEncodable, match="not among the sources"):
        encode_cad_sr(_nothing_found(), {TOMO: _sources()[TOMO]}, encoding=ENCODING)
    stranger = header(f"{STUDY}.99", SHAPE)
    stranger.StudyInstanceUID = "1.2.3"
    with pytest.raises(NotEncodable, match="more than one study"):
        encode_cad_sr(_nothing_found(), {**_sources(), f"{STUDY}.99": stranger}, encoding=ENCODING)
