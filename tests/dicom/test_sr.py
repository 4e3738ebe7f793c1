from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from readings import BUNDLE, ENCODING, STUDY, blob, header, lesion, read_image

from dicom_io.device import device_uid, is_ours
from dicom_io.errors import NotEncodable
from dicom_io.results.encode import encode_results
from dicom_io.results.encoding import to_bytes
from dicom_io.results.seg import encode_seg
from dicom_io.results.sr import encode_sr
from dicom_io.results.statements import NO_FINDINGS, NOTHING_READ, RESEARCH_USE_ONLY
from models import exam as exams
from models.types import JOINING_RULE, ExamReading, FindingKind, Laterality, ReadImage, UnreadImage

SHAPE = (120, 101)
R_CC, L_CC, R_MLO, TOMO, OLD_REPORT = (f"{STUDY}.{number}" for number in range(2, 7))


def _images() -> list[ReadImage]:
    mass = lesion(40, 30, blob(31, 40, 1), malignancy=0.625)
    cluster = lesion(5, 60, blob(22, 17, 2), FindingKind.CALCIFICATION, malignancy=0.25)
    return [
        read_image(R_CC, SHAPE, mass, cluster, malignancy=0.5),
        read_image(L_CC, SHAPE, lesion(9, 8, blob(20, 20, 3)), laterality=Laterality.LEFT, malignancy=0.125),
        read_image(R_MLO, SHAPE, view="MLO", malignancy=0.75),
    ]


def _sources() -> dict[str, Dataset]:
    headers = [header(R_CC, SHAPE), header(L_CC, SHAPE, "L"), header(R_MLO, SHAPE, "R", "MLO"), *_others()]
    return {str(source.SOPInstanceUID): source for source in headers}


def _others() -> list[Dataset]:
    """A tomosynthesis and an old report, of which nothing is known but their UIDs."""
    others = []
    for uid, sop_class in ((TOMO, "1.2.840.10008.5.1.4.1.1.13.1.3"), (OLD_REPORT, "1.2.840.10008.5.1.4.1.1.88.11")):
        other = Dataset()
        other.SOPClassUID, other.SOPInstanceUID = sop_class, uid
        other.StudyInstanceUID, other.SeriesInstanceUID = STUDY, f"{uid}.1"
        others.append(other)
    return others


def _exam(images: list[ReadImage] | None = None) -> ExamReading:
    unread = [
        UnreadImage(TOMO, "tomosynthesis", "breast tomosynthesis is not read yet – 2 × 60 frames"),
        UnreadImage(OLD_REPORT, "report", "it is no image."),
    ]
    arrived = {(Laterality.RIGHT, "CC"), (Laterality.LEFT, "CC"), (Laterality.RIGHT, "MLO")}
    return exams.put_together(_images() if images is None else images, unread, arrived)


def _report(exam: ExamReading, sources: dict[str, Dataset] | None = None, **arguments: object) -> Dataset:
    objects = encode_results(exam, sources or _sources(), ENCODING, **arguments)
    return dcmread(BytesIO(objects[-1].content))


def _walk(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence", []):
        yield from _walk(child)


def _named(item: Dataset, code: str) -> list[Dataset]:
    return [
        found
        for found in _walk(item)
        if "ConceptNameCodeSequence" in found and found.ConceptNameCodeSequence[0].CodeValue == code
    ]


def _groups(report: Dataset) -> dict[str, Dataset]:
    """Measurement groups by their Tracking Identifier."""
    return {_named(group, "112039")[0].TextValue: group for group in _named(report, "125007")}


def _number(group: Dataset, code: str) -> float:
    return float(_named(group, code)[0].MeasuredValueSequence[0].NumericValue)


def _comments(report: Dataset) -> list[str]:
    return [item.TextValue for item in _named(report, "121106")]


def _evidence(document: Dataset) -> set[str]:
    return {
        str(reference.ReferencedSOPInstanceUID)
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }


def test_a_machine_wrote_it_and_nobody_verified_it():
    report = _report(_exam())
    assert report.VerificationFlag == "UNVERIFIED"
    assert "VerifyingObserverSequence" not in report
    observers = _named(report, "121005")
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in observers] == ["Device"]
    assert device_uid() == _named(report, "121012")[0].UID
    assert is_ours(report)


def test_the_document_is_a_measurement_report_in_english_on_an_imaging_procedure():
    report = _report(_exam())
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert _named(report, "121049")[0].ConceptCodeSequence[0].CodeValue == "en-US"
    assert _named(report, "121058")[0].ConceptCodeSequence[0].CodeValue == "363679005"


