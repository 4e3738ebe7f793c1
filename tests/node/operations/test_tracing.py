"""The road of a reported study is sent as a trace, to a real OTLP endpoint, and nothing of a patient with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from road import Road
from sqlalchemy import select

from node.demo.studies import DemoStudy
from node.operations.tracing import AFTER_S, Traces
from node.store.tables import Result


class Collector(HTTPServer):
    """Takes traces as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def spans(self) -> list[Span]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_study_s_road_is_one_trace_without_anything_of_the_patient(
    tmp_path: Path, mammogram_study: DemoStudy, collector: Collector
) -> None:
    road = Road(tmp_path / "data")
    traces = Traces(f"http://127.0.0.1:{collector.server_port}/v1/traces", road.sessions, road.clock())
    road.all_of_it(*mammogram_study.files)
    with road.sessions.begin() as session:
        reported = session.scalars(select(Result.written_at)).first()
    traces.send(reported + AFTER_S - 1)
    traces.send(reported + AFTER_S)
    traces.send(reported + AFTER_S + 20)
    traces.close()
    spans = {span.span_id: span for span in collector.spans}
    assert len({span.trace_id for span in spans.values()}) == 1
    (root,) = [span for span in spans.values() if not span.parent_span_id]
    under_it = sorted(span.name for span in spans.values() if span.parent_span_id == root.span_id)
    assert root.name == "study"
    assert under_it == ["read image"] * 4 + ["receive", "report", "wait for more images"]
    stages = {span.name for span in spans.values() if spans.get(span.parent_span_id, root).name == "read image"}
    assert {"detect", "segment", "classify"} <= stages
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())
    attributes = {item.key: item.value for item in root.attributes}
    assert attributes["mammo_node.study"].int_value == road.study().id
    sent = b"".join(collector.bodies)
    for secret in (mammogram_study.patient_id, mammogram_study.study_instance_uid):
        assert secret.encode() not in sent


def test_what_was_reported_before_the_node_began_is_not_sent(
    tmp_path: Path, mammogram_study: DemoStudy, collector: Collector
) -> None:
    road = Road(tmp_path / "data")
    road.all_of_it(*mammogram_study.files)
    traces = Traces(f"http://127.0.0.1:{collector.server_port}/v1/traces", road.sessions, road.clock() + 1)
    traces.send(road.clock() + 2 * AFTER_S)
    traces.close()
    assert collector.bodies == []
