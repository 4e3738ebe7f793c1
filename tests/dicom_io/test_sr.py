from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from readings import BUNDLE, DEVICE, ENCODING, STUDY, blob, header, lesion, read_image
from reports import (
    L_CC,
    OLD_REPORT,
    R_CC,
    R_MLO,
    SHAPE,
    TOMO,
    comments_of,
    evidence,
    groups_of,
    named,
    number,
    other_sources,
    report_on,
    some_exam,
    some_images,
    some_sources,
    value,
)

from dicom_io.device import is_ours
from dicom_io.errors import NotEncodable
from dicom_io.results.encode import encode_results
from dicom_io.results.encoding import to_bytes
from dicom_io.results.profiles import PROFILES, ResultKind, profile_of
from dicom_io.results.seg.segmentation import encode_seg
from dicom_io.results.sr.report import encode_sr
from dicom_io.results.statements import NO_FINDINGS, NOTHING_READ, statements
from models.readings import exam as exams
from models.types.exam import JOINING_RULE
from models.types.mammogram import Laterality
from models.types.reading import BundleId
from models.types.words import RESEARCH_USE_ONLY

pytestmark = pytest.mark.slow


def test_the_report_states_a_device_as_its_observer_and_is_unverified():
    report = report_on(some_exam())
    assert report.VerificationFlag == "UNVERIFIED"
    assert "VerifyingObserverSequence" not in report
    observers = named(report, "121005")
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in observers] == ["Device"]
    assert DEVICE.uid == named(report, "121012")[0].UID
    assert is_ours(report)


def test_the_document_is_a_measurement_report_in_english_on_an_imaging_procedure():
    report = report_on(some_exam())
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert named(report, "121049")[0].ConceptCodeSequence[0].CodeValue == "en-US"
    assert named(report, "121058")[0].ConceptCodeSequence[0].CodeValue == "363679005"


def test_each_lesion_has_its_score_site_and_the_tracking_uid_of_its_segment():
    images, sources = some_images(), some_sources()
    seg = encode_seg(sources[R_CC], images[0], encoding=ENCODING)
    groups = groups_of(report_on(some_exam()))
    for segment, score, kind in zip(seg.SegmentSequence, (0.625, 0.25), ("129788004", "129769006"), strict=True):
        group = groups[segment.TrackingID]
        assert segment.TrackingUID == named(group, "112040")[0].UID
        assert number(group, "SCORE") == pytest.approx(score, abs=0.006), "as a person reads it"
        assert number(group, "111012") == 90
        assert named(group, "121071")[0].ConceptCodeSequence[0].CodeValue == kind
        site = named(group, "363698007")[0]
        assert site.ConceptCodeSequence[0].CodeValue == "76752008"
        assert named(site, "272741003")[0].ConceptCodeSequence[0].CodeValue == "24028007"
        assert named(group, "111001")[0].TextValue == f"{BUNDLE.name}, score of lesions"
        assert named(group, "111003")[0].TextValue == BUNDLE.version


def test_every_group_names_the_algorithm_with_its_version():
    """IHE AIR, section 6.5.3: a reader of a value must see which algorithm computed it."""
    for name, group in groups_of(report_on(some_exam())).items():
        assert named(group, "111001")[0].TextValue.startswith(BUNDLE.name), name
        assert named(group, "111003")[0].TextValue == BUNDLE.version


def test_report_and_segmentations_name_the_device_that_made_them():
    for result in encode_results(some_exam(), some_sources(), ENCODING):
        (equipment,) = dcmread(BytesIO(result.content)).ContributingEquipmentSequence
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert equipment.DeviceUID == DEVICE.uid
        assert str(BUNDLE) in equipment.SoftwareVersions


def test_an_outline_lies_at_the_place_of_its_lesion():
    group = next(iter(groups_of(report_on(some_exam())).values()))
    region = named(group, "111030")[0]
    x, y = np.array(region.GraphicData).reshape(-1, 2).T
    assert (x.min(), y.min()) >= (30, 40)
    assert (x.max(), y.max()) <= (70, 71)
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == R_CC


