"""Metrics for Prometheus: counted from the queue when they are asked for. Nothing of a patient.

Counters and histograms begin at zero with the page's process, as Prometheus expects; each scrape adds what was stored
since the one before.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.settings import Settings
from node.archive.layout import AUDIT_SENT
from node.audit.recorder import stored_head
from node.audit.sender import not_sent
from node.intake.limited_senders import limited_senders
from node.intake.refused_instances import refused_instances
from node.operations.certificates import own_certificates
from node.operations.cluster import view_actors
from node.operations.day import destination_words, first_report_seconds, view_day
from node.operations.needs import needs
from node.operations.webhooks import webhook_words
from node.store.states import DeliveryState, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Study

MB = 1_000_000
_SETTLES_S = 5.0
"""Rows younger than this are left to the next scrape: one with an earlier time may still be committed."""
_STAGE_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
_REPORT_S = (5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_NEEDS = (
    "disk",
    "reader",
    "delivery",
    "quarantine",
    "failed",
    "stranded",
    "drift",
    "certificate",
    "archive",
    "audit",
    "refused",
)


class Metrics:
    """The metrics of a node.

    Args:
        now: UTC seconds since the epoch.
    """

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        self._settings = settings
        self._now = now
        self._counted_to = now()
        self._turn = threading.Lock()
        self._registry = registry = CollectorRegistry()
        self._received = Counter("mammo_node_images_received", "Images received.", ["sender"], registry=registry)
        self._read = Counter("mammo_node_images_read", "Images read.", registry=registry)
        self._stages = Histogram(
            "mammo_node_stage_seconds",
            "Seconds of each stage of reading an image.",
            ["stage"],
            buckets=_STAGE_S,
            registry=registry,
        )
        self._reports = Histogram(
            "mammo_node_report_seconds",
            "Seconds from the last image of a study to its first report.",
            buckets=_REPORT_S,
            registry=registry,
        )
        self._delivered = Counter(
            "mammo_node_results_delivered", "Results delivered.", ["destination"], registry=registry
        )
        self._studies = _gauge("studies", "Studies that are not finished.", registry, "state")
        self._jobs = _gauge("jobs", "Jobs that wait, run or have failed.", registry, "kind", "state")
        self._deliveries = _gauge("deliveries", "Results on their way.", registry, "destination", "state")
        self._lag = _gauge("delivery_lag_seconds", "How long the oldest result waits.", registry, "destination")
        self._disk_free = _gauge("disk_free_bytes", "Free space of the data folder's disk.", registry)
        self._disk_floor = _gauge("disk_min_free_bytes", "Below this, images are refused.", registry)
        self._limited = _gauge(
            "sender_refused",
            "Refused by a limit of the sender: associations, objects.",
            registry,
            "sender",
            "limit",
        )
        self._refused = _gauge("instances_refused", "Instances refused, by status.", registry, "sender", "status")
        self._certificates = _gauge(
            "certificate_expires_seconds", "When a certificate of the node expires, since the epoch.", registry, "of"
        )
        self._actors = _gauge("ray_actors", "Actors on the Ray cluster, there and wanted.", registry, "state")
        self._unsent = _gauge("audit_unsent_lines", "Lines that the audit trail's receiver does not have.", registry)
        self._unsent_s = _gauge("audit_unsent_seconds", "For how long it has taken none of them.", registry)
        self._needs = _gauge("needs_a_person", "Whether something needs a person.", registry, "about")
        Info("mammo_node", "The models, and the device that was asked for.", registry=registry).info(
            {"bundle": settings.reader.bundle, "device": settings.reader.device}
        )

    def scrape(self, session: Session) -> bytes:
        """The metrics in Prometheus's text format."""
        with self._turn:
            until = self._now() - _SETTLES_S
            if until > self._counted_to:
                self._count(session, self._counted_to, until)
                self._counted_to = until
            self._gauge(session)
            return generate_latest(self._registry)

    def _count(self, session: Session, after: float, until: float) -> None:
        """Adds what was stored after one time, up to another."""
        received = (
            select(Study.source, func.count())
            .join(Instance.study)
            .where(Instance.received_at > after, Instance.received_at <= until)
            .group_by(Study.source)
        )
        for source, count in session.execute(received):
            self._received.labels(source or "files").inc(count)
        for reading in session.scalars(
            select(Instance.reading).where(Instance.read_at > after, Instance.read_at <= until)
        ):
            self._read.inc()
            seconds = (reading or {}).get("seconds")
            if isinstance(seconds, dict):
                for stage, value in seconds.items():
                    self._stages.labels(stage).observe(value)
        for seconds in first_report_seconds(session, after, until):
            self._reports.observe(seconds)
        for destination in self._settings.destinations:
            sent = select(func.count()).where(
                Delivery.destination == destination.name, Delivery.sent_at > after, Delivery.sent_at <= until
            )
            self._delivered.labels(destination.name).inc(session.scalar(sent) or 0)

    def _gauge(self, session: Session) -> None:
        now, settings = self._now(), self._settings
        for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.QUARANTINED):
            number = select(func.count()).where(Study.state == state)
            self._studies.labels(state).set(session.scalar(number) or 0)
        self._jobs.clear()
        states = [JobState.WAITING, JobState.RUNNING, JobState.FAILED]
        unfinished = select(Job.kind, Job.state, func.count()).where(Job.state.in_(states))
        for kind, job_state, count in session.execute(unfinished.group_by(Job.kind, Job.state)):
            self._jobs.labels(kind, job_state).set(count)
        self._deliveries.clear()
        open_states = [DeliveryState.WAITING, DeliveryState.UNCOMMITTED, DeliveryState.DEAD]
        open_ones = select(Delivery.destination, Delivery.state, func.count()).where(Delivery.state.in_(open_states))
        for name, delivery_state, count in session.execute(open_ones.group_by(Delivery.destination, Delivery.state)):
            self._deliveries.labels(name, delivery_state).set(count)
        names = [destination.name for destination in settings.destinations]
        webhooks = [webhook.name for webhook in settings.webhooks]
        words = (*destination_words(session, names, now), *webhook_words(session, webhooks, now))
        for word in words:
            self._lag.labels(word.name).set(0 if word.waits_since is None else now - word.waits_since)
        try:
            self._disk_free.set(shutil.disk_usage(settings.data_dir).free)
        except OSError:
            self._disk_free.set(0)
        self._disk_floor.set(settings.receiver.min_free_mb * MB)
        for limited in limited_senders(session):
            self._limited.labels(limited.calling_ae_title, limited.limit).set(limited.times)
        for refused in refused_instances(session):
            self._refused.labels(refused.calling_ae_title, refused.status).set(refused.times)
        for certificate in own_certificates(settings):
            self._certificates.labels(certificate.of).set(certificate.ends or 0)
        if not settings.reads_here:
            pools = view_actors(session)
            self._actors.labels("there").set(sum(pool.actors for pool in pools))
            self._actors.labels("wanted").set(sum(pool.wanted for pool in pools))
        if settings.audit.syslog_host is not None:
            unsent, since = not_sent(settings.data_dir / AUDIT_SENT, stored_head(session))
            self._unsent.set(unsent)
            self._unsent_s.set(0 if since is None else max(0.0, now - since))
        found = {need.about for need in needs(session, settings, view_day(session, names, now), words, now)}
        for about in _NEEDS:
            self._needs.labels(about).set(about in found)


def _gauge(name: str, about: str, registry: CollectorRegistry, *labels: str) -> Gauge:
    return Gauge(f"mammo_node_{name}", about, labels, registry=registry)
