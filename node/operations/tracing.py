"""Traces of studies for OpenTelemetry (extra `tracing`): made from what the queue says when a study is reported.

Nothing is measured while the work is done, and nothing of a patient is sent: numbers, names of peers, kinds and times.
A study is sent a minute after its report, when its results are usually delivered. What a killed node had not sent is
not sent later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from models.errors import UserError
from node.store.database import Sessions, read_only
from node.store.states import StudyState
from node.store.tables import Delivery, Instance, Result, Study

AFTER_S = 60.0
_TIMEOUT_S = 5.0


class CannotTrace(UserError):
    """The settings ask for traces, and the packages for them are not installed."""


@dataclass(frozen=True)
class Span:
    """A part of a study's road. Times are UTC seconds since the epoch."""

    name: str
    began: float
    ended: float
    attributes: Mapping[str, str | int | float]
    inside: Sequence[Span] = field(default=())


def spans_of(study: Study, results: Sequence[Result], deliveries: Sequence[Delivery]) -> Span:
    """A reported study's newest revision: received, waited for more, each image read, reported, delivered."""
    reported = min(result.written_at for result in results)
    last = max(instance.received_at for instance in study.instances)
    parts = [Span("receive", study.first_received_at, last, {"images": len(study.instances)})]
    if study.closed_at is not None:
        parts.append(Span("wait for more images", last, study.closed_at, {"why": study.why}))
    parts += [_read(instance) for instance in study.instances if instance.read_at is not None]
    ready = max([part.ended for part in parts if part.ended <= reported], default=reported)
    parts.append(Span("report", ready, reported, {"objects": len(results)}))
    parts += [
        Span(
            "deliver",
            delivery.created_at,
            delivery.sent_at,
            {"destination": delivery.destination, "attempts": delivery.attempts},
        )
        for delivery in deliveries
        if delivery.sent_at is not None
    ]
    about: dict[str, str | int | float] = {"study": study.id, "revision": study.revision, "sender": study.source}
    return Span("study", study.first_received_at, max(part.ended for part in parts), about, tuple(parts))


def _read(instance: Instance) -> Span:
    ended = instance.read_at or 0.0
    took: Mapping[str, Any] = (instance.reading or {}).get("seconds", {})  # type: ignore[assignment]
    stages, at = [], ended - sum(took.values())
    for stage, seconds in took.items():
        stages.append(Span(stage, at, at + seconds, {}))
        at += seconds
    return Span("read image", ended - sum(took.values()), ended, {"image": instance.id}, tuple(stages))


class Traces:
    """Sends the traces of studies as they are reported, to an OTLP endpoint (HTTP, protobuf).

    Args:
        endpoint: its address, such as http://127.0.0.1:4318/v1/traces.
        since: UTC seconds since the epoch; what was reported before is not sent.
    """

    def __init__(self, endpoint: str, sessions: Sessions, since: float) -> None:
        """
        Raises:
            CannotTrace
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise CannotTrace('tracing.endpoint is set: pip install "mammo-node[tracing]", or leave it out') from error
        self._sessions, self._since = sessions, since
        named = {"service.name": "mammo-node", "service.version": version("mammo-node")}
        self._provider = TracerProvider(resource=Resource(named), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=_TIMEOUT_S)))
        self._tracer = self._provider.get_tracer("mammo-node")

    def send(self, now: float) -> None:
        """Sends what was reported AFTER_S ago or earlier, and was not sent yet."""
        until = now - AFTER_S
        with read_only(self._sessions) as session:
            written = func.min(Result.written_at)
            newest = (
                select(Result.study_id)
                .join(Study, Study.id == Result.study_id)
                .where(Result.revision == Study.revision, Study.state == StudyState.REPORTED)
                .where(Result.written_at > self._since)
                .group_by(Result.study_id)
                .having(written <= until)
            )
            for study_id in session.scalars(newest).all():
                study = session.get_one(Study, study_id, options=[selectinload(Study.instances)])
                own = Result.study_id == study_id, Result.revision == study.revision
                results = session.scalars(select(Result).where(*own)).all()
                deliveries = session.scalars(select(Delivery).join(Delivery.result).where(*own)).all()
                self._emit(spans_of(study, results, deliveries), None)
        self._since = max(self._since, until)

    def pass_over(self, now: float) -> None:
        """Leaves what is due to another process of the node, which sends it."""
        self._since = max(self._since, now - AFTER_S)

    def close(self) -> None:
        """Sends what waits, and ends the thread that sends."""
        self._provider.shutdown()

    def _emit(self, span: Span, parent: Any) -> None:
        from opentelemetry.trace import set_span_in_context

        attributes = {f"mammo_node.{name.replace(' ', '_')}": value for name, value in span.attributes.items()}
        began = int(span.began * 1e9)
        made = self._tracer.start_span(span.name, context=parent, attributes=attributes, start_time=began)
        inside = set_span_in_context(made)
        for part in span.inside:
            self._emit(part, inside)
        made.end(int(span.ended * 1e9))