def test_every_drawn_group_has_one_region_and_every_group_a_tracking_uid_of_its_own():
    """OHIF fails on a group without a region, and merges the groups that share a tracking UID."""
    report = report_on(some_exam())
    groups = list(groups_of(report).values())
    assert len(groups) == 3 + 2 + 1, "lesions, breasts, exam"
    drawn = list(named(report, "126010")[0].ContentSequence)
    assert [len(named(group, "111030")) for group in drawn] == [1, 1, 1], "the lesions"
    assert [len(named(group, "111030")) for group in groups if group not in drawn] == [0, 0, 0]
    assert len({named(group, "112040")[0].UID for group in groups}) == len(groups)
    assert all(len(named(group, "111030")[0].GraphicData) > 10 for group in drawn), "no rectangle of its tools"


def test_lesions_precede_scores_so_that_viewers_open_at_a_lesion():
    assert list(groups_of(report_on(some_exam())))[-3:] == ["left breast", "right breast", "exam"]


def test_breasts_and_exam_have_the_highest_score_of_their_images():
    groups = groups_of(report_on(some_exam()))
    assert number(groups["left breast"], "SCORE") == 0.12
    assert number(groups["right breast"], "SCORE") == 0.75
    assert number(groups["exam"], "SCORE") == 0.75
    asked = replace(ENCODING, profile=profile_of("ohif", draws_exam=True))
    drawn = groups_of(report_on(some_exam(), encoding=asked))
    decisive = named(drawn["right breast"], "111030")[0].ContentSequence[0].ReferencedSOPSequence[0]
    assert decisive.ReferencedSOPInstanceUID == R_MLO


def test_no_category_is_implied_by_uncalibrated_scores():
    report = report_on(some_exam())
    assert named(report, "111005") == []
    assert any("not calibrated" in comment and "no BI-RADS" in comment for comment in comments_of(report))


def test_the_report_states_its_purpose_and_which_images_were_read_and_which_not():
    comments = comments_of(report_on(some_exam()))
    assert comments[0] == RESEARCH_USE_ONLY
    assert any(str(BUNDLE) in comment for comment in comments)
    assert JOINING_RULE in comments
    assert "R CC: read; 2 findings; score 0.50." in comments
    assert "R MLO: read; no findings; score 0.75." in comments
    assert "Not read: tomosynthesis: breast tomosynthesis is not read yet - 2 x 60 frames." in comments
    assert "Not read: report: it is no image." in comments
    assert "Missing view: left MLO." in comments


def test_a_report_with_outlines_warns_of_pixels_that_are_not_square():
    images = some_images()
    images[0] = replace(images[0], reading=replace(images[0].reading, spacing_mm=(0.07, 0.08)))
    images[1] = replace(images[1], reading=replace(images[1].reading, spacing_mm=(0.07, 0.07)))
    images[2] = replace(images[2], reading=replace(images[2].reading, spacing_mm=(0.07, 0.08)))
    warnings = [statement for statement in statements(some_exam(images), BUNDLE) if "not square" in statement.sentence]
    assert [each.sop_instance_uid for each in warnings] == [R_CC]


def test_the_report_contains_the_warnings_of_a_reading():
    exam = replace(some_exam(), warnings=("right CC: the breast lies on the wrong side.",))
    assert "Warning: right CC: the breast lies on the wrong side." in comments_of(report_on(exam))


def test_unread_images_are_referenced():
    report = report_on(some_exam())
    by_sentence = {item.TextValue: item for item in named(report, "121106")}
    tomo = next(item for sentence, item in by_sentence.items() if "tomosynthesis" in sentence)
    assert tomo.ContentSequence[0].ValueType == "IMAGE"
    assert tomo.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == TOMO
    assert by_sentence["Not read: report: it is no image."].ContentSequence[0].ValueType == "COMPOSITE"


