"""What the simulation of a screening programme promises: no study is lost, and a failure shows in the waits."""

from __future__ import annotations

import pytest
from programme import HOUR_S, Costs, Outage, Plan, figures, simulated

STUDIES = 100_000.0
FEW = Plan(receivers=1, connections=2, readers=2, reporters=1, deliveries=1)


@pytest.mark.parametrize(
    "outages",
    [(), *((Outage(step, 1, 9 * HOUR_S, HOUR_S),) for step in FEW.places)],
    ids=["all is well", *FEW.places],
)
def test_every_study_is_delivered_and_whoever_is_away_makes_them_wait(outages: tuple[Outage, ...]):
    seen = figures(simulated(STUDIES, 1, FEW, Costs(), outages))
    assert seen["studies"] == pytest.approx(STUDIES / 250 * 1.3, rel=0.1)
    assert seen["left"] == 0
    assert (seen["longest"] > HOUR_S / 2) is bool(outages)


def test_too_few_readers_leave_studies_at_the_end():
    slow = Costs(read=400)
    seen = figures(simulated(STUDIES, 1, FEW, slow))
    read = FEW.readers * 18 * HOUR_S / slow.read  # from the first at 6 h until midnight
    assert seen["left"] / seen["studies"] == pytest.approx(1 - read / seen["studies"], abs=0.05)
