"""The text of a report gives the category that its writer meant."""

from __future__ import annotations

import pytest
from assessing import REFUSED, understood
from report_texts import SAID

from node.assessments.text.report import categories_in, category_in, sides_in


@pytest.mark.parametrize(("text", "meant"), SAID.items())
def test_category_and_breast_are_read_in_english_german_and_dutch(text: str, meant: str) -> None:
    assert understood(text) == meant


@pytest.mark.parametrize("hyphen", "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad\u200b")
def test_birads_is_recognised_with_any_hyphen_or_none(hyphen: str) -> None:
    assert understood(f"BI{hyphen}RADS 4 right") == "R 4"
    assert understood(f"BI-RADS 2{hyphen}3") == REFUSED if hyphen not in "\u00ad\u200b" else True


def test_a_past_category_beside_the_present_one_is_left_out() -> None:
    assert categories_in("Previously BI-RADS 3, now BI-RADS 2") == [((), "2")]


def test_a_field_or_cell_gives_its_category_or_none() -> None:
    values = (
        "4A",
        "4a ",
        "BI-RADS 4A",
        "BI\u2011RADS 4A",
        "4A - Low suspicion",
        "4A \u2013 Low suspicion",
        "II",
        "IVa",
    )
    assert [category_in(value) for value in values] == ["4A", "4A", "4A", "4A", "4A", "4A", "2", "4A"]
    none = (
        "",
        "7",
        "14",
        "2-3",
        "2\u20133",
        "397144001",
        "ONE",
        "II.AC.b.4",
        "3 to 4",
        "4A/B",
        "III-IV",
        "6 months follow-up",
        "0 of 3",
        "4 - not given",
        "4?",
    )
    assert {category_in(value) for value in none} == {None}
    assert category_in("4A - Low suspicion", alone=True) is None
    sides = ("L", "right", "RT", "links", "both", "B", "", "left breast", "Left breast structure", "L & R", "re.")
    assert [sides_in(value) for value in sides] == [
        ("L",),
        ("R",),
        ("R",),
        ("L",),
        ("L", "R"),
        ("L", "R"),
        (),
        ("L",),
        ("L",),
        ("L", "R"),
        ("R",),
    ]
    unsure = ("unilateral", "not left", "contralateral to left", "left or right", "left > right", "left?", "LCC")
    assert {sides_in(value) for value in unsure} == {None}
