"""Builds `mammo-node serve` from settings, database, network and models.

Importing this module never imports torch; only the reader's own process (node/reader/main.py) does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID, uuid4

from pydicom.uid import generate_uid

from config.peers import AnyDestination, Destination, DicomDestination, ObjectDestination, Sender
from config.settings import Settings
from config.webhooks import Webhook
from dicom_io.device import Device
from dicom_io.network.commitment import CommitmentReport
from dicom_io.network.peer import Peer
from dicom_io.network.scp import Listener, ListenerLimits
from dicom_io.network.scu import count_instances
from dicom_io.results.language import language_of
from models.bundles.bundle import Bundle, BundleError, verify
from models.reference.reference_file import ReferenceUnusable, read_reference
from models.reference.tenths import Reference
from models.types.reading import BundleId
from models.types.words import counted
from node.archive.leftovers import remove_leftovers
from node.assessments.hl7.intake import Hl7Intake
from node.assessments.hl7.listener import MllpListener, listen
from node.bundles import open_bundle
from node.delivery.backoff import RetryPolicy
from node.delivery.commitment import Commitment
from node.delivery.deliverer import Deliverer
from node.delivery.destinations import transport
from node.delivery.orphaned import orphaned, waiting_for
from node.delivery.rejection import RejectionWriter
from node.intake.receiving import Receiving, ReceivingLimits
from node.intake.refused_classes import enter_refused_classes
from node.mail.digest import Digest
from node.operations.descriptors import associations_for, raise_limit
from node.operations.tracing import Traces
from node.operations.webhooks import webhook_peer
from node.peers import (
    callers,
    commitment_request,
    committing,
    result_destination,
    server_tls,
    tls_address,
    tls_files,
    window,
)
from node.reader.main import reader_name, run_reader
from node.reader.process import ReaderSupervisor
from node.reporting.reporter import Reporter
from node.routing import route
from node.service import Loop, Service, Tick
from node.store.clock import ClockWatch, follow, resume, steady
from node.store.database import Sessions, open_database, sessions_of
from node.store.events import StudyEvent, Subscriber, subscribe
from node.store.installation import identity_of
from node.store.queue import give_back
from node.studies.closing import close_complete
from node.studies.completeness import Ladder
from node.studies.source_counts import Count, ask_sources
from node.web.main import run_web
from node.web.process import WebSupervisor
from node.webhooks.teller import Teller

log = logging.getLogger(__name__)

CLOSING_EVERY_S = 1.0
ASKING_EVERY_S = 10.0
REJECTING_EVERY_S = 30.0
MAILING_EVERY_S = 60.0
TRACING_EVERY_S = 20.0
MB = 1_000_000


def build_service(settings: Settings) -> Service:
    """Builds the node for these settings.

    Raises:
        BundleError: the models are missing, their weights are damaged, or they are not signed as the settings require.
        UnknownInstallation: the file with the installation's identity is damaged.
        NotListening: the address for HL7 messages cannot be used.
    """
    descriptors = raise_limit()
    sessions = sessions_of(open_database(settings.database))
    bundle = open_bundle(settings)
    if problems := verify(bundle):
        raise BundleError("\n".join(problems))
    _clean_up(settings, sessions)
    device = _device(settings)
    commitments = {to.name: _commitment(to, settings, sessions) for to in committing(settings)}
    return Service(
        _listener(settings, sessions, list(commitments.values()), descriptors),
        _loops(settings, sessions, commitments, bundle.id, device, _reference(settings, bundle)),
        _ticks(settings, sessions, commitments, bundle.id, device),
        ClockWatch(time.time, steady),
    )


def _reference(settings: Settings, bundle: Bundle) -> Reference | None:
    """The reference set of the settings. One that cannot be used, for example after the bundle was changed, must not
    keep the node from receiving: results then state no tenth, and `check` and `status` say why."""
    if settings.reader.reference is None:
        return None
    try:
        return read_reference(settings.reader.reference, bundle)
    except ReferenceUnusable as error:
        log.error("results state no tenth of a reference set: %s", error)
        return None


def _clean_up(settings: Settings, sessions: Sessions) -> None:
    """Cleans up after an earlier run that was killed: gives back its leases, and deletes incomplete files."""
    with sessions.begin() as session:
        for worker in (reader_name(settings), reporter_name(settings)):
            give_back(session, worker, time.time(), counts=True)
        resume(session, time.time())
        remove_leftovers(session, settings.data_dir, time.time())
        for name, count in subscribe(session, map(_subscriber, settings.webhooks)).items():
            log.warning("webhook %s is no longer in the settings: %s for it dropped", name, counted(count, "notice"))
        configured = [destination.name for destination in settings.destinations]
        for name, count in orphaned(session, configured).items():
            log.warning("%s, which is no longer in the settings", waiting_for(name, count))


def _loops(
    settings: Settings,
    sessions: Sessions,
    commitments: Mapping[str, Commitment],
    bundle: BundleId,
    device: Device,
    reference: Reference | None,
) -> list[Loop]:
    supervisor = ReaderSupervisor(run_reader, (settings,), sessions, reader_name(settings), time.time)
    reporter = Reporter(
        sessions=sessions,
        data_dir=settings.data_dir,
        destinations=[result_destination(destination) for destination in settings.destinations],
        router=partial(route, settings.routes),
        bundle=bundle,
        device=device,
        worker=reporter_name(settings),
        lease_s=settings.reader.lease_s,
        now=time.time,
        recall_threshold=settings.birads.recall_threshold,
        coded_category=settings.birads.coded_category,
        reference=reference,
        patient_id_system=settings.installation.patient_id_system or "",
        language=language_of(settings.language),
    )
    loops = [Loop("reader", supervisor.run), Loop("reporter", reporter.run)]
    for destination in settings.destinations:
        deliverer = _deliverer(destination, settings, sessions, commitments.get(destination.name))
        loops.append(Loop(f"delivery to {destination.name}", deliverer.run))
    for webhook in settings.webhooks:
        loops.append(Loop(f"webhook {webhook.name}", _teller(webhook, settings, sessions, device.identity).run))
    if settings.hl7.port is not None:
        loops.append(Loop("HL7", _hl7_listener(settings.hl7.port, settings, sessions).run))
    if settings.web.port is not None:
        loops.append(Loop("web page", WebSupervisor(run_web, (settings,), steady).run))
    return loops


def _ticks(
    settings: Settings, sessions: Sessions, commitments: Mapping[str, Commitment], bundle: BundleId, device: Device
) -> list[Tick]:
    close = partial(_close, sessions, _ladder(settings), ClockWatch(time.time, steady))
    ticks = [Tick("closing", CLOSING_EVERY_S, close)]
    for destination in settings.destinations:
        if isinstance(destination, ObjectDestination) and destination.rejection_notes:
            writer = RejectionWriter(
                destination=result_destination(destination),
                commits=destination.name in commitments,
                sessions=sessions,
                data_dir=settings.data_dir,
                device=device,
                bundle=bundle,
                now=time.time,
            )
            ticks.append(Tick(f"rejection notes to {destination.name}", REJECTING_EVERY_S, writer.run))
    counts = {
        sender.ae_title: _count(sender, sender.find_host, sender.find_port, settings)
        for sender in settings.senders
        if sender.find_host is not None and sender.find_port is not None
    }
    if settings.mail.host is not None:
        ticks.append(Tick("mails", MAILING_EVERY_S, Digest(settings, sessions, time.time).run))
    if settings.tracing.endpoint is not None:
        traces = Traces(settings.tracing.endpoint, sessions, time.time())
        ticks.append(Tick("traces", TRACING_EVERY_S, lambda: traces.send(time.time())))
    if counts:
        ticks.append(Tick("asking", ASKING_EVERY_S, partial(_ask, sessions, counts, settings)))
    return ticks


def reporter_name(settings: Settings) -> str:
    """The worker name of this node's reporter, used in its leases."""
    return f"{settings.receiver.ae_title}/reporter"