def test_each_lesion_has_its_score_site_and_the_tracking_uid_of_its_segment():
    images, sources = _images(), _sources()
    seg = encode_seg(sources[R_CC], images[0], encoding=ENCODING)
    groups = _groups(_report(_exam()))
    for segment, score, kind in zip(seg.SegmentSequence, (0.625, 0.25), ("129788004", "129769006"), strict=True):
        group = groups[segment.TrackingID]
        assert segment.TrackingUID == _named(group, "112040")[0].UID
        assert _number(group, "SCORE") == score
        assert _number(group, "111012") == 90
        assert _named(group, "121071")[0].ConceptCodeSequence[0].CodeValue == kind
        site = _named(group, "363698007")[0]
        assert site.ConceptCodeSequence[0].CodeValue == "76752008"
        assert _named(site, "272741003")[0].ConceptCodeSequence[0].CodeValue == "24028007"
        assert _named(group, "111001")[0].TextValue == f"{BUNDLE.name}, score of lesions"
        assert _named(group, "111003")[0].TextValue == BUNDLE.version


def test_an_outline_lies_where_its_lesion_lies():
    group = next(iter(_groups(_report(_exam())).values()))
    region = _named(group, "111030")[0]
    x, y = np.array(region.GraphicData).reshape(-1, 2).T
    assert (x.min(), y.min()) >= (30, 40)
    assert (x.max(), y.max()) <= (70, 71)
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == R_CC


def test_every_group_has_one_region_and_a_tracking_uid_of_its_own():
    """OHIF fails on a group without a region, and merges the groups that share a tracking UID."""
    groups = list(_groups(_report(_exam())).values())
    assert len(groups) == 3 + 2 + 1, "lesions, breasts, exam"
    assert all(len(_named(group, "111030")) == 1 for group in groups)
    assert len({_named(group, "112040")[0].UID for group in groups}) == len(groups)
    assert all(len(_named(group, "111030")[0].GraphicData) > 10 for group in groups), "no rectangle of its tools"


def test_lesions_come_before_scores_so_that_viewers_open_at_a_lesion():
    assert list(_groups(_report(_exam())))[-3:] == ["left breast", "right breast", "exam"]


def test_breasts_and_exam_have_the_highest_score_of_their_images():
    groups = _groups(_report(_exam()))
    assert _number(groups["left breast"], "SCORE") == 0.125
    assert _number(groups["right breast"], "SCORE") == 0.75
    assert _number(groups["exam"], "SCORE") == 0.75
    decisive = _named(groups["right breast"], "111030")[0].ContentSequence[0].ReferencedSOPSequence[0]
    assert decisive.ReferencedSOPInstanceUID == R_MLO


def test_no_category_is_implied_by_uncalibrated_scores():
    report = _report(_exam())
    assert _named(report, "111005") == []
    assert any("not calibrated" in comment and "no BI-RADS" in comment for comment in _comments(report))


def test_the_report_says_what_it_is_and_what_was_read_and_what_not():
    comments = _comments(_report(_exam()))
    assert comments[0] == RESEARCH_USE_ONLY
    assert any(str(BUNDLE) in comment for comment in comments)
    assert JOINING_RULE in comments
    assert "R CC: read; 2 findings; score 0.500." in comments
    assert "R MLO: read; no findings; score 0.750." in comments
    assert "Not read: tomosynthesis: breast tomosynthesis is not read yet - 2 x 60 frames." in comments
    assert "Not read: report: it is no image." in comments
    assert "Missing view: left MLO." in comments


def test_the_warnings_of_a_reading_stand_in_the_report():
    exam = replace(_exam(), warnings=("right CC: the breast lies on the wrong side.",))
    assert "Warning: right CC: the breast lies on the wrong side." in _comments(_report(exam))


def test_what_was_not_read_is_referred_to():
    report = _report(_exam())
    by_sentence = {item.TextValue: item for item in _named(report, "121106")}
    tomo = next(item for sentence, item in by_sentence.items() if "tomosynthesis" in sentence)
    assert tomo.ContentSequence[0].ValueType == "IMAGE"
    assert tomo.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == TOMO
    assert by_sentence["Not read: report: it is no image."].ContentSequence[0].ValueType == "COMPOSITE"


def test_sources_and_segmentations_are_evidence():
    exam = _exam()
    objects = encode_results(exam, _sources(), ENCODING)
    segs = {result.sop_instance_uid for result in objects if result.kind == "SEG"}
    assert len(segs) == 2, "one for each image with findings"
    assert _evidence(_report(exam)) == {R_CC, L_CC, R_MLO, TOMO, OLD_REPORT} | segs


def test_the_image_library_tells_breast_and_view():
    entries = _named(_report(_exam()), "126200")[0].ContentSequence
    told = [
        (_named(entry, "111027")[0].ConceptCodeSequence[0].CodeValue, _named(entry, "111031")[0].ConceptCodeSequence[0])
        for entry in entries
    ]
    assert [(side, view.CodeValue) for side, view in told] == [
        ("24028007", "399162004"),
        ("7771000", "399162004"),
        ("24028007", "399368009"),
    ]
    assert float(_named(entries[0], "111026")[0].MeasuredValueSequence[0].NumericValue) == 0.08, "horizontal"


