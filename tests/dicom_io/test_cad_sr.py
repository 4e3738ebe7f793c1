"""The Mammography CAD SR: outcome of detection and analysis, image library, and its identity."""

from dataclasses import replace
from pathlib import Path

import pytest
from cad_reports import (
    CODED,
    L_CC,
    L_MLO,
    MASS,
    OLD_REPORT,
    PLACES,
    R_CC,
    R_MLO,
    SHAPE,
    TOMO,
    cad_exam,
    cad_of,
    cad_sources,
    code_of,
    found_everywhere,
    found_in_one_view,
    item_at,
    nothing_found,
    only_item,
)
from pydicom import Dataset
from readings import BUNDLE, ENCODING, STUDY, header, read_image
from reports import named, number, value, walk
from validators import dcentvfy, dciodvfy, dsrdump, pixelmed

from dicom_io.errors import NotEncodable
from dicom_io.results.cad_sr.report import encode_cad_sr
from dicom_io.results.encoding import to_bytes
from dicom_io.results.seg.segmentation import encode_seg
from dicom_io.results.statements import NO_FINDINGS, NOTHING_READ
from models.readings.exam import put_together
from models.types.birads import Agreement, Assessment, Category, Concordance
from models.types.exam import ExamReading, UnreadImage
from models.types.mammogram import Laterality
from models.types.reading import BundleId
from models.types.words import RESEARCH_USE_ONLY

pytestmark = pytest.mark.slow


def unread_image(uid: str, *, on_purpose: bool = False) -> UnreadImage:
    return UnreadImage(uid, "for-presentation", "its pixels are corrupt", on_purpose)


def one_unreadable() -> ExamReading:
    return cad_exam({R_CC: (MASS,), L_CC: (), R_MLO: ()}, (unread_image(L_MLO),))


def all_unreadable() -> ExamReading:
    return cad_exam({}, tuple(map(unread_image, PLACES)))


def not_suitable() -> ExamReading:
    return cad_exam({}, (UnreadImage(TOMO, "tomosynthesis", "only single images are read so far"),))


def images_under(cad: Dataset, container: str) -> dict[str, list[str]]:
    """The images to which the entries of a list refer, by the algorithm that was performed."""
    return {
        code_of(entry): [
            item_at(cad, item.ReferencedContentItemIdentifier).ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for item in entry.ContentSequence
            if "ReferencedContentItemIdentifier" in item
        ]
        for found in named(cad, container)
        for entry in found.ContentSequence
    }


def cad_texts(cad: Dataset) -> list[str]:
    return str(only_item(cad, "111033").TextValue).splitlines()


def outcome_of(cad: Dataset) -> tuple[str, str, str]:
    """CAD Processing and Findings Summary, Summary of Detections, Summary of Analyses."""
    return value(cad, "111017"), value(cad, "111064"), value(cad, "111065")


@pytest.mark.parametrize(
    "exam",
    [found_everywhere(), nothing_found(), one_unreadable(), all_unreadable(), not_suitable()],
    ids=["all views and ties", "none", "one view, one unreadable", "all unreadable", "not suitable"],
)
def test_a_cad_report_passes_the_validators_without_errors(exam: ExamReading, tmp_path: Path):
    path = tmp_path / "cad.dcm"
    path.write_bytes(to_bytes(encode_cad_sr(exam, cad_sources(), encoding=ENCODING)))
    assert (dciodvfy(path), dsrdump(path), pixelmed(path)) == ([], [], [])


def test_a_cad_report_agrees_with_a_segmentation_of_its_study(tmp_path: Path):
    exam, sources = found_in_one_view(), cad_sources()
    objects = [
        encode_cad_sr(exam, sources, encoding=ENCODING),
        encode_seg(sources[L_MLO], exam.images[-1], encoding=ENCODING),
    ]
    paths = [tmp_path / name for name in ("cad.dcm", "seg.dcm")]
    for path, dataset in zip(paths, objects, strict=True):
        path.write_bytes(to_bytes(dataset))
    assert dcentvfy(paths) == []


def test_the_validators_find_planted_errors(tmp_path: Path):
    cad = cad_of(found_in_one_view())
    only_item(cad, "111041").ContentSequence[0].RelationshipType = "CONTAINS"
    del only_item(cad, "111034").ContentSequence[0]
    del cad.VerificationFlag
    path = tmp_path / "broken.dcm"
    cad.save_as(path)
    assert dciodvfy(path) != []
    assert dsrdump(path) != []
    assert pixelmed(path) != []


