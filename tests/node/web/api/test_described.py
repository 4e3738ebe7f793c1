"""The interface keeps to its own description in OpenAPI: schemathesis asks each operation for what it describes and for
what it does not, and looks at every answer.

What is left out, and why:
- GET /events: its answer does not end. `test_events.py` reads it from a server.
- POST /studies/{study}/reread begins minutes of computation: while these requests are made something else is being read
  again, so that it answers 409. `test_interface.py` has its 202.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator

import pytest
import schemathesis
from browsing import application_of
from fastapi import FastAPI
from programs import token_of
from road import Road, changed
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from schemathesis.engine.recorder import ScenarioRecorder

from config.settings import Settings
from config.web import Role
from node.demo.studies import DemoStudy

DESCRIPTION = "/api/v1/openapi.json"


@pytest.fixture
def asked(road: Road, mammogram_study: DemoStudy) -> Iterator[FastAPI]:
    """A node with a reported study and one in quarantine."""
    first, second = mammogram_study.files[:2]
    road.all_of_it(first)
    other = "1.2.826.0.1.3680043.8.498.7"
    road.receive(
        changed(first, StudyInstanceUID=other, SOPInstanceUID=f"{other}.1"),
        changed(second, StudyInstanceUID=other, SOPInstanceUID=f"{other}.2", PatientID="another"),
    )
    application = application_of(road, Settings(data_dir=road.data_dir))
    application.state.desk.background.begin("another study", time.sleep, 3600)
    yield application
    for process in multiprocessing.active_children():
        process.kill()


@pytest.mark.slow
def test_every_answer_is_as_described(asked: FastAPI, road: Road):
    schema = schemathesis.openapi.from_asgi(DESCRIPTION, asked).exclude(path="/events")
    schema.config.update(headers={"Authorization": f"Bearer {token_of(road, Role.OPERATOR)}"}, workers=1)
    schema.config.generation.update(max_examples=12, deterministic=True, database="none")
    wrong: list[str] = []
    asked_for: set[str] = set()
    for event in from_schema(schema).execute():
        match event:
            case ScenarioFinished(recorder=recorder):
                asked_for |= {case.value.operation.label for case in recorder.cases.values()}
                wrong += failures_of(recorder)
            case NonFatalError() | FatalError():
                wrong.append(str(event))
    assert not wrong, "\n".join(wrong)
    assert len(asked_for) == 8, "every operation but the one that is left out"


def failures_of(recorder: ScenarioRecorder) -> Iterator[str]:
    for case, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                yield f"{recorder.cases[case].value.as_curl_command()}: {check.failure_info.failure}"
