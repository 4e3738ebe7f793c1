"""The demo ends with a sentence if its node cannot continue, and never waits for ever."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from node.demo.run import Demo, DemoFailed, DemoProgress
from node.operations.status import DeliveryView, JobView, StudyView
from node.store.states import DeliveryState, JobState, StudyState

pytestmark = pytest.mark.slow

STUDY = StudyView(
    id=1,
    study_instance_uid="1.2.3",
    source="DEMO_SENDER",
    state=StudyState.REPORTED,
    why="",
    revision=1,
    first_received_at=0,
    last_received_at=0,
    expected_instances=None,
    images=(),
    jobs=(),
    deliveries=(DeliveryView(1, "SR", 1, "demo-pacs", DeliveryState.SENT, 1, 0, 0, ""),),
)


def test_a_delivered_study_is_neither_failed_nor_awaited():
    progress = DemoProgress(4, 4, (STUDY,))
    assert progress.delivered
    assert progress.failed == ""


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        (replace(STUDY, state=StudyState.QUARANTINED, why="two patients"), "study 1 is quarantined: two patients"),
        (replace(STUDY, state=StudyState.NOT_READ, why="no breast image"), "study 1 is not-read: no breast image"),
        (replace(STUDY, jobs=(JobView(2, "report", None, JobState.FAILED, 1, "it broke"),)), "study 1: it broke"),
        (
            replace(STUDY, deliveries=(replace(STUDY.deliveries[0], state=DeliveryState.DEAD, error="refused"),)),
            "study 1: its SR did not reach the PACS: refused",
        ),
    ],
)
def test_a_study_that_can_no_longer_be_delivered_is_reported(study: StudyView, expected: str):
    assert DemoProgress(4, 4, (study,)).failed == expected


def test_a_job_that_is_retried_is_not_reported_as_failed():
    waiting = JobView(2, "read-image", 1, JobState.WAITING, 1, "tried once")
    assert DemoProgress(4, 0, (replace(STUDY, jobs=(waiting,)),)).failed == ""


def test_a_node_that_dies_ends_the_demo_with_its_log(tmp_path: Path):
    scene = Demo(tmp_path)
    with scene.running():
        assert scene.progress().images == 0
        scene._node.send_signal(signal.SIGKILL)
        scene._node.wait()
        with pytest.raises(DemoFailed, match=r"ended with status -9\. See .*node\.log"):
            scene.progress()