def test_no_spacing_is_invented_where_the_header_has_none():
    sources = _sources()
    for source in sources.values():
        source.pop("ImagerPixelSpacing", None)
        source.pop("PatientOrientation", None)
    assert _named(_report(_exam(), sources), "111026") == []


def test_a_study_without_findings_says_that_detection_succeeded():
    images = [read_image(R_CC, SHAPE), read_image(R_MLO, SHAPE, view="MLO")]
    exam = exams.put_together(images, [], [(Laterality.RIGHT, "CC"), (Laterality.RIGHT, "MLO")])
    assert len(encode_results(exam, _sources(), ENCODING)) == 1, "no SEG"
    report = _report(exam)
    assert NO_FINDINGS in _comments(report)
    assert _named(report, "111017")[0].ConceptCodeSequence[0].CodeValue == "111241"
    assert set(_groups(report)) == {"right breast", "exam"}


def test_an_exam_that_was_read_in_part_is_not_reported_as_read_in_full():
    assert _named(_report(_exam()), "111017")[0].ConceptCodeSequence[0].CodeValue == "111244"


def test_a_study_of_which_nothing_could_be_read_gets_a_report_that_says_so():
    sources = {str(source.SOPInstanceUID): source for source in _others()}
    report = _report(_exam([]), sources)
    assert NOTHING_READ in _comments(report)
    assert any("breast tomosynthesis is not read yet" in comment for comment in _comments(report))
    assert _named(report, "111017")[0].ConceptCodeSequence[0].CodeValue == "111245"
    assert _evidence(report) == {TOMO, OLD_REPORT}
    assert _groups(report) == {}
    assert report.ConceptNameCodeSequence[0].CodeValue != "126000", "OHIF fails on that title without a measurement"


def test_images_without_a_side_count_for_the_exam_only():
    image = read_image(R_CC, SHAPE, lesion(40, 30, blob(31, 40)), laterality=None, view=None)
    report = _report(exams.put_together([image], [], []))
    groups = _groups(report)
    assert list(groups)[1:] == ["exam"]
    assert _named(groups["exam"], "272741003") == []


def test_a_revision_names_the_report_that_it_replaces():
    first = _report(_exam())
    second = encode_sr(_exam(), _sources(), {}, encoding=replace(ENCODING, revision=2), predecessor=first)
    replaced = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert replaced.SeriesInstanceUID == first.SeriesInstanceUID
    assert replaced.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert second.SOPInstanceUID != first.SOPInstanceUID
    assert second.SeriesInstanceUID != first.SeriesInstanceUID, "viewers show one report of a series"
    assert second.InstanceNumber == 2
    assert "PredecessorDocumentsSequence" not in first


@pytest.mark.parametrize(
    ("character_set", "name"),
    [("ISO_IR 100", "Müller^Änne"), ("ISO_IR 192", "Яблоко^Анна"), (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎")],
)
def test_patient_names_arrive_in_any_character_set(character_set: str | list[str], name: str):
    source = header(R_CC, SHAPE)
    source.SpecificCharacterSet = character_set
    source.PatientName = name
    file = BytesIO(to_bytes(_with_meta(source)))
    exam = exams.put_together([read_image(R_CC, SHAPE, lesion(1, 1, blob(9, 9)))], [], [])
    for result in encode_results(exam, {R_CC: dcmread(file)}, ENCODING):
        assert dcmread(BytesIO(result.content)).PatientName == name


def _with_meta(source: Dataset) -> Dataset:
    source.ReferringPhysicianName = ""
    source.file_meta = encode_sr(_exam(), _sources(), {}, encoding=ENCODING).file_meta
    source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
    return source


def test_the_same_reading_gives_the_same_bytes():
    once, again = (encode_results(_exam(), _sources(), ENCODING) for _ in range(2))
    assert [result.content for result in once] == [result.content for result in again]


def test_what_cannot_be_reported_is_refused():
    with pytest.raises(NotEncodable, match="at least one instance"):
        encode_sr(_exam([]), {}, {}, encoding=ENCODING)
    with pytest.raises(NotEncodable, match="not among the sources"):
        encode_sr(_exam(), {TOMO: _others()[0]}, {}, encoding=ENCODING)
    stranger = header(f"{STUDY}.99", SHAPE)
    stranger.StudyInstanceUID = "1.2.3"
    with pytest.raises(NotEncodable, match="more than one study"):
        encode_sr(_exam(), {**_sources(), f"{STUDY}.99": stranger}, {}, encoding=ENCODING)