def test_no_findings_partial_failure_failure_and_unsuitable_images_have_different_codes():
    succeeded, partially, failed, not_attempted = "111222", "111223", "111224", "111225"
    assert outcome_of(cad_of(found_in_one_view())) == ("111242", succeeded, succeeded)
    assert outcome_of(cad_of(nothing_found())) == ("111241", succeeded, succeeded)
    assert outcome_of(cad_of(one_unreadable())) == ("111244", partially, partially)
    assert outcome_of(cad_of(cad_exam({R_CC: ()}, (unread_image(L_CC),)))) == ("111243", partially, partially)
    assert outcome_of(cad_of(all_unreadable())) == ("111245", failed, failed)
    assert outcome_of(cad_of(not_suitable())) == ("111245", not_attempted, not_attempted)


def test_no_findings_failure_and_unsuitable_images_have_different_texts():
    assert NO_FINDINGS in cad_texts(cad_of(nothing_found()))
    assert NO_FINDINGS not in cad_texts(cad_of(all_unreadable()))
    assert NOTHING_READ in cad_texts(cad_of(all_unreadable()))
    assert "Not read: for-presentation: its pixels are corrupt." in cad_texts(cad_of(one_unreadable()))
    assert "Not read: tomosynthesis: only single images are read so far." in cad_texts(cad_of(not_suitable()))
    assert cad_texts(cad_of(nothing_found()))[0] == RESEARCH_USE_ONLY


def test_a_study_of_a_specimen_alone_is_reported_as_unsuitable():
    sources = {L_CC: header(L_CC, SHAPE, "L", "SPECIMEN")}
    assert outcome_of(cad_of(cad_exam({}, (unread_image(L_CC),)), sources)) == ("111245", "111225", "111225")


def test_each_algorithm_names_the_images_it_succeeded_and_failed_with():
    cad = cad_of(one_unreadable())
    read = [R_CC, L_CC, R_MLO]
    assert images_under(cad, "111063") == {"129793001": read, "129769006": read}, "masses, clusters"
    assert images_under(cad, "111025") == {"129793001": [L_MLO], "129769006": [L_MLO]}
    assert images_under(cad, "111062") == {"111234": read, "111233": [R_CC]}, "images were classified, then lesions"
    assert images_under(cad, "111024") == {"111234": [L_MLO]}
    names = [item.TextValue for item in named(only_item(cad, "111063"), "111001")]
    assert names == [f"{BUNDLE.name}, detection"] * 2


def test_lesions_in_two_views_are_reported_as_an_analysis_of_those_images():
    assert images_under(cad_of(found_everywhere()), "111062")["133884007"] == list(PLACES)
    assert "133884007" not in images_under(cad_of(found_in_one_view()), "111062")


def test_images_read_with_newer_models_are_listed_separately():
    exam = nothing_found()
    late = replace(exam.images[-1], reading=replace(exam.images[-1].reading, bundle=BundleId("newer", "2.0")))
    cad = cad_of(replace(exam, images=(*exam.images[:-1], late)))
    entries = [item for item in only_item(cad, "111063").ContentSequence if code_of(item) == "129793001"]
    assert [only_item(entry, "111003").TextValue for entry in entries] == [BUNDLE.version, "2.0"]


def test_copies_that_are_not_read_on_purpose_are_not_reported_as_a_failure():
    raw = unread_image(L_MLO, on_purpose=True)
    cad = cad_of(cad_exam({R_CC: (), L_CC: ()}, (raw,)))
    assert outcome_of(cad) == ("111241", "111222", "111222")
    assert cad.CompletionFlag == "COMPLETE"
    assert len(named(cad, "111028")[0].ContentSequence) == 2


@pytest.mark.parametrize("exam", [found_everywhere(), one_unreadable(), all_unreadable()], ids=["4", "3 + 1", "0 + 4"])
def test_every_referenced_image_is_in_the_image_library(exam: ExamReading):
    cad = cad_of(exam)
    references = [item for item in walk(cad) if "ReferencedContentItemIdentifier" in item]
    assert references
    assert {item_at(cad, item.ReferencedContentItemIdentifier).ValueType for item in references} == {"IMAGE"}
    assert all(item.ReferencedContentItemIdentifier[:2] == [1, 2] for item in references)
    assert all("ValueType" not in item for item in references)


