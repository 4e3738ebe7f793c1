"""A category is not taken for the radiologist's current one where a sentence or heading beside it says otherwise."""

from __future__ import annotations

import re

import pytest
from assessing import REFUSED, oru, understood
from hypothesis import given
from hypothesis import strategies as st
from report_texts import SAID

from config.hl7 import Hl7
from node.assessments.hl7.message import NotUsable, parse
from node.assessments.hl7.results import results_of
from node.assessments.text.report import categories_in

DOUBTED = {
    "of an earlier exam": (
        "COMPARISON: 2021 mammogram.\nLeft BI-RADS 3.\nFINDINGS: No change. No suspicious finding.",
        "COMPARISON: 2021 mammogram.\nA mass is described.\nLeft BI-RADS 3.\nFINDINGS: Normal.",
        "History: screening.\nDense.\nBI-RADS 0 left.\nFindings: normal.",
        "Mammographie 2021: BI-RADS 3 links.\nAktuell unauff\u00e4llig.",
        "Mammographie 2013: BI-RADS 3 links.",
        "2021:\nMass.\nBI-RADS 3 left.",
        "Mammographie vom 12.03.2021. BI-RADS 3 links.",
        "Voraufnahmen 2021. BI-RADS 3 rechts. Heute unauff\u00e4llig.",
        "Mammogram. BI-RADS 3 left. Now normal.",
        "Vergeleken met onderzoek van 2021. BI-RADS 3 links.",
        "Screening 2022 BI-RADS 4 left.",
        "Lesion first seen 2021. BI-RADS 3 left.",
        "Initial views. BI-RADS 0 left. After spot views no lesion.",
        "BI-RADS 3 at that time.",
        "Toen BI-RADS 3 links.",
    ),
    "the reason for the exam": (
        "St.n. BI-RADS 4 links.",
        "St. n. Biopsie BI-RADS 4 links.",
        "Zust. n. BI-RADS 4 links",
        "Follow-up of left breast BI-RADS 3.",
        "Reden: screening BI-RADS 4 links.",
        "Indication: recall.\nBI-RADS 4 left.\nFindings: normal.",
    ),
    "of a machine": (
        "AI assessment. Left breast BI-RADS 4. Reader: no abnormality.",
        "AI result: score 0.9.\nMark on the left.\nLeft BI-RADS 4.",
        "Transpara 9. Left breast: BI-RADS 4.",
        "Transpara:\nLeft breast: BI-RADS 4.",
        "Lunit: BI-RADS 4 left.",
        "KI: Markierung links. BI-RADS 4 links.",
        "Software mammo-node. Left breast: BI-RADS 4.",
        "BI-RADS 4 left. Score by Transpara.",
    ),
    "not final": (
        "Preliminary. BI-RADS 4 left.",
        "PRELIMINARY REPORT\n\nMass.\n\nSuspicious.\n\nBI-RADS 4 left.",
        "Vorl\u00e4ufiger Befund. BI-RADS 4 links.",
        "DRAFT\nBI-RADS 4 left.",
        "Voorlopig verslag. BI-RADS 4 links.",
        "BI-RADS 4 left. Not yet signed.",
    ),
    "revoked": (
        "BI-RADS 4 links komt te vervallen.",
        "BI-RADS 4 links, aufgehoben.",
        "Nicht best\u00e4tigt. BI-RADS 4 links.",
        "BI-RADS 4 links. Das hat sich nicht best\u00e4tigt.",
        "Cannot confirm. BI-RADS 4 left.",
        "BI-RADS 4 left. Not right.",
        "BI-RADS 4 left. I mean right.",
        "BI-RADS 4 left. The mass is dense. I disagree.",
        "Left breast mass BI-RADS 4 resolved.",
    ),
    "of another hospital or reader": (
        "Outside report reviewed. BI-RADS 4 left.",
        "Outside read.\nBI-RADS 4 left.",
        "BI-RADS 4 left. Second reader: benign.",
    ),
}


@pytest.mark.parametrize(
    "text", [text for texts in DOUBTED.values() for text in texts], ids=lambda text: text.replace("\n", "|")
)
def test_a_category_that_is_not_the_current_one_of_the_radiologist_is_refused(text: str) -> None:
    assert understood(text) == REFUSED


SENTENCES = [text for text in SAID if not re.search(r"[.;\n]", text) and SAID[text] != "nothing"]
BEFORE = (
    "Prior mammogram of 2021", "COMPARISON: mammogram of 2021", "Vergleich mit 2019", "Voraufnahmen 2021",
    "Vergeleken met 2020", "History of a mass", "AI assessment", "Transpara 9", "KI-Ergebnis laut Software",
    "Preliminary", "Vorl\u00e4ufiger Befund", "DRAFT", "Voorlopig", "Outside report reviewed", "Second reader",
    "Not confirmed", "Nicht best\u00e4tigt", "Niet bevestigd", "Indication: recall", "Her sister was examined",
)  # fmt: skip
BEHIND = (
    "I disagree", "That was 2021", "Now normal", "Heute unauff\u00e4llig", "Not confirmed", "Nicht best\u00e4tigt",
    "Komt te vervallen", "Aufgehoben", "Score by Transpara", "Laut KI", "According to the outside report", "Unsigned",
    "Second reader disagrees", "I mean the other one", "Only preliminary", "Entwurf",
)  # fmt: skip


