"""The tenth of a reference set in the results: with its name wherever it stands, and nowhere without a set."""

from __future__ import annotations

from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path

import pytest
from cad_reports import cad_of, cad_sources, found_everywhere
from pydicom import Dataset, dcmread
from readings import BUNDLE, ENCODING
from reports import calibrated, comments_of, groups_of, named, number, report_on, some_exam, some_sources, walk
from summary_exams import drawn_exam
from validators import dciodvfy, dsrdump, pixelmed

from dicom_io.results.encode import encode_results
from dicom_io.results.fingerprints import exam_fingerprint, fingerprint
from dicom_io.results.own_codes import DESIGNATOR
from dicom_io.results.profiles import PROFILES, profile_of
from dicom_io.results.statements import in_words, tenth_rule
from dicom_io.results.summary.page import draw_page
from models.types.exam import ExamReading
from models.types.reference import ReferenceSet, ReferenceTenth
from node.folder.exam_json import exam_to_json

pytestmark = pytest.mark.slow

WARD = ReferenceSet("ward", 412, is_screening=False)
NINE = ReferenceTenth(WARD, 9)
NONE = ReferenceTenth(WARD, None, "not all four standard views of it were read")
NAME = "tenth of reference set ward (n = 412, not screening)"
ALL = replace(ENCODING, profile=PROFILES["all"])


def with_tenth(exam: ExamReading, tenth: ReferenceTenth | None = NINE) -> ExamReading:
    return replace(exam, tenth=tenth)


