"""Builds `mammo-node serve` from settings, database, network and models.

Importing this module never imports torch; only the reader's own process (node/reader/main.py) does.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from pydicom.uid import generate_uid

from config.peers import AnyDestination, Destination, DicomDestination, ObjectDestination
from config.settings import Settings
from config.webhooks import Webhook
from dicom_io.device import Device
from dicom_io.network.commitment import CommitmentReport
from dicom_io.network.scp import Listener, ListenerLimits
from dicom_io.network.scu import count_instances
from dicom_io.results.language import language_of
from models.bundles.bundle import Bundle, BundleError, verify
from models.reference.reference_file import ReferenceUnusable, read_reference
from models.reference.tenths import Reference
from models.types.reading import BundleId
from node.archive.copies import Copier
from node.archive.far_side import far_side
from node.archive.fetching import remove_unfinished_fetch
from node.archive.layout import INCOMING
from node.archive.leftovers import remove_leftovers, remove_leftovers_of_processes
from node.archive.space import Space, space_of
from node.assessments.hl7.intake import Hl7Intake
from node.assessments.hl7.listener import MllpListener, listen
from node.audit.actors import retention
from node.audit.recording import Recording
from node.audit.refusals import Refusals
from node.bundles import open_bundle
from node.delivery.backoff import RetryPolicy
from node.delivery.commitment import Commitment
from node.delivery.deliverer import Deliverer
from node.delivery.destinations import recipient, transport
from node.delivery.orphaned import orphaned, waiting_for
from node.delivery.rejection import RejectionWriter
from node.intake.receiving import Receiving, ReceivingLimits
from node.intake.refused_classes import enter_refused_classes
from node.intake.refused_instances import RefusedInstances
from node.intake.sender_limits import SenderLimits
from node.life import begin_to_live, stay_alive
from node.liveness import Signs
from node.mail.digest import Digest
from node.operations.descriptors import associations_for, raise_limit
from node.operations.tracing import Traces
from node.operations.webhooks import webhook_peer
from node.parts import EVERYTHING, WORKERS, Part, process_name, worker_name
from node.peers import (
    callers,
    commitment_request,
    committing,
    find_peer,
    result_destination,
    server_tls,
    tls_address,
    window,
)
from node.reader.main import run_reader
from node.reader.process import ReaderSupervisor
from node.reporting.reporter import Reporter
from node.retention.clock_doubt import ClockDoubt, quiet_for_days
from node.retention.purge import Purge
from node.routing import route
from node.service import Loop, Service, Tick
from node.store.advisory import lock_in_transaction
from node.store.clock import ClockWatch, follow, resume, steady
from node.store.database import Sessions, open_database, read_only, sessions_of
from node.store.database_clock import NodeClock, node_clock
from node.store.events import StudyEvent, Subscriber, left_behind, notices_wait, subscribe
from node.store.installation import belongs_here, identity_of
from node.store.locks import TICKS, Locks
from node.studies.closing import close_complete
from node.studies.completeness import Ladder
from node.studies.source_counts import Count, ask_sources
from node.web.main import run_web
from node.web.process import WebSupervisor
from node.webhooks.teller import Teller
from node.workers import Ended, give_back_of_one, give_back_of_the_ended

log = logging.getLogger(__name__)

CLOSING_EVERY_S = 1.0
ASKING_EVERY_S = 10.0
REJECTING_EVERY_S = 30.0
MAILING_EVERY_S = 60.0
TRACING_EVERY_S = 20.0
ENDED_EVERY_S = 5.0
RECORDING_EVERY_S = 5.0
"""Images of a study that come within this time are one line of the audit trail."""
MEASURING_EVERY_S = 20.0
PURGING_EVERY_S = 600.0
FREEING_EVERY_S = 20.0
LIMITS_EVERY_S = 5.0
MB = 1_000_000


@dataclass(frozen=True)
class _Process:
    """This process of the node, and what all its parts use.

    Attributes:
        name: no other process of the node has it; "" with SQLite, where each part runs in one process.
        parts: what it does.
        now: UTC seconds since the epoch, by the node's clock.
    """

    name: str
    parts: Collection[Part]
    settings: Settings
    sessions: Sessions
    locks: Locks
    device: Device
    now: NodeClock

    def worker(self, part: Part) -> str:
        """The name in leases of what it does."""
        return worker_name(self.settings.receiver.ae_title, part, self.name)

    def alone(self, lock: str) -> Callable[[], bool]:
        """Whether no other process does what a lock is for."""
        return partial(self.locks.still_held, lock)


def build_service(settings: Settings, parts: Collection[Part] = EVERYTHING, signs: Signs | None = None) -> Service:
    """Builds the node for these settings, or some parts of it.

    Args:
        signs: tells the supervisor of this process that it goes on.

    Raises:
        BundleError: the models are missing, their weights are damaged, or they are not signed as the settings require.
        UnknownInstallation: the file with the installation's identity is damaged.
        OtherDataFolder: the queue belongs to another one.
        NotListening: the address for HL7 messages cannot be used.
        QueueUnusable: the queue has a newer version's schema, or processes of an older version still run.
    """
    descriptors = raise_limit()
    sessions = sessions_of(open_database(settings.database))
    bundle = open_bundle(settings)
    if Part.READ in parts and (problems := verify(bundle)):
        raise BundleError("\n".join(problems))
    is_shared = Locks(sessions).are_shared
    name = process_name(socket.gethostname(), uuid4()) if is_shared else ""
    locks = Locks(sessions, name)
    now = node_clock(sessions, time.time, steady)
    process = _Process(name, parts, settings, sessions, locks, _device(settings), now)
    with sessions.begin() as session:
        belongs_here(session, process.device.identity, settings.data_dir)
    if name:
        begin_to_live(process.locks)
        log.info("among the processes of the node this one is %s", name)
    _clean_up(process)
    commitments = {to.name: _commitment(to, process) for to in committing(settings)}
    audit = Recording(settings, sessions, parts, process.alone(TICKS), now)
    loops = _loops(process, commitments, bundle, audit.refusals)
    if audit.sends:
        loops.append(Loop("audit trail to syslog", audit.send))
    ticks = _ticks(process, commitments, bundle.id)
    listener = None
    if {Part.RECEIVE, Part.REPORT} & set(parts):
        space = space_of(settings, sessions)
        ticks += _space_ticks(process, space)
        if Part.RECEIVE in parts:
            limits = SenderLimits(settings.senders, space)
            refused = RefusedInstances(now)
            listener = _listener(process, limits, refused, list(commitments.values()), descriptors, audit.refusals)
            ticks.append(Tick("limits of senders", LIMITS_EVERY_S, lambda: limits.store(sessions, now())))
            ticks.append(Tick("refused instances", LIMITS_EVERY_S, lambda: refused.store(sessions)))
    service = Service(
        listener,
        loops,
        [*ticks, Tick("audit trail", RECORDING_EVERY_S, audit.record, may_take_long=True)],  # its files may be locked
        ClockWatch(time.time, steady),
        ended=audit.end,
        signs=signs,
    )
    audit.begin()
    return service


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


def _clean_up(process: _Process) -> None:
    """Cleans up after processes that were killed: gives back their leases, and deletes incomplete files."""
    settings, now = process.settings, process.now()
    with process.sessions.begin() as session:
        lock_in_transaction(session, "cleaning up")  # several processes may start at the same time
        for part in WORKERS.keys() & process.parts:
            give_back_of_one(session, process.worker(part), now)
        if Part.REPORT in process.parts:
            resume(session, now)
            remove_leftovers(session, settings.data_dir, now)
            remove_unfinished_fetch(settings.data_dir)
        for name in subscribe(session, map(_subscriber, settings.webhooks)):
            log.warning("webhook %s had other events before: those of these settings are told from now on", name)
        if Part.DELIVER in process.parts:
            for name, count in left_behind(session, [webhook.name for webhook in settings.webhooks]).items():
                log.warning("%s, which is not in the settings: `mammo-node webhooks drop`", notices_wait(name, count))
            for name, count in orphaned(session, [to.name for to in settings.destinations]).items():
                log.warning("%s, which is no longer in the settings", waiting_for(name, count))


def _loops(process: _Process, commitments: Mapping[str, Commitment], bundle: Bundle, refusals: Refusals) -> list[Loop]:
    settings, parts = process.settings, process.parts
    loops = []
    if process.name:
        loops.append(Loop("the life of this process", partial(stay_alive, process.locks)))
        loops.append(Loop("the database's clock", process.now.follow))
    if Part.READ in parts:
        worker = process.worker(Part.READ)
        supervisor = ReaderSupervisor(
            run_reader, (settings, worker), process.sessions, worker, process.now, decodes=settings.reads_here
        )
        loops.append(Loop("reader", supervisor.run))
    if Part.REPORT in parts:
        loops.append(Loop("reporter", _reporter(process, bundle).run))
    if Part.DELIVER in parts:
        for destination in settings.destinations:
            run = partial(_deliver, destination, process, commitments.get(destination.name))
            loops.append(Loop(f"delivery to {destination.name}", run))
        loops += [Loop(f"webhook {webhook.name}", _teller(webhook, process).run) for webhook in settings.webhooks]
    if Part.RECEIVE in parts and (far := far_side(settings.archive)) is not None:
        copier = Copier(far, process.sessions, settings.data_dir, process.now, process.alone("copies"))
        loops.append(Loop("copies", copier.run, may_hang=True))
    if Part.RECEIVE in parts and settings.hl7.port is not None:
        loops.append(Loop("HL7", _hl7_listener(settings.hl7.port, process, refusals).run))
    if Part.WEB in parts and settings.web.port is not None:
        loops.append(Loop("web page", WebSupervisor(run_web, (settings,), steady).run))
    return loops


def _reporter(process: _Process, bundle: Bundle) -> Reporter:
    settings = process.settings
    return Reporter(
        sessions=process.sessions,
        data_dir=settings.data_dir,
        destinations=[result_destination(destination) for destination in settings.destinations],
        router=partial(route, settings.routes),
        bundle=bundle.id,
        device=process.device,
        worker=process.worker(Part.REPORT),
        lease_s=settings.reader.lease_s,
        now=process.now,
        recall_threshold=settings.birads.recall_threshold,
        coded_category=settings.birads.coded_category,
        reference=_reference(settings, bundle),
        patient_id_system=settings.installation.patient_id_system or "",
        language=language_of(settings.language),
    )


def _ticks(process: _Process, commitments: Mapping[str, Commitment], bundle: BundleId) -> list[Tick]:
    """What is done from time to time, by one process of those that report: the others stand by."""
    if Part.REPORT not in process.parts:
        return []
    settings, sessions, alone = process.settings, process.sessions, process.alone(TICKS)
    close = partial(_close, process, _ladder(settings), ClockWatch(process.now, steady), alone)
    ticks = [Tick("closing", CLOSING_EVERY_S, close)]
    if process.name:
        ended = Ended(process.locks, process.name, steady)
        ticks.append(
            Tick("ended processes", ENDED_EVERY_S, _if(alone, partial(_give_back_of_the_ended, process, ended)))
        )
    for destination in settings.destinations:
        if isinstance(destination, ObjectDestination) and destination.rejection_notes:
            writer = RejectionWriter(
                destination=result_destination(destination),
                commits=destination.name in commitments,
                sessions=sessions,
                data_dir=settings.data_dir,
                device=process.device,
                bundle=bundle,
                now=process.now,
            )
            ticks.append(Tick(f"rejection notes to {destination.name}", REJECTING_EVERY_S, _if(alone, writer.run)))
    counts: dict[str, Count] = {
        sender.ae_title: partial(count_instances, peer)
        for sender in settings.senders
        if (peer := find_peer(sender, settings.receiver.ae_title)) is not None
    }
    if settings.mail.host is not None:
        ticks.append(Tick("mails", MAILING_EVERY_S, _if(alone, Digest(settings, sessions, process.now).run)))
    if settings.tracing.endpoint is not None:
        traces = Traces(settings.tracing.endpoint, sessions, process.now())
        ticks.append(Tick("traces", TRACING_EVERY_S, partial(_trace, traces, alone, process.now)))
    if counts:
        ticks.append(Tick("asking", ASKING_EVERY_S, _if(alone, partial(_ask, process, counts))))
    return ticks


def _if(alone: Callable[[], bool], run: Callable[[], object]) -> Callable[[], None]:
    def when_alone() -> None:
        if alone():
            run()

    return when_alone


def _trace(traces: Traces, alone: Callable[[], bool], now: NodeClock) -> None:
    if alone():
        traces.send(now())
    else:
        traces.pass_over(now())  # another process sends them


def _give_back_of_the_ended(process: _Process, ended: Ended) -> None:
    with process.sessions.begin() as session:
        give_back_of_the_ended(session, ended, process.now())


def _space_ticks(process: _Process, space: Space) -> list[Tick]:
    """What watches the disk, and deletes what the settings say."""
    settings, parts = process.settings, process.parts
    ticks = []
    if settings.receiver.quota_mb is not None:
        ticks.append(Tick("used space", MEASURING_EVERY_S, space.share))
    if Part.REPORT in parts:
        alone, one_by_one = process.alone(TICKS), threading.Lock()

        def run(what: Callable[[], object]) -> None:
            # Whether a file that is deleted meanwhile was measured, nobody knows.
            with one_by_one:
                if alone():
                    what()

        if settings.receiver.quota_mb is not None:
            ticks.append(Tick("measuring", MEASURING_EVERY_S, partial(run, space.measure), may_take_long=True))
        with read_only(process.sessions) as session:
            doubt = ClockDoubt(ClockWatch(process.now, steady), quiet_for_days(session, process.now()))
        purge = Purge(process.sessions, settings, process.now, space.free, retention(), space.gave_back, doubt.why)
        if settings.retention.is_on:
            ticks.append(Tick("retention", PURGING_EVERY_S, partial(run, purge.by_age), may_take_long=True))
        if settings.retention.purge_below_free_mb is not None:
            free = _if(lambda: space.is_known, purge.for_space)  # not by a figure of before this start
            ticks.append(Tick("freeing space", FREEING_EVERY_S, partial(run, free), may_take_long=True))
    return ticks


def _device(settings: Settings) -> Device:
    installation = settings.installation
    return Device(identity_of(settings.data_dir, uuid4), installation.station_name, installation.institution_name)


def _listener(
    process: _Process,
    of_senders: SenderLimits,
    refused: RefusedInstances,
    commitments: Sequence[Commitment],
    descriptors: int,
    refusals: Refusals,
) -> Listener:
    settings, sessions, limits = process.settings, process.sessions, process.settings.receiver
    at_once = min(limits.max_associations, associations_for(descriptors))
    if at_once < limits.max_associations:
        log.warning("only %d associations at the same time: too few file descriptors (ulimit -n)", at_once)
    remove_leftovers_of_processes(settings.data_dir / INCOMING, process.locks, process.now())
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
        process.now,
        partial(route, settings.routes),
        settings.senders,
        process.locks,
        process.name,
        of_senders.space,
        limits.ae_title,
        of_senders,
    )
    return Listener(
        limits.ae_title,
        limits.host,
        limits.port,
        callers(settings, process.now),
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
        partial(_enter_refused_classes, process),
        by_tls=tls_address(limits.tls),
        tell_refused=refusals.note,
        at_limit=of_senders.at_association_limit,
        tell_not_taken=refused.note,
    )


def _enter_refused_classes(process: _Process, calling_ae_title: str, sop_class_uids: Sequence[str]) -> None:
    enter_refused_classes(process.sessions, calling_ae_title, sop_class_uids, process.now())


def _take_commitment_report(commitments: Sequence[Commitment], report: CommitmentReport) -> bool:
    return any(commitment.take_report(report) for commitment in commitments)


def _hl7_listener(port: int, process: _Process, refusals: Refusals) -> MllpListener:
    settings = process.settings
    intake = Hl7Intake(process.sessions, settings.data_dir, settings.hl7, process.now, tell_refused=refusals.note)
    intake.hosts.watch(settings.hl7.sender_hosts)
    return MllpListener(
        listen(settings.hl7.host, port),
        intake.may_send,
        intake.answer,
        intake.too_large,
        settings.hl7.max_message_kb * 1000,
        tls=None if settings.hl7.tls is None else server_tls(settings.hl7.tls),
        tell_refused=refusals.note,
    )


def _ladder(settings: Settings) -> Ladder:
    closing = settings.closing
    return Ladder(closing.four_views_quiet_s, closing.quiet_s, closing.deadline_s)


def _close(process: _Process, ladder: Ladder, clock: ClockWatch, alone: Callable[[], bool]) -> None:
    is_alone = alone()
    if moved := clock.set_by():
        if is_alone:
            with process.sessions.begin() as session:
                follow(session, moved, process.now(), clock.since_s())
        clock.accept(moved)
    if is_alone:
        close_complete(process.sessions, ladder, process.now())


def _ask(process: _Process, counts: dict[str, Count]) -> None:
    ask_sources(process.sessions, counts, process.settings.closing.four_views_quiet_s, process.now())


def _commitment(destination: DicomDestination, process: _Process) -> Commitment:
    return Commitment(
        name=destination.name,
        request=commitment_request(destination, process.settings.receiver.ae_title),
        policy=_policy(destination),
        timeout_s=destination.commitment_timeout_s,
        sessions=process.sessions,
        now=process.now,
        new_uid=partial(generate_uid, prefix=None),
    )


def _subscriber(webhook: Webhook) -> Subscriber:
    return Subscriber(webhook.name, tuple(map(StudyEvent, webhook.events)), webhook.least_score)


def _teller(webhook: Webhook, process: _Process) -> Teller:
    return Teller(
        name=webhook.name,
        peer=webhook_peer(webhook),
        policy=_policy(webhook),
        sessions=process.sessions,
        installation=process.device.identity,
        page=process.settings.web.address,
        now=process.now,
        alone=process.alone(f"webhook {webhook.name}"),
    )


def _policy(destination: Destination | Webhook) -> RetryPolicy:
    return RetryPolicy(destination.retry_first_s, destination.retry_ceiling_s, destination.dead_after_s)


def _deliver(
    destination: AnyDestination, process: _Process, commitment: Commitment | None, stop: threading.Event
) -> None:
    """Delivers until `stop` is set. Its pace waits for `stop` too: a slow link is no thread that hangs, and a stop does
    not wait for it."""
    _deliverer(destination, process, commitment, stop.wait).run(stop)


def _deliverer(
    destination: AnyDestination,
    process: _Process,
    commitment: Commitment | None,
    pause: Callable[[float], object],
) -> Deliverer:
    return Deliverer(
        name=destination.name,
        transport=transport(destination, process.settings.receiver.ae_title, steady, pause),
        policy=_policy(destination),
        sessions=process.sessions,
        data_dir=process.settings.data_dir,
        now=process.now,
        commitment=commitment,
        window=window(destination),
        recipient=recipient(destination, process.settings.receiver.ae_title),
        alone=process.alone(f"delivery to {destination.name}"),
    )