@given(st.sampled_from(SENTENCES), st.sampled_from(BEFORE), st.sampled_from((". ", ".\n", ".\n\n")))
def test_a_doubtful_sentence_directly_before_any_category_refuses_it(text: str, doubt: str, between: str) -> None:
    if re.match(r"(?:impression|result|overall)", text, re.IGNORECASE) and doubt != "Preliminary":
        return  # its own heading separates it from what is before
    assert understood(f"{doubt}{between}{text}") == REFUSED


@given(st.sampled_from(SENTENCES), st.sampled_from(BEHIND), st.sampled_from((". ", ".\n", ".\n\n")))
def test_a_doubtful_sentence_directly_after_any_category_refuses_it(text: str, doubt: str, between: str) -> None:
    assert understood(f"{text}{between}{doubt}.") == REFUSED


USUAL = (
    "No mass. BI-RADS 1 left.",
    "Keine Hautverdickung. BI-RADS 2 links.",
    "The cyst resolved. BI-RADS 2 left.",
    "Possibly a cyst. BI-RADS 3 left.",
    "BI-RADS 4 left. Biopsy should be considered.",
    "BI-RADS 2 left. If symptoms persist, return.",
    "Z. n. Mastektomie rechts. BI-RADS 2 links.",
    "Der Verdacht liegt nahe. BI-RADS 5 links.",
    "Left breast: BI-RADS 6, known biopsy-proven malignancy.",
    "Comparison: None.\nBI-RADS 2 left.",
    "COMPARISON: mammogram of 2021.\nFINDINGS: No change since 2021.\nIMPRESSION: BI-RADS 2 left.",
    "Anamnese: Mutter erkrankt.\nBefund: Herd links.\nBeurteilung: BI-RADS 4 links.",
    "Read with the aid of CAD. BI-RADS 2 left.",
    "No change since 2023. BI-RADS 2 left.",
    "No significant change from prior exams. BI-RADS 2 left.",
    "Unchanged from the previous mammogram of 2021. BI-RADS 2 left.",
    "The calcifications are stable since 2019. BI-RADS 2 left.",
    "Keine wesentliche \u00c4nderung zur Voraufnahme von 2021. BI-RADS 2 links.",
    "Unver\u00e4ndert gegen\u00fcber 2021. BI-RADS 2 links.",
    "Geen duidelijke verandering ten opzichte van 2021. BI-RADS 2 links.",
)


@pytest.mark.parametrize("text", USUAL, ids=lambda text: text.replace("\n", "|"))
def test_usual_sentences_beside_a_category_do_not_refuse_it(text: str) -> None:
    (found,) = categories_in(text)
    assert found[0] == ("L",)


def test_the_year_of_the_exam_and_a_later_one_beside_a_category_are_not_the_past() -> None:
    text = "Mammographie 2026. BI-RADS 2 links. N\u00e4chste Mammographie 2028."
    assert categories_in(text, 2026) == [(("L",), "2")]
    for year in (None, 2027):
        with pytest.raises(ValueError, match="words about the past"):
            categories_in(text, year)


def test_the_year_of_an_hl7_exam_is_that_of_its_order() -> None:
    message = parse(oru("Mammographie 2026. BI-RADS 2 links."), "utf-8")
    assert [found.category for found in results_of(message, Hl7()).assessments] == ["2"]
    with pytest.raises(NotUsable):
        results_of(parse(oru("Mammographie 2025. BI-RADS 2 links."), "utf-8"), Hl7())


def test_the_name_of_a_row_that_is_a_machine_refuses_its_category() -> None:
    with pytest.raises(NotUsable):
        results_of(parse(oru("TX|1^Transpara^L||Left breast: BI-RADS 4.||||||F"), "utf-8"), Hl7())


def test_a_coded_category_beside_a_text_that_is_preliminary_is_refused() -> None:
    coded = "CWE|111005^Assessment Category^DCM||4||||||F|||||||||L"
    with pytest.raises(NotUsable, match="preliminary"):
        results_of(parse(oru(coded, "Preliminary report. Mass."), "utf-8"), Hl7())


@pytest.mark.parametrize(
    "name", ["AI Assessment Category", "Transpara", "Prior assessment", "Second reader", "Category 2021"]
)
def test_a_coded_category_whose_name_is_not_that_of_the_radiologists_current_one_is_refused(name: str) -> None:
    named = f"CWE|111005^{name}^DCM||4||||||F|||||||||L"
    with pytest.raises(NotUsable):
        results_of(parse(oru(named), "utf-8"), Hl7())
    plain = named.replace(name, "Final assessment, left breast")
    assert [found.category for found in results_of(parse(oru(plain), "utf-8"), Hl7()).assessments] == ["4"]