def _device(settings: Settings) -> Device:
    installation = settings.installation
    return Device(identity_of(settings.data_dir, uuid4), installation.station_name, installation.institution_name)


def _listener(settings: Settings, sessions: Sessions, commitments: Sequence[Commitment], descriptors: int) -> Listener:
    limits = settings.receiver
    at_once = min(limits.max_associations, associations_for(descriptors))
    if at_once < limits.max_associations:
        log.warning("only %d associations at the same time: too few file descriptors (ulimit -n)", at_once)
    receiving = Receiving(
        sessions,
        settings.data_dir,
        ReceivingLimits(
            min_free_bytes=limits.min_free_mb * MB,
            quota_bytes=None if limits.quota_mb is None else limits.quota_mb * MB,
            max_image_bytes=limits.max_image_mb * MB,
            max_image_pixels=limits.max_image_pixels,
        ),
        frozenset(sender.ae_title for sender in settings.senders if sender.reads_secondary_capture),
        time.time,
        partial(route, settings.routes),
        settings.senders,
    )
    return Listener(
        limits.ae_title,
        limits.host,
        limits.port,
        callers(settings),
        receiving.incoming,
        receiving,
        ListenerLimits(
            max_associations=at_once,
            max_associations_per_peer=limits.max_associations_per_peer,
            max_pdu_bytes=limits.max_pdu_bytes,
            association_timeout_s=limits.association_timeout_s,
            idle_timeout_s=limits.idle_timeout_s,
            max_image_bytes=limits.max_image_mb * MB,
        ),
        partial(_take_commitment_report, commitments) if commitments else None,
        partial(_enter_refused_classes, sessions),
        by_tls=tls_address(limits.tls),
    )


