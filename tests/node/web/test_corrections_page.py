"""Proposals against corrections, compared at a button."""

from __future__ import annotations

from annotating import disc, proposed_mass, segmentation
from browsing import words
from pydicom import dcmread
from road import Road
from running import eventually

from config.web import Role
from node.demo.studies import DemoStudy
from node.operations.accounts import add

PASSWORD = "a long enough one"


def test_an_operator_has_corrections_compared_and_sees_both_outlines(browse, road: Road, mammogram_study: DemoStudy):
    road.all_of_it(*mammogram_study.files[:2])
    image = dcmread(mammogram_study.files[0])
    shape = (image.Rows, image.Columns)
    road.clock.seconds += 600
    road.receive(segmentation({"mass": proposed_mass(road, image), "mass 2": disc(shape, 30, 30, 8)}, image))
    with road.sessions.begin() as session:
        add(session, "ann", Role.OPERATOR, PASSWORD, road.clock())
    browser = browse(road, review={"share": 1})
    browser.send("/sign-in", "/sign-in", name="ann", password=PASSWORD)
    assert "being compared" in words(browser.send("/annotations", "/annotations").text)

    def done() -> str | None:
        shown = browser.text("/annotations")
        return None if "being compared" in shown else shown

    shown = eventually("the comparison is there", done)
    assert "1 corrected image of 1 patient, 1 with proposals" in shown
    assert "1 kept (Dice 1.00), 1 added, 0 removed; revision 1" in shown
    assert "None: each selected study has a correction." in shown
    page = browser.get("/annotations").text
    assert (page.count('class="proposed"'), page.count('class="corrected"')) == (1, 2)
