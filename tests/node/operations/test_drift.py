"""Whether a scanner drifts: by control charts of what the models said each week."""

from __future__ import annotations

import math

import numpy as np
import pytest
from road import Road, changed

from models.birads.calibration import Calibration, Level, Method
from node.demo.studies import DemoStudy
from node.operations.drift import BASELINE_WEEKS, LEAST_IMAGES, SUSTAINED, Watched, drift
from node.reporting.weeks import WEEK_S, start_of, week_of
from node.store.database import open_database, sessions_of
from node.store.tables import ReadingWeek

FIRST = 2900
NOTHING = {"images": 0, "score_sum": 0.0, "score_squares": 0.0, "findings": 0, "exams": 0, "exams_above": 0}


def weeks(seed: int, count: int, images: int = 400, shift: float = 0.0, shifted: int = 0, recalls: float = 0.05):
    """Weeks of exams of four images whose scores are alike; in the last `shifted` of them scores are higher."""
    draw = np.random.default_rng(seed)
    for number in range(count):
        more = shift if number >= count - shifted else 0.0
        exams = draw.beta(2, 6, images // 4)
        scores = np.clip(np.repeat(exams, 4) + draw.normal(0, 0.03, images) + more, 0, 1)
        yield ReadingWeek(
            week=FIRST + number, scanner="MAKER One", source="PACS", bundle="a 1", images=images,
            score_sum=float(scores.sum()), score_squares=float((scores**2).sum()),
            findings=int(draw.poisson(0.5, images).sum()), exams=images // 4,
            exams_above=int(draw.binomial(images // 4, recalls)),
        )  # fmt: skip


def judged(tmp_path, rows, after: int) -> tuple[Watched, ...]:
    sessions = sessions_of(open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}"))
    with sessions.begin() as session:
        session.add_all(rows)
    with sessions() as session:
        return drift(session, start_of(FIRST + after) + 3600)


def test_a_scanner_whose_scores_rise_is_named_in_one_sentence(tmp_path):
    (found,) = judged(tmp_path, weeks(1, 20, shift=0.15, shifted=1), 20)
    (sentence,) = found.drifts
    assert sentence.startswith("MAKER One from PACS: the mean score was 0.4")
    assert "is expected" in sentence


def test_a_small_shift_is_seen_when_it_lasts(tmp_path):
    (found,) = judged(tmp_path, weeks(2, 30, shift=0.04, shifted=SUSTAINED), 30)
    assert [sentence.partition(" over ")[2] for sentence in found.drifts] == [
        f"the last {SUSTAINED} weeks, and 0.25 is usual"
    ]


def test_without_a_shift_hardly_any_week_is_outside(tmp_path):
    (found,) = judged(tmp_path, weeks(3, 53), 53)
    outside = [point for course in found.courses for point in course.points if point.is_outside]
    assert len(outside) <= 2, "of 123, three standard errors"
    assert found.drifts == ()


@pytest.mark.parametrize(
    ("count", "images", "after"),
    [(BASELINE_WEEKS, 400, BASELINE_WEEKS), (20, LEAST_IMAGES - 4, 20), (BASELINE_WEEKS + 1, 400, BASELINE_WEEKS)],
    ids=["only the baseline", "too few images", "the week is not over"],
)
def test_nothing_is_judged_before_it_can_be(tmp_path, count, images, after):
    (found,) = judged(tmp_path, weeks(4, count, images, shift=0.3, shifted=1), after)
    assert found.drifts == ()
    assert not [point for course in found.courses for point in course.points if point.judged]


def test_the_limits_are_those_of_the_formula(tmp_path):
    even = [
        ReadingWeek(week=FIRST + number, scanner="", source="", bundle="a 1",
                    **(NOTHING | {"images": 100, "findings": 36, "score_sum": 50.0, "score_squares": 29.0}))
        for number in range(BASELINE_WEEKS + 1)
    ]  # fmt: skip
    (found,) = judged(tmp_path, even, BASELINE_WEEKS + 1)
    scores, findings, shares = found.courses
    reach = 3 * math.sqrt(1 / 100 + 1 / 1200)
    assert (scores.points[-1].low, scores.points[-1].high) == pytest.approx((0.5 - 0.2 * reach, 0.5 + 0.2 * reach))
    assert (findings.points[-1].low, findings.points[-1].high) == pytest.approx(
        (0.36 - 0.6 * reach, 0.36 + 0.6 * reach)
    )
    assert (shares.points, found.name) == ((), "A scanner that is not named from files")


def test_a_scanner_that_never_recalled_does_not_drift_with_its_first_recall(tmp_path):
    rows = [*weeks(5, 20, recalls=0)]
    rows[-1].exams_above = 1
    (found,) = judged(tmp_path, rows, 20)
    assert found.drifts == ()


def test_a_reported_study_is_counted_in_its_week_and_again_only_when_it_is_read_again(
    tmp_path, mammogram_study: DemoStudy
):
    flat = Calibration(Level.EXAM, Method.PLATT, {"slope": (1.0,), "offset": (0.0,)}, 0.006, 1000, 1000)
    road = Road(tmp_path, calibration={Level.EXAM: flat})
    of = {"Manufacturer": "MAKER", "ManufacturerModelName": "Maker One"}
    first, second, third = (changed(file, **of) for file in mammogram_study.files[:3])
    road.all_of_it(first, second)

    def counted() -> tuple[int, int, int, int]:
        with road.sessions() as session:
            row = session.query(ReadingWeek).one()
        assert (row.week, row.scanner, row.source) == (week_of(road.clock()), "Maker One", "PACS")
        return row.images, row.findings, row.exams, row.exams_above

    assert counted() == (2, 2, 1, 1)
    road.all_of_it(third)
    assert counted() == (3, 3, 2, 2), "the new image, and its exam again"
    assert start_of(week_of(road.clock())) <= road.clock() < start_of(week_of(road.clock())) + WEEK_S