def test_source_images_and_segmentations_are_listed_as_evidence():
    exam = some_exam()
    objects = encode_results(exam, some_sources(), ENCODING)
    segs = {result.sop_instance_uid for result in objects if result.kind == "SEG"}
    assert len(segs) == 2, "one for each image with findings"
    assert evidence(report_on(exam)) == {R_CC, L_CC, R_MLO, TOMO, OLD_REPORT} | segs


def test_the_image_library_states_breast_and_view():
    entries = named(report_on(some_exam()), "126200")[0].ContentSequence
    library = [
        (named(entry, "111027")[0].ConceptCodeSequence[0].CodeValue, named(entry, "111031")[0].ConceptCodeSequence[0])
        for entry in entries
    ]
    assert [(side, view.CodeValue) for side, view in library] == [
        ("24028007", "399162004"),
        ("7771000", "399162004"),
        ("24028007", "399368009"),
    ]
    assert float(named(entries[0], "111026")[0].MeasuredValueSequence[0].NumericValue) == 0.08, "horizontal"


def test_no_spacing_is_written_if_the_header_has_none():
    sources = some_sources()
    for source in sources.values():
        source.pop("ImagerPixelSpacing", None)
        source.pop("PatientOrientation", None)
    assert named(report_on(some_exam(), sources), "111026") == []


def test_the_report_on_a_study_without_findings_states_that_detection_succeeded():
    images = [read_image(R_CC, SHAPE), read_image(R_MLO, SHAPE, view="MLO")]
    exam = exams.put_together(images, [], [(Laterality.RIGHT, "CC"), (Laterality.RIGHT, "MLO")])
    assert len(encode_results(exam, some_sources(), ENCODING)) == 1, "no SEG"
    report = report_on(exam)
    assert NO_FINDINGS in comments_of(report)
    assert named(report, "111017")[0].ConceptCodeSequence[0].CodeValue == "111241"
    assert set(groups_of(report)) == {"right breast", "exam"}


def test_an_exam_that_was_read_in_part_is_not_reported_as_read_in_full():
    assert named(report_on(some_exam()), "111017")[0].ConceptCodeSequence[0].CodeValue == "111244"


def test_a_study_without_a_readable_image_has_a_report_that_states_it():
    sources = {str(source.SOPInstanceUID): source for source in other_sources()}
    report = report_on(some_exam([]), sources)
    assert NOTHING_READ in comments_of(report)
    assert any("breast tomosynthesis is not read yet" in comment for comment in comments_of(report))
    assert named(report, "111017")[0].ConceptCodeSequence[0].CodeValue == "111245"
    assert evidence(report) == {TOMO, OLD_REPORT}
    assert groups_of(report) == {}
    assert report.ConceptNameCodeSequence[0].CodeValue != "126000", "OHIF fails on that title without a measurement"


def test_images_without_a_side_count_only_for_the_exam():
    image = read_image(R_CC, SHAPE, lesion(40, 30, blob(31, 40)), laterality=None, view=None)
    report = report_on(exams.put_together([image], [], []))
    groups = groups_of(report)
    assert list(groups)[1:] == ["exam"]
    assert named(groups["exam"], "272741003") == []


def test_an_image_of_unknown_side_adds_no_breast_to_the_report():
    images = [read_image(R_CC, SHAPE), read_image(R_MLO, SHAPE, laterality=None, view=None, malignancy=0.9)]
    exam = replace(some_exam(images))
    objects = encode_results(exam, some_sources(), replace(ENCODING, profile=PROFILES["all"]))
    written = {each.kind: dcmread(BytesIO(each.content)) for each in objects}
    groups = groups_of(written[ResultKind.SR])
    assert named(groups["exam"], "272741003") == [], "its score is that of the image whose side nobody knows"
    assert value(groups["right breast"], "272741003") == "24028007"
    assert written[ResultKind.SC].Laterality == ""


