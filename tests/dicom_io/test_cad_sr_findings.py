"""Lesions, probabilities and categories in a Mammography CAD SR."""

from dataclasses import replace

import numpy as np
import pytest
from cad_reports import (
    CODED,
    L_CC,
    L_MLO,
    R_CC,
    R_MLO,
    cad_of,
    code_of,
    found_everywhere,
    found_in_one_view,
    item_at,
    nothing_found,
    only_item,
)
from readings import BUNDLE
from reports import named, number, value, walk

from dicom_io.device import is_ours
from dicom_io.results.encoding import lesion_name
from models.types.birads import Category, Likelihood
from models.types.exam import FindingId, Tie

pytestmark = pytest.mark.slow


def test_a_lesion_has_the_names_of_its_segment_and_lies_inside_its_image():
    exam = found_everywhere()
    cad = cad_of(exam)
    findings = {only_item(item, "112040").UID: item for item in named(cad, "111059")}
    assert len(findings) == len(named(cad, "111059")) == 8
    for image in exam.images:
        for place, finding in enumerate(image.reading.findings, start=1):
            name = lesion_name(image, place)
            item = findings[name.uid]
            assert only_item(item, "112039").TextValue == name.identifier
            box = finding.box
            for graphic in (only_item(item, "111010"), only_item(item, "111041")):
                x, y = np.array(graphic.GraphicData).reshape(-1, 2).T
                assert box.left <= x.min() <= x.max() <= box.right
                assert box.top <= y.min() <= y.max() <= box.bottom
                entry = item_at(cad, graphic.ContentSequence[0].ReferencedContentItemIdentifier)
                assert entry.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.sop_instance_uid


def test_a_mass_in_one_view_is_coded_as_density_and_in_two_views_as_mass():
    cad = cad_of(found_everywhere())
    composites = named(cad, "111015")
    assert [code_of(item) for item in composites] == ["129788004", "129769006"]
    assert [number(item, "111011") for item in composites] == [70, 55]
    assert [code_of(item) for item in named(composites[0], "111059")] == ["129793001", "129793001"]
    assert [code_of(item) for item in named(composites[1], "111059")] == ["129769006", "129769006"]
    assert len(named(cad, "111034")) == 2 + 4, "an impression each: two tied lesions, four single findings"


def test_a_finding_matched_twice_is_written_once_and_an_unlikely_match_gives_no_composite():
    right_cc, other, third = FindingId(R_CC, 1), FindingId(R_MLO, 1), FindingId(L_MLO, 1)
    ties = (
        Tie((right_cc, other), (30.0, 33.0), 0.7),
        Tie((right_cc, third), (30.0, 31.0), 0.6),
        Tie((FindingId(L_CC, 2), FindingId(L_MLO, 2)), (41.0, 40.0), 0.41),
    )
    cad = cad_of(replace(found_everywhere(), ties=ties))
    (composite,) = named(cad, "111015")
    assert number(composite, "111011") == 60, "as sure as its weakest tie"
    assert len(named(composite, "111059")) == 3
    tracked = [only_item(item, "112040").UID for item in named(cad, "111059")]
    assert len(tracked) == len(set(tracked)) == 8


def test_a_probability_of_cancer_is_written_only_for_calibrated_scores():
    calibrated, scored = cad_of(found_everywhere()), cad_of(found_in_one_view())
    assert [number(item, "111047") for item in named(calibrated, "111047")] == [30] * 8
    assert named(scored, "111047") == []
    assert number(scored, "111012") == 90, "the detector's confidence"


def test_no_coded_category_is_written_but_the_recall_and_the_range_that_holds_the_probability():
    cad = cad_of(found_everywhere())
    assert named(cad, "111005") == []
    assert (value(cad, "RECALL"), value(cad, "CATEGORY_RANGE")) == ("ABOVE", "RANGE_4B")
    assert only_item(cad, "CATEGORY_RANGE").ConceptCodeSequence[0].CodeMeaning == "> 10 to <= 50 %, the range of 4B"
    assert named(cad_of(found_in_one_view()), "RECALL") == []
    assert cad_of(found_everywhere(), encoding=CODED).SOPInstanceUID != cad.SOPInstanceUID, "other content, other UID"


def test_if_the_site_requests_it_a_coded_category_is_written_as_that_of_an_algorithm():
    cad = cad_of(found_everywhere(), encoding=CODED)
    category = only_item(cad, "111005")
    assert code_of(category) == "MA.II.A.5.4B"
    assert value(category, "272741003") == "63762007", "both breasts"
    beside = [item for item in only_item(cad, "111017").ContentSequence if item.RelationshipType == "HAS PROPERTIES"]
    assert f"{BUNDLE.name}, score of whole images" in [item.get("TextValue") for item in beside]
    assert not any(item.get("ValueType") == "PNAME" for item in walk(cad)), "no person observed"
    assert is_ours(cad)
    assert cad.VerificationFlag == "UNVERIFIED"
    assert named(cad_of(found_in_one_view(), encoding=CODED), "111005") == []


def test_the_range_1_to_2_has_no_code_and_is_not_rounded_to_1_or_2():
    exam = replace(nothing_found(), likelihood=Likelihood(0.001, Category.ONE_OR_TWO))
    assert named(cad_of(exam, encoding=CODED), "111005") == []
