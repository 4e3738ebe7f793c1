"""A reference set ranks the reports that are written with it, and changes none that was written before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from clock import Clock
from readings import DEVICE
from reports import comments_of, named
from road import Road, texts
from simple_models import BUNDLE, OneMass, pipeline_of
from sqlalchemy import select

from models.reference.tenths import Reference
from models.types.reading import BundleId
from models.types.reference import ReferenceSet
from node.demo.studies import DemoStudy
from node.folder.reading import FolderLimits, FolderReading
from node.store.tables import Delivery, Result, Study
from node.studies.lifecycle import report_anew

pytestmark = pytest.mark.slow

SCORE = OneMass().malignancy


def reference(name: str, *, lower: int) -> Reference:
    """A set in which the score of every exam here is above `lower` of the nine boundaries."""
    of = ReferenceSet(name, 250, is_screening=False)
    return Reference(of, BUNDLE, "", (0.0,) * lower + (SCORE,) * (9 - lower))


def ranking(road: Road, by: Reference | None) -> Road:
    """The node after a restart with another reference set."""
    road.reporter = replace(road.reporter, reference=by)
    return road


def rows(road: Road) -> list[tuple[int, str, str]]:
    with road.sessions.begin() as session:
        return [
            (delivery.id, str(delivery.state), result.sop_instance_uid)
            for delivery, result in session.execute(
                select(Delivery, Result).join(Delivery.result).order_by(Delivery.id)
            ).all()
        ]


def test_a_changed_reference_set_changes_and_sends_no_report_that_is_written(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = ranking(Road(tmp_path, profile="all"), reference("first", lower=8))
    road.all_of_it(*mammogram_study.files)
    assert "Exam: 9 of 10: tenth of reference set first (n = 250, not screening)." in comments_of(road.results("SR")[0])
    sent = rows(road)
    for by in (reference("second", lower=2), None):
        ranking(road, by).close(after_s=10_000)
        road.read()
        road.report()
        assert rows(road) == sent
        assert road.study().revision == 1


def test_the_next_revision_of_a_report_is_ranked_by_the_set_of_its_time_and_sends_only_what_states_the_tenth(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    road = ranking(Road(tmp_path, profile="all"), reference("first", lower=8))
    road.all_of_it(*mammogram_study.files)
    before = {uid for _, _, uid in rows(road)}
    ranking(road, reference("second", lower=2))
    with road.sessions.begin() as session:
        report_anew(session, session.get_one(Study, 1), road.clock(), "read again")
    road.report()
    new = [result for result in road.results(revision=2) if result.SOPInstanceUID not in before]
    assert sorted(str(result.SeriesNumber) for result in new) == ["9000", "9200", "9400"], "SR, CAD SR, summary page"
    report = road.results("SR")[-1]
    assert "Exam: 3 of 10: tenth of reference set second (n = 250, not screening)." in comments_of(report)
    assert "reference set first" not in texts(report)
    assert len(report.PredecessorDocumentsSequence) == 1
    assert len(named(report, "REFERENCE_TENTH")) == 1


def test_a_study_that_another_bundle_read_gets_no_tenth_and_the_reason(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    of_the_next = replace(reference("ward", lower=8), bundle=BundleId("test", "2"))
    road = ranking(Road(tmp_path), of_the_next)
    road.all_of_it(*mammogram_study.files)
    assert (
        "Exam: no tenth of reference set ward (n = 250, not screening): it was read by another bundle."
        in comments_of(road.results("SR")[0])
    )


def test_a_folder_is_read_with_the_tenth_in_reading_json_and_the_report(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    ward = reference("ward", lower=8)
    reading = FolderReading(BUNDLE, DEVICE, scratch, tmp_path / "out", FolderLimits(), Clock(), reference=ward)
    reading.take(mammogram_study.files, reads_secondary_capture=False)
    reading.read(pipeline_of(OneMass()), lambda count: None)
    (outcome,) = reading.report()
    assert outcome.folder is not None
    assert outcome.exam is not None
    assert str(outcome.exam.tenth) == "9 of 10: tenth of reference set ward (n = 250, not screening)"
    written = json.loads((outcome.folder / "reading.json").read_text())
    assert written["reference_tenth"]["tenth"] == 9