def test_objects_name_the_models_that_read_their_images():
    newer = BundleId("newer", "2.0")
    images = some_images()
    images[1] = replace(images[1], reading=replace(images[1].reading, bundle=newer))
    objects = encode_results(some_exam(images), some_sources(), replace(ENCODING, profile=PROFILES["all"]))
    versions = [(each.kind, list(dcmread(BytesIO(each.content)).SoftwareVersions)[1:]) for each in objects]
    old, both = [str(BUNDLE)], [str(BUNDLE), str(newer)]
    assert [models for kind, models in versions if kind is ResultKind.SEG] == [old, [str(newer)]]
    assert [models for kind, models in versions if kind is ResultKind.GSPS] == [old, [str(newer)]]
    exams = {kind: models for kind, models in versions if kind not in (ResultKind.SEG, ResultKind.GSPS)}
    assert exams == dict.fromkeys((ResultKind.CAD_SR, ResultKind.SC, ResultKind.KO, ResultKind.SR), both)


def test_an_image_keeps_its_segmentation_when_others_are_read_by_newer_models():
    images = some_images()
    later = [replace(images[2], reading=replace(images[2].reading, bundle=BundleId("newer", "2.0"))), *images[:2]]
    first, second = (encode_results(some_exam(each), some_sources(), ENCODING)[:2] for each in (images, later))
    assert [each.sop_instance_uid for each in first] == [each.sop_instance_uid for each in second]


def test_two_images_of_the_same_view_are_distinguished_by_their_series():
    images = [read_image(uid, SHAPE, lesion(1, 1, blob(9, 9))) for uid in (R_CC, R_MLO)]
    objects = encode_results(some_exam(images), some_sources(), replace(ENCODING, profile=PROFILES["all"]))
    called = [dcmread(BytesIO(each.content)).SeriesDescription for each in objects[:4]]
    assert [each.split(",")[0].split(" findings")[0].split(" outlines")[0] for each in called] == ["R CC"] * 4
    assert ["image 2" in each for each in called] == [False, False, True, True]
    assert "research use only" in called[3]


def test_a_revision_names_the_report_that_it_replaces():
    first = report_on(some_exam())
    second = encode_sr(some_exam(), some_sources(), {}, encoding=replace(ENCODING, revision=2), predecessor=first)
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
def test_patient_names_are_copied_from_any_character_set(character_set: str | list[str], name: str):
    source = header(R_CC, SHAPE)
    source.SpecificCharacterSet = character_set
    source.PatientName = name
    file = BytesIO(to_bytes(_with_meta(source)))
    exam = exams.put_together([read_image(R_CC, SHAPE, lesion(1, 1, blob(9, 9)))], [], [])
    for result in encode_results(exam, {R_CC: dcmread(file)}, ENCODING):
        assert dcmread(BytesIO(result.content)).PatientName == name


def _with_meta(source: Dataset) -> Dataset:
    source.ReferringPhysicianName = ""
    source.file_meta = encode_sr(some_exam(), some_sources(), {}, encoding=ENCODING).file_meta
    source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
    return source


def test_the_same_reading_gives_the_same_bytes():
    once, again = (encode_results(some_exam(), some_sources(), ENCODING) for _ in range(2))
    assert [result.content for result in once] == [result.content for result in again]


def test_a_reading_that_cannot_be_reported_is_refused():
    with pytest.raises(NotEncodable, match="at least one instance"):
        encode_sr(some_exam([]), {}, {}, encoding=ENCODING)
    with pytest.raises(NotEncodable, match="not among the sources"):
        encode_sr(some_exam(), {TOMO: other_sources()[0]}, {}, encoding=ENCODING)
    stranger = header(f"{STUDY}.99", SHAPE)
    stranger.StudyInstanceUID = "1.2.3"
    with pytest.raises(NotEncodable, match="more than one study"):
        encode_sr(some_exam(), {**some_sources(), f"{STUDY}.99": stranger}, {}, encoding=ENCODING)