def tenths_in(document: Dataset) -> list[tuple[str, float, str]]:
    """Name, value and unit of each tenth in a document."""
    return [
        (
            item.ConceptNameCodeSequence[0].CodeMeaning,
            float(item.MeasuredValueSequence[0].NumericValue),
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in named(document, "REFERENCE_TENTH")
    ]


def test_in_the_report_the_exams_score_has_its_tenth_whose_name_is_the_set() -> None:
    report = report_on(with_tenth(calibrated(some_exam())))
    assert tenths_in(report) == [(NAME, 9, "{of_10}")]
    assert tenths_in(groups_of(report)["exam"]) == [(NAME, 9, "{of_10}")], "breasts and lesions have none"
    assert named(report, "REFERENCE_TENTH")[0].ConceptNameCodeSequence[0].CodingSchemeDesignator == DESIGNATOR
    assert number(groups_of(report)["exam"], "SCORE") == 0.75


@pytest.mark.parametrize("is_screening", [False, True])
def test_report_and_summary_state_the_tenth_and_that_10_is_not_the_top_tenth_of_screening(is_screening: bool) -> None:
    tenth = ReferenceTenth(replace(WARD, is_screening=is_screening), 10)
    population = "screening" if is_screening else "not screening"
    report = report_on(with_tenth(some_exam(), tenth))
    sentence = f"Exam: 10 of 10: tenth of reference set ward (n = 412, {population})."
    (summary,) = named(report, "121111")
    assert sentence in comments_of(report)
    assert sentence in str(summary.TextValue).split("\r\n")
    assert tenth_rule(tenth) in comments_of(report)
    assert ("10 is not the top tenth of screening" in tenth_rule(tenth)) is not is_screening


def test_the_cad_report_has_the_tenth_as_a_property_and_in_its_sentences() -> None:
    cad = cad_of(with_tenth(found_everywhere()))
    assert tenths_in(cad) == [(NAME, 9, "{of_10}")]
    (impression,) = named(cad, "111033")
    assert f"Exam: 9 of 10: {NAME}." in str(impression.TextValue).splitlines()


def test_the_page_shows_the_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    monkeypatch.setattr("PIL.ImageDraw.ImageDraw.text", lambda draw, xy, words, **options: texts.append(words))
    draw_page(with_tenth(drawn_exam()), {}, BUNDLE)
    assert f"Exam: 9 of 10: {NAME}." in " ".join(texts)


def test_reading_json_and_the_terminal_have_the_tenth() -> None:
    exam = with_tenth(some_exam())
    assert exam_to_json(exam, "1.2")["reference_tenth"] == {
        "tenth": 9,
        "is": NAME,
        "why": "",
        "reference_set": {"name": "ward", "exams": 412, "screening": False},
    }
    assert in_words(exam) == f"exam score 0.75, not calibrated, 9 of 10: {NAME}"


def test_a_destination_that_draws_scores_gets_the_name_with_the_number() -> None:
    report = report_on(with_tenth(some_exam()), encoding=replace(ENCODING, profile=profile_of("ohif", draws_exam=True)))
    drawn = [item for found in named(report, "126010") for item in walk(found)]
    names = [item.ConceptNameCodeSequence[0].CodeMeaning for item in drawn if item.get("ValueType") == "NUM"]
    assert NAME in names


def test_an_exam_that_does_not_compare_has_no_number_and_says_why() -> None:
    exam = with_tenth(some_exam(), NONE)
    report, cad = report_on(exam), cad_of(with_tenth(found_everywhere(), NONE))
    sentence = f"Exam: no {NAME}: not all four standard views of it were read."
    assert tenths_in(report) == tenths_in(cad) == []
    assert sentence in comments_of(report)
    assert sentence in str(named(cad, "111033")[0].TextValue)
    assert exam_to_json(exam, "1.2")["reference_tenth"] == {
        "tenth": None,
        "is": NAME,
        "why": "not all four standard views of it were read",
        "reference_set": {"name": "ward", "exams": 412, "screening": False},
    }


def test_without_a_reference_set_no_result_mentions_one_and_all_keep_the_uids_of_earlier_releases() -> None:
    exam, sources = calibrated(some_exam()), some_sources()
    assert "reference" not in str(exam_to_json(exam, "1.2"))
    assert "tenth" not in in_words(exam)
    for encoded in encode_results(exam, sources, ALL):
        text = str(dcmread(BytesIO(encoded.content), stop_before_pixels=True)).lower()
        assert "reference set" not in text
        assert "reference_tenth" not in text
    added = ("tenth", "withheld", "withdrawn")
    before = [getattr(exam, field.name) for field in fields(exam) if field.name not in added]
    read = sorted(
        [*(image.sop_instance_uid for image in exam.images), *(image.sop_instance_uid for image in exam.unread)]
    )
    assert exam_fingerprint(exam, sources) == fingerprint(before, [sources[uid] for uid in read])


def test_another_tenth_or_set_changes_only_the_objects_in_which_it_stands() -> None:
    exam = some_exam()

    def uids(tenth: ReferenceTenth | None) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for encoded in encode_results(with_tenth(exam, tenth), some_sources(), ALL):
            found.setdefault(str(encoded.kind), set()).add(encoded.sop_instance_uid)
        return found

    some = [uids(tenth) for tenth in (None, NINE, ReferenceTenth(WARD, 8), ReferenceTenth(replace(WARD, name="b"), 9))]
    for kind in ("SEG", "GSPS", "KO"):
        assert len({frozenset(objects[kind]) for objects in some}) == 1, kind
    for kind in ("CAD-SR", "SC"):
        assert len({frozenset(objects[kind]) for objects in some}) == len(some), kind


def test_reports_with_a_tenth_pass_the_validators_without_errors(tmp_path: Path) -> None:
    longest = ReferenceTenth(ReferenceSet("x" * 12, 9_999_999, is_screening=False), 10)
    documents = []
    for name, tenth in (("nine", NINE), ("none", NONE), ("longest", longest)):
        sr, cad = tmp_path / f"{name}-sr.dcm", tmp_path / f"{name}-cad.dcm"
        drawing = replace(ENCODING, profile=profile_of("ohif", draws_exam=True))
        sr.write_bytes(encode_results(with_tenth(calibrated(some_exam()), tenth), some_sources(), drawing)[-1].content)
        cad_of(with_tenth(found_everywhere(), tenth), cad_sources()).save_as(cad)
        documents += [sr, cad]
    assert [(dciodvfy(document), dsrdump(document)) for document in documents] == [([], [])] * len(documents)
    assert pixelmed(*documents[-2:]) == [], "the longest"