def test_the_image_library_holds_side_view_orientation_dates_and_spacings():
    entries = only_item(cad_of(one_unreadable()), "111028").ContentSequence
    assert [entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for entry in entries] == [R_CC, L_CC, R_MLO, L_MLO]
    left, right, cc, mlo = "80248007", "73056007", "399162004", "399368009"
    listed = [(value(entry, "111027"), value(entry, "111031")) for entry in entries]
    assert listed == [(right, cc), (left, cc), (right, mlo), (left, mlo)]
    first = entries[0]
    assert (only_item(first, "111044").TextValue, only_item(first, "111043").TextValue) == ("P", "L")
    assert (only_item(first, "111060").Date, only_item(first, "111061").Time) == ("20260301", "101112")
    assert (only_item(first, "111018").Date, only_item(first, "111019").Time) == ("20260301", "101315")
    assert (number(first, "111026"), number(first, "111066")) == (0.08, 0.07), "horizontal, vertical"


def test_attributes_missing_from_the_header_are_not_invented():
    bare = {L_CC: cad_sources()[TOMO]}
    bare[L_CC].SOPInstanceUID = L_CC
    exam = put_together([read_image(L_CC, SHAPE, laterality=None, view=None)], [], [])
    (entry,) = only_item(cad_of(exam, bare), "111028").ContentSequence
    assert "ContentSequence" not in entry


def test_a_partly_read_exam_is_not_reported_as_complete():
    assert cad_of(nothing_found()).CompletionFlag == "COMPLETE"
    assert cad_of(one_unreadable()).CompletionFlag == "PARTIAL"
    assert cad_of(replace(nothing_found(), missing=("left MLO",))).CompletionFlag == "PARTIAL"


def test_an_assessment_of_a_radiologist_gives_the_same_object_and_another_finding_a_new_one():
    exam = nothing_found()
    assessment = Assessment(Laterality.LEFT, Category.FIVE, "HL7")
    compared = replace(exam, concordances=(Concordance(Laterality.LEFT, assessment, None, Agreement.AI_LOWER),))
    revision = replace(ENCODING, revision=2)
    first, second, third = (
        cad_of(exam),
        cad_of(compared, encoding=revision),
        cad_of(found_in_one_view(), encoding=revision),
    )
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert cad_texts(first) == cad_texts(second)
    assert third.SOPInstanceUID != first.SOPInstanceUID
    assert third.SeriesInstanceUID != first.SeriesInstanceUID


def test_a_new_document_refers_to_its_predecessor_and_an_unchanged_one_to_none():
    first, sources = cad_of(nothing_found()), cad_sources()
    again, other = (
        encode_cad_sr(exam, sources, encoding=ENCODING, predecessor=first)
        for exam in (nothing_found(), found_in_one_view())
    )
    assert "PredecessorDocumentsSequence" not in again
    replaced = other.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert replaced.ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_an_exam_with_an_image_of_unknown_side_has_no_category_per_breast():
    exam = found_everywhere()
    unknown = replace(exam, images=(replace(exam.images[0], laterality=None), *exam.images[1:]))
    for reading, sides in ((exam, 1), (unknown, 0)):
        (category,) = named(cad_of(reading, encoding=CODED), "111005")
        assert len(named(category, "272741003")) == sides


def test_a_corrected_side_of_an_unread_image_gives_another_object():
    sources = cad_sources()
    sources[L_MLO].ImageLaterality = "R"
    assert cad_of(one_unreadable(), sources).SOPInstanceUID != cad_of(one_unreadable()).SOPInstanceUID


def test_the_same_reading_gives_the_same_bytes():
    once, again = (to_bytes(encode_cad_sr(found_everywhere(), cad_sources(), encoding=ENCODING)) for _ in range(2))
    assert once == again


def test_a_reading_that_cannot_be_reported_is_refused():
    with pytest.raises(NotEncodable, match="at least one image"):
        encode_cad_sr(cad_exam({}, (unread_image(OLD_REPORT),)), cad_sources(), encoding=ENCODING)
    with pytest.raises(NotEncodable, match="not among the sources"):
        encode_cad_sr(nothing_found(), {TOMO: cad_sources()[TOMO]}, encoding=ENCODING)
    stranger = header(f"{STUDY}.99", SHAPE)
    stranger.StudyInstanceUID = "1.2.3"
    with pytest.raises(NotEncodable, match="more than one study"):
        encode_cad_sr(nothing_found(), {**cad_sources(), f"{STUDY}.99": stranger}, encoding=ENCODING)
