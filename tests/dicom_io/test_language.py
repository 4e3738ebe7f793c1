"""Free text in other languages: every sentence is translated or visibly English, and no number or code changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageDraw
from pydicom import Dataset
from readings import BUNDLE, ENCODING
from reports import (
    L_CC,
    REPORTED,
    calibrated,
    comments_of,
    named,
    report_on,
    some_exam,
    some_images,
    some_sources,
    two_view_exam,
    walk,
    with_spacing,
)

from config.settings import Settings
from dicom_io.results.encode import encode_results
from dicom_io.results.language import ENGLISH, NAMES, NOT_REVIEWED, Language, catalogue, language_of
from dicom_io.results.profiles import PROFILES, ResultKind
from dicom_io.results.scored import scored_lesions
from dicom_io.results.statements import statements, summary_sentences
from dicom_io.results.summary.page import draw_page
from dicom_io.results.summary.place import Place
from dicom_io.spacing import spacing_of
from models import pipeline
from models.types.birads import Category, Likelihood
from models.types.exam import ExamReading, UnreadImage
from models.types.mammogram import Laterality
from node.operations.check import checks
from node.reporting.fhir import encode_fhir
from node.reporting.oru import encode_oru

pytestmark = pytest.mark.slow

MARK = "[en] "


@pytest.fixture(scope="module", params=NAMES)
def language(request: pytest.FixtureRequest) -> Language:
    return language_of(request.param)


def spoken(exam: ExamReading, language: Language) -> list[str]:
    """The sentences of the reports."""
    sentences = [*summary_sentences(exam, 2), *(said.sentence for said in statements(exam, BUNDLE))]
    return [language.say(words) for words in (*sentences, *_of_lesions(exam))]


def _of_lesions(exam: ExamReading) -> list[str]:
    return [sentence for lesion in scored_lesions(exam) for sentence in lesion.sentences]


def in_the_sr(exam: ExamReading, language: Language, sources: dict[str, Dataset] | None = None) -> list[str]:
    report = report_on(exam, sources, replace(ENCODING, language=language))
    (summary,) = named(report, "121111")
    return [*summary.TextValue.splitlines(), *comments_of(report)]


def without_foreign_words(exam: ExamReading) -> ExamReading:
    """The exam without reasons that a library or a device gave."""
    unread = (UnreadImage(L_CC, "other-image", "an image, but no mammogram"),)
    return replace(exam, unread=unread, warnings=())


@pytest.mark.parametrize("code", NAMES)
def test_every_catalogue_translates_the_same_texts_with_the_same_places(code: str):
    english, translated = catalogue("de"), catalogue(code)
    assert {name: set(section) for name, section in translated.items()} == {
        name: set(section) for name, section in english.items()
    }
    for section in translated.values():
        for text, translation in section.items():
            assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", translation)), text
            assert translation.strip(), text


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_every_sentence_of_a_report_is_translated(language: Language, exam: Callable[[], ExamReading]):
    assert [text for text in spoken(without_foreign_words(exam()), language) if MARK in text] == []


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_no_number_is_lost_or_changed(language: Language, exam: Callable[[], ExamReading]):
    english, other = spoken(exam(), ENGLISH), spoken(exam(), language)
    assert len(english) == len(other)
    for said, translated in zip(english, other, strict=True):
        assert sorted(re.findall(r"\d+(?:\.\d+)?", translated)) == sorted(re.findall(r"\d+(?:\.\d+)?", said)), said


@pytest.mark.parametrize("category", [Category.ONE_OR_TWO, Category.THREE, Category.FOUR_A, Category.FIVE])
def test_above_and_not_above_the_threshold_are_told_apart(language: Language, category: Category):
    exam = calibrated(some_exam())
    said = {
        recalled: spoken(replace(exam, likelihood=Likelihood(0.5 if recalled else 0.001, category)), language)[2]
        for recalled in (True, False)
    }
    negations = {"de": " nicht ", "es": " no ", "fr": " pas "}
    assert {recalled: negations[language.code] in f" {words} " for recalled, words in said.items()} == {
        True: False, False: True,
    }  # fmt: skip


def test_the_sr_says_these_sentences(language: Language):
    exam = two_view_exam()
    revision = language.say("This is revision 2: it replaces all earlier reports of this study.")
    said = {*spoken(exam, language)} - {revision}
    assert set(in_the_sr(exam, language)) == {*said, " ".join(language.notice)}


def test_every_report_says_in_two_languages_that_its_translation_is_not_reviewed(language: Language):
    assert not language.is_reviewed
    encoding = replace(ENCODING, language=language)
    notice = " ".join(language.notice)
    assert notice.endswith(f" {NOT_REVIEWED}")
    assert MARK not in notice
    assert in_the_sr(some_exam(), language)[1] == notice
    fhir = json.loads(encode_fhir(some_exam(), some_sources(), encoding, None))
    report = fhir["entry"][-1]["resource"]
    assert report["conclusion"].splitlines()[1] == notice
    assert escape(notice) in report["text"]["div"]
    oru = encode_oru(some_exam(), some_sources(), encoding, None).decode()
    assert " ".join(language.in_ascii().notice) in oru


@pytest.mark.parametrize("spoken_in", [ENGLISH, replace(language_of("de"), is_reviewed=True)])
def test_english_and_a_reviewed_translation_have_no_such_sentence(spoken_in: Language):
    assert spoken_in.report(["One.", "Two."]) == [spoken_in.say("One."), spoken_in.say("Two.")]
    assert not any(NOT_REVIEWED in said for said in in_the_sr(some_exam(), spoken_in))


@pytest.mark.parametrize("code", ["en", *NAMES])
def test_check_warns_of_a_translation_that_is_not_reviewed(code: str, tmp_path: Path):
    asked = (check() for check in checks(Settings(data_dir=tmp_path, language=code, reader={"threads": 1})))
    assert [found.warns for found in asked if found.about == "language"] == [True] * (code != "en")


def test_what_is_not_translated_stays_english_and_says_so(language: Language):
    reason = "its header states 17 rows and the pixels fill 16"
    exam = replace(some_exam(), unread=(UnreadImage(L_CC, "for-presentation", reason),))
    exam = replace(exam, warnings=("left CC: a new warning",))
    texts = spoken(exam, language)
    assert any(f": {MARK}{reason}." in text for text in texts)
    assert any(f": {MARK}a new warning." in text for text in texts)


def _spacing_by(**header: object) -> str:
    source = Dataset()
    for keyword, value in header.items():
        setattr(source, keyword, value)
    return spacing_of(source).by


_SPACINGS = (
    {"ImagerPixelSpacing": [0.1, 0.1]},
    {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": "1.05"},
    {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": "1"},
    {"PixelSpacing": [0.1, 0.1], "DistanceSourceToDetector": "660", "DistanceSourceToPatient": "640"},
    {"NominalScannedPixelSpacing": [0.1, 0.1]},
    {"PixelSpacing": [0.1, 0.1], "PixelSpacingCalibrationType": "FIDUCIAL"},
    {"PixelSpacing": [0.1, 0.1], "PixelSpacingCalibrationType": "GEOMETRY"},
)
_FAULTS = (
    pipeline.ASSUMED_SPACING.format(mm=0.07),
    *(pipeline.NO_OUTLINE.format(findings=findings) for findings in ("1 finding", "3 findings")),
    *(pipeline.DOUBTFUL.format(outlines=outlines) for outlines in ("1 outline", "3 outlines")),
)


def test_how_lengths_are_measured_and_what_is_doubtful_is_translated(language: Language):
    sentences = [f"Lengths in R CC, L MLO: by {_spacing_by(**header)}." for header in _SPACINGS]
    sentences += [f"Warning: {views}: {fault}" for fault in _FAULTS for views in ("left CC", "right CC, left MLO")]
    sentences.append(pipeline.TOO_LARGE.format(share=31.2, largest=12.5))
    for english in sentences:
        said = language.say(english)
        assert MARK not in said
        assert sorted(re.findall(r"\d+", said)) == sorted(re.findall(r"\d+", english))


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_any_other_text_is_marked_whole(text: str):
    said = language_of("fr").say(f"a sentence of nobody: {text}")
    assert said == f"{MARK}a sentence of nobody: {text}"


def test_codes_and_numbers_of_the_sr_do_not_change(language: Language):
    english, other = (
        report_on(with_spacing(calibrated(some_exam()), (0.1, 0.1)), encoding=replace(ENCODING, language=spoken_in))
        for spoken_in in (ENGLISH, language)
    )
    texts = ("TextValue", "ConceptCodeSequence")
    for said, translated in zip(walk(english), walk(other), strict=True):
        concept = said.get("ConceptNameCodeSequence", [Dataset()])[0].get("CodeValue")
        if concept == "121049":
            assert translated.ConceptCodeSequence[0].CodeValue == language.code
            continue
        for keyword in (
            "ConceptNameCodeSequence",
            "MeasuredValueSequence",
            "UID",
            *texts[concept in ("121106", "121111") :],
        ):
            assert said.get(keyword) == translated.get(keyword), concept


@pytest.mark.parametrize(
    ("charset", "word"), [("ISO_IR 100", "für"), ("ISO_IR 192", "für"), ("", "fuer"), ("ISO_IR 101", "fuer")]
)
def test_letters_are_those_that_the_images_character_set_holds(charset: str, word: str):
    sources = some_sources()
    for source in sources.values():
        source.SpecificCharacterSet = charset
        source.PatientName = "Meier^Anne"
    assert word in in_the_sr(some_exam(), language_of("de"), sources)[0].lower()


@pytest.mark.parametrize(
    ("code", "words", "plain"),
    [
        ("de", "Übergröße für Ödeme", "Uebergroesse fuer Oedeme"), ("de", "FÜR ÄRZTE", "FUER AERZTE"),
        ("es", "lesión, año", "lesion, ano"),
    ],
)  # fmt: skip
def test_plain_letters_are_those_that_readers_expect(code: str, words: str, plain: str):
    language = Language(code, "", language_of(code).rules, only_ascii=True)
    assert language.say(words) == f"{MARK}{plain}"


def test_messages_speak_the_language_too_and_a_ris_gets_plain_letters():
    encoding = replace(ENCODING, language=language_of("de"))
    fhir = encode_fhir(some_exam(), some_sources(), encoding, None).decode()
    assert '"language": "de"' in fhir
    assert "Nur für Forschungszwecke, nicht zur Diagnose." in fhir
    oru = encode_oru(some_exam(), some_sources(), encoding, None).decode()
    assert "Nur fuer Forschungszwecke, nicht zur Diagnose." in oru


def test_the_summary_page_is_translated(language: Language, monkeypatch: pytest.MonkeyPatch):
    drawn: list[str] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, xy, text, **_: drawn.append(text))
    place = {L_CC: Place(Laterality.LEFT, "CC")}
    for exam in (*(make() for make in REPORTED.values()), some_exam(some_images() * 9)):
        draw_page(without_foreign_words(exam), place, BUNDLE, language)
    assert [text for text in drawn if "[en]" in text] == []
    assert "Please note" not in drawn
    assert set(language.in_ascii().notice) <= set(drawn)
    assert "mammo-node" in drawn[0]


def test_another_language_gives_another_page_and_the_same_other_objects(language: Language):
    def uids(spoken_in: Language) -> dict[ResultKind, str]:
        encoding = replace(ENCODING, profile=PROFILES["all"], language=spoken_in)
        return {
            result.kind: result.sop_instance_uid for result in encode_results(some_exam(), some_sources(), encoding)
        }

    english, other = uids(ENGLISH), uids(language)
    assert {kind for kind in english if english[kind] != other[kind]} == {ResultKind.SC}
