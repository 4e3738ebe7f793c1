"""Agreement, calculated at a button."""

from __future__ import annotations

import pytest
from browsing import Browsing, words
from road import Road
from running import eventually

from config.peers import DicomDestination
from config.web import Role
from models.birads.agreement import Compared
from models.birads.calibration import Level
from models.evaluation.agreement_tables import agreement_table, confusion_table
from models.evaluation.tables import Draws
from models.types.birads import AssessmentSource, Category, Likelihood
from node.operations.accounts import add
from node.store.tables import ReceivedAssessment
from node.web.agreement_charts import agreement_shares, confusion_grid

PASSWORD = "a long enough one"
PACS = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1)


@pytest.fixture(scope="module")
def assessed(reported: Road) -> Road:
    """The reported study with a radiologist's category of its left breast, and accounts."""
    with reported.sessions.begin() as session:
        session.add(
            ReceivedAssessment(
                study_id=1, laterality="L", category=Category.FOUR_A, source=AssessmentSource.HL7, document="1",
                assessed_at=None, received_at=reported.clock(),
            )
        )  # fmt: skip
        for role in (Role.VIEWER, Role.OPERATOR):
            add(session, f"the-{role}", role, PASSWORD, reported.clock())
    return reported


def signed_in(browse, road: Road, role: Role) -> Browsing:
    browser = browse(road, destinations=(PACS,))
    browser.send("/sign-in", "/sign-in", name=f"the-{role}", password=PASSWORD)
    return browser


def test_an_operator_has_the_figures_calculated_and_the_page_shows_them(browse, assessed: Road):
    browser = signed_in(browse, assessed, Role.OPERATOR)
    assert "were not calculated since the node started" in browser.text("/agreement")
    assert "being calculated" in words(browser.send("/agreement", "/agreement", level="breast").text)

    def done() -> str | None:
        shown = browser.text("/agreement")
        return None if "being calculated" in shown else shown

    shown = eventually("the figures are there", done)
    assert "1 breast with a category" in shown
    assert "breasts whose score is not calibrated and implies no category: 1" in shown


def test_the_charts_hold_what_the_tables_say():
    of = [Compared("P", 0.3, Likelihood(0.3, Category.FOUR_B), 0.01, assigned) for assigned in (Category.TWO,) * 4]
    both = [*of, Compared("Q", 0.9, Likelihood(0.9, Category.FOUR_C), 0.01, Category.FIVE)]
    grid = confusion_grid(confusion_table(both))
    assert grid
    assert [(field.count, field.shade) for field in grid.fields] == [(4, 5), (1, 3)]
    assert grid.fields[0].x < grid.recalled_from < grid.fields[1].x
    shares = agreement_shares(agreement_table(both, Level.BREAST, Draws(resamples=10)))
    assert shares
    assert [share.says.partition(" %")[0] for share in shares.shares] == ["20.0", "80.0", "0.0"]
    nobody = [Compared("P", None)]
    assert confusion_grid(confusion_table(nobody)) is None
    assert agreement_shares(agreement_table(nobody, Level.BREAST, Draws())) is None


def test_a_viewer_has_nothing_calculated(browse, assessed: Road):
    browser = signed_in(browse, assessed, Role.VIEWER)
    answer = browser.send("/agreement", "/studies", level="exam")
    assert answer.status_code == 403
    assert "This needs the role operator" in words(answer.text)