def _enter_refused_classes(sessions: Sessions, calling_ae_title: str, sop_class_uids: Sequence[str]) -> None:
    enter_refused_classes(sessions, calling_ae_title, sop_class_uids, time.time())


def _take_commitment_report(commitments: Sequence[Commitment], report: CommitmentReport) -> bool:
    return any(commitment.take_report(report) for commitment in commitments)


def _hl7_listener(port: int, settings: Settings, sessions: Sessions) -> MllpListener:
    intake = Hl7Intake(sessions, settings.data_dir, settings.hl7, time.time)
    intake.hosts.watch(settings.hl7.sender_hosts)
    return MllpListener(
        listen(settings.hl7.host, port),
        intake.may_send,
        intake.answer,
        intake.too_large,
        settings.hl7.max_message_kb * 1000,
        tls=None if settings.hl7.tls is None else server_tls(settings.hl7.tls),
    )


def _ladder(settings: Settings) -> Ladder:
    closing = settings.closing
    return Ladder(closing.four_views_quiet_s, closing.quiet_s, closing.deadline_s)


def _close(sessions: Sessions, ladder: Ladder, clock: ClockWatch) -> None:
    if moved := clock.set_by():
        with sessions.begin() as session:
            follow(session, moved, time.time(), clock.since_s())
        clock.accept(moved)
    close_complete(sessions, ladder, time.time())


def _ask(sessions: Sessions, counts: dict[str, Count], settings: Settings) -> None:
    ask_sources(sessions, counts, settings.closing.four_views_quiet_s, time.time())


def _count(sender: Sender, host: str, port: int, settings: Settings) -> Count:
    tls = tls_files(sender.find_tls)
    return partial(count_instances, Peer(sender.ae_title, host, port, 10, settings.receiver.ae_title, tls=tls))


def _commitment(destination: DicomDestination, settings: Settings, sessions: Sessions) -> Commitment:
    return Commitment(
        name=destination.name,
        request=commitment_request(destination, settings.receiver.ae_title),
        policy=_policy(destination),
        timeout_s=destination.commitment_timeout_s,
        sessions=sessions,
        now=time.time,
        new_uid=partial(generate_uid, prefix=None),
    )


def _subscriber(webhook: Webhook) -> Subscriber:
    return Subscriber(webhook.name, tuple(map(StudyEvent, webhook.events)), webhook.least_score)


def _teller(webhook: Webhook, settings: Settings, sessions: Sessions, installation: UUID) -> Teller:
    return Teller(
        name=webhook.name,
        peer=webhook_peer(webhook),
        policy=_policy(webhook),
        sessions=sessions,
        installation=installation,
        page=settings.web.address,
        now=time.time,
    )


def _policy(destination: Destination | Webhook) -> RetryPolicy:
    return RetryPolicy(destination.retry_first_s, destination.retry_ceiling_s, destination.dead_after_s)


def _deliverer(
    destination: AnyDestination, settings: Settings, sessions: Sessions, commitment: Commitment | None
) -> Deliverer:
    return Deliverer(
        name=destination.name,
        transport=transport(destination, settings.receiver.ae_title, steady, time.sleep),
        policy=_policy(destination),
        sessions=sessions,
        data_dir=settings.data_dir,
        now=time.time,
        commitment=commitment,
        window=window(destination),
    )
